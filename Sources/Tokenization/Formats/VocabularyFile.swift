import Platform
import SystemPackage

extension Vocabulary {
  /// Reads a tokenizer file: SentencePiece's or tiktoken's `tokenizer.model` (Llama 2's and Llama 3's are both called that), or `tokenizer.json`.
  ///
  /// The bytes tell which it is. What lies beside a `tokenizer.json` is read too: see `TokenizerSettings`.
  /// - Parameter isHuggingFace: whether a `tokenizer.model` lies in a Hugging Face folder, where the files beside it count as for `AutoTokenizer`.
  public static func load(_ path: FilePath, isHuggingFace: Bool = false) throws(VocabularyError) -> Vocabulary {
    let bytes = try read(path)
    func settings() throws(VocabularyError) -> TokenizerSettings { try TokenizerSettings(path.removingLastComponent()) }
    switch FileKind(bytes) {
    case .sentencePiece:
      let vocabulary = try sentencePiece(bytes, file: path.string)
      return isHuggingFace ? try vocabulary.beside(settings(), file: path.string) : vocabulary
    case .tiktoken:
      var vocabulary = try tiktoken(bytes, file: path.string)
      if isHuggingFace { try vocabulary.check(settings(), file: path.string) }
      return vocabulary
    case .json: return try huggingFace(bytes, file: path.string, besides: settings())
    case nil:
      throw VocabularyError(.corrupt, in: path.string, "neither a SentencePiece model, nor a tiktoken rank file, nor a tokenizer.json")
    }
  }

  private enum FileKind {
    case sentencePiece, tiktoken, json

    init?(_ bytes: [UInt8]) {
      let text = bytes.prefix(4096).drop { $0 == 0x20 || 0x09...0x0D ~= $0 }
      // Field 1 (a piece) and its length, then inside it field 1 (its text) and a length that fits.
      if bytes.count > 3, bytes[0] == 0x0A, bytes[1] & 0x80 != 0 || bytes[2] == 0x0A && Int(bytes[3]) + 2 <= Int(bytes[1]) {
        self = .sentencePiece
      } else if text.first == UInt8(ascii: "{") {
        self = .json
      } else if let space = text.firstIndex(of: 0x20), text[..<space].allSatisfy({ 0x2B...0x7A ~= $0 }) {
        self = .tiktoken
      } else {
        return nil
      }
    }
  }

  static func readIfPresent(_ path: FilePath) throws(VocabularyError) -> [UInt8]? {
    do {
      return try read(path)
    } catch {
      if error.reason == .missing { return nil }
      throw error
    }
  }

  /// The whole of a file, which is what its name says: no web page, no pointer to it.
  static func read(_ path: FilePath) throws(VocabularyError) -> [UInt8] {
    let bytes: [UInt8]
    do throws(Errno) { bytes = try SmallFile.read(path, atMost: longestFile) } catch {
      switch error {
      case .noSuchFileOrDirectory: throw VocabularyError(.missing, in: path.string, "\(error)")
      case .isDirectory: throw VocabularyError(.unsupported, in: path.string, "is a folder, where a tokenizer's file is due")
      case .invalidArgument, .noSuchAddressOrDevice:
        throw VocabularyError(
          .unsupported, in: path.string, "is \(Directory.specialKind(of: path)), and what lies beside a tokenizer tells too: save it to a file first, and name that")
      case .fileTooLarge: throw VocabularyError(.corrupt, in: path.string, "is over \(longestFile >> 20) MB long, which no tokenizer is")
      default: throw VocabularyError(.unreadable, in: path.string, "\(error)")
      }
    }
    if let standIn = StandIn(Array(bytes.prefix(StandIn.headBytes))) { throw VocabularyError(.corrupt, in: path.string, standIn.description) }
    return bytes
  }
}
