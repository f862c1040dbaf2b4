import FoundationEssentials
import Platform
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// What drover says of a folder that it downloaded or wrote: `drover-receipt.json`.
///
/// It names the files and their digests, so that the folder can be verified later; the weights' fingerprints, so that it can be compared with any
/// other checkpoint; and where it came from. It holds no absolute path and nothing of a link, and can be published with the weights.
public struct Receipt: Sendable, Equatable {
  /// The file's name in its folder.
  public static let fileName = "drover-receipt.json"

  public struct File: Sendable, Equatable {
    /// Relative to the receipt's folder, never leaving it.
    public let path: FilePath
    public let bytes: Int
    public let md5: Digest?
    public let sha256: Digest?

    public init(path: FilePath, bytes: Int, md5: Digest? = nil, sha256: Digest? = nil) {
      self.path = path
      self.bytes = bytes
      self.md5 = md5
      self.sha256 = sha256
    }
  }

  /// Where the files came from.
  public enum Origin: Sendable, Equatable {
    /// A release of the catalog, by its id.
    case release(String)
    /// A folder or file on the machine that made the receipt; only its own name, not where it lay.
    case checkpoint(String)

    /// - Parameter path: wherever the source lies; empty for the folder one is in.
    public static func checkpoint(at path: FilePath) -> Origin {
      var path = path.lexicallyNormalized()
      // `.` and `..` are no names.
      if path.lastComponent?.kind != .regular, let real = realpath(path.isEmpty ? "." : path.string, nil) {
        path = FilePath(platformString: real)
        free(real)
      }
      return .checkpoint(path.lastComponent?.string ?? "")
    }
  }

  /// The program and its version, `drover 1.0`.
  public var tool: String
  /// To the second.
  public var created: Date
  /// `download`, `reshard` or `pull`.
  public var operation: String
  public var origin: Origin
  /// What the operation was told, by the long names of the command line: `["mp": "1", "format": "safetensors"]`.
  public var options: [String: String]
  public var files: [File]
  /// nil when it wasn't computed.
  public var fingerprint: CheckpointFingerprint?

  public init(
    tool: String, created: Date = .now, operation: String, origin: Origin, options: [String: String] = [:], files: [File],
    fingerprint: CheckpointFingerprint? = nil
  ) {
    self.tool = tool
    self.created = Date(timeIntervalSince1970: created.timeIntervalSince1970.rounded(.down))
    self.operation = operation
    self.origin = origin
    self.options = options
    self.files = files
    self.fingerprint = fingerprint
  }
}

// MARK: Reading

extension Receipt {
  /// Larger files than this are not receipts: the largest model known has some 1,100 tensors.
  static let mostBytes = 16 << 20

  /// Reads the receipt at `path`.
  public init(contentsOf path: FilePath) throws(ReceiptError) {
    let bytes: [UInt8]
    do { bytes = try SmallFile.read(path, atMost: Self.mostBytes) } catch { throw ReceiptError(path: path, reason: .unreadable(error)) }
    try self.init(parsing: bytes, path: path)
  }

  /// Reads a receipt that is in memory already.
  /// - Parameter path: what errors call it.
  public init(parsing bytes: [UInt8], path: FilePath) throws(ReceiptError) {
    func failure(_ what: String) -> ReceiptError { ReceiptError(path: path, reason: .malformed(what)) }
    let document: Document
    do {
      let decoder = JSONDecoder()
      decoder.dateDecodingStrategy = .iso8601
      document = try decoder.decode(Document.self, from: Data(bytes))
    } catch let error as DecodingError {
      throw Self.isOfAnotherKind(error) ? ReceiptError(path: path, reason: .ofAnotherKind(Self.explain(error))) : failure(Self.explain(error))
    } catch {
      throw failure("it isn't JSON")
    }
    guard document.receipt == Document.version else { throw failure("it is of version \(document.receipt), which this drover doesn't know") }
    var files: [File] = []
    var names: Set<FilePath> = []
    for file in document.files {
      let name: FilePath
      do { name = try Checklist.contained(Array(file.path.utf8)) } catch {
        if case .leavesFolder(let path) = error { throw failure("\"\(path)\" leads out of its folder") }
        throw failure("\"\(file.path)\" is no file's name")
      }
      guard names.insert(name).inserted else { throw failure("it names \(name) twice") }
      guard file.bytes >= 0 else { throw failure("\(name) can't have \(file.bytes) bytes") }
      guard file.md5 ?? file.sha256 != nil else { throw failure("\(name) has neither an MD5 nor a SHA-256") }
      guard file.md5?.algorithm ?? .md5 == .md5, file.sha256?.algorithm ?? .sha256 == .sha256 else { throw failure("\(name) has a digest of the wrong length") }
      files.append(File(path: name, bytes: file.bytes, md5: file.md5, sha256: file.sha256))
    }
    guard !files.isEmpty else { throw failure("it names no files") }
    var fingerprint: CheckpointFingerprint?
    if let stated = document.fingerprint {
      let computed = CheckpointFingerprint(tensors: stated.tensors)
      guard stated.checkpoint == computed.whole else { throw failure("the checkpoint's fingerprint is not that of its tensors") }
      fingerprint = computed
    }
    let origin: Origin
    switch (document.source.release, document.source.checkpoint) {
    case (let release?, nil): origin = .release(release)
    case (nil, let name?): origin = .checkpoint(name)
    default: throw failure("its source is neither a release nor a checkpoint")
    }
    self.init(
      tool: document.tool, created: document.created, operation: document.operation, origin: origin, options: document.options, files: files,
      fingerprint: fingerprint)
  }

  /// Whether the document doesn't even claim to be a receipt.
  private static func isOfAnotherKind(_ error: DecodingError) -> Bool {
    switch error {
    case .keyNotFound(let key, let context): key.stringValue == "receipt" && context.codingPath.isEmpty
    case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context): context.codingPath.isEmpty
    @unknown default: false
    }
  }

  private static func explain(_ error: DecodingError) -> String {
    func place(_ context: DecodingError.Context) -> String { context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".") }
    return switch error {
    case .keyNotFound(let key, let context): "\(key.stringValue) is missing\(context.codingPath.isEmpty ? "" : " in \(place(context))")"
    case .typeMismatch(_, let context), .valueNotFound(_, let context): "\(place(context)) is of the wrong kind"
    case .dataCorrupted(let context) where !context.codingPath.isEmpty: "\(place(context)) makes no sense"
    default: "it isn't JSON"
    }
  }
}

// MARK: Writing

extension Receipt {
  /// The file's bytes: JSON, the same for the same receipt.
  /// - Throws: `.secret` when an option or a source is a link or an absolute path.
  public func encoded() throws(ReceiptError) -> [UInt8] {
    for text in options.values + [tool, operation, originText] + files.map(\.path.string) where text.contains("://") || text.hasPrefix("/") {
      throw ReceiptError(path: FilePath(Self.fileName), reason: .secret)
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.dateEncodingStrategy = .iso8601
    do { return Array(try encoder.encode(Document(self))) + [UInt8(ascii: "\n")] } catch {
      throw ReceiptError(path: FilePath(Self.fileName), reason: .malformed("\(error)"))
    }
  }

  /// Writes it into `folder`, in place of one that is there. It appears whole or not at all.
  public func write(into folder: FilePath) throws(ReceiptError) {
    let path = folder.appending(Self.fileName)
    let bytes = try encoded()
    do { try SmallFile.write(bytes, to: path) } catch { throw ReceiptError(path: path, reason: .unwritable(error)) }
  }

  private var originText: String {
    switch origin {
    case .release(let name), .checkpoint(let name): name
    }
  }
}

/// The JSON document; its keys are a promise.
private struct Document: Codable {
  static let version = 1

  struct Source: Codable {
    var release: String?
    var checkpoint: String?
  }

  struct File: Codable {
    var path: String
    @Named var bytes: Int
    var md5: Digest?
    var sha256: Digest?
  }

  struct Fingerprint: Codable {
    var checkpoint: Digest
    var tensors: [String: Digest]
  }

  /// The version of this form.
  @Named var receipt = Self.version
  var tool: String
  @Named var created: Date
  var operation: String
  var source: Source
  var options: [String: String]
  var files: [File]
  var fingerprint: Fingerprint?

  init(_ receipt: Receipt) {
    tool = receipt.tool
    created = receipt.created
    operation = receipt.operation
    switch receipt.origin {
    case .release(let id): source = Source(release: id)
    case .checkpoint(let name): source = Source(checkpoint: name)
    }
    options = receipt.options
    files = receipt.files.map { File(path: $0.path.string, bytes: $0.bytes, md5: $0.md5, sha256: $0.sha256) }
    fingerprint = receipt.fingerprint.map { Fingerprint(checkpoint: $0.whole, tensors: $0.tensors) }
  }
}

/// A number or a date: for one that makes no sense Foundation's error doesn't say under which key it is.
@propertyWrapper private struct Named<Value: Codable>: Codable {
  var wrappedValue: Value

  init(wrappedValue: Value) { self.wrappedValue = wrappedValue }

  init(from decoder: any Decoder) throws {
    do { wrappedValue = try decoder.singleValueContainer().decode(Value.self) } catch {
      switch error as? DecodingError {
      case .typeMismatch, .valueNotFound: throw error
      default: throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "\(error)"))
      }
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(wrappedValue)
  }
}

/// Why a receipt can't be used.
public struct ReceiptError: Error, CustomStringConvertible, Equatable {
  public enum Reason: Sendable, Equatable {
    case unreadable(Errno)
    case malformed(String)
    /// It doesn't look like a receipt at all.
    case ofAnotherKind(String)
    case unwritable(Errno)
    /// It would hold a link or an absolute path.
    case secret
  }

  public let path: FilePath
  public let reason: Reason

  public var description: String {
    switch reason {
    case .unreadable(let error): "\(path): cannot be read: \(error)."
    case .unwritable(let error): "\(path): cannot be written: \(error)."
    case .malformed(let what), .ofAnotherKind(let what): "\(path): not a receipt of drover: \(what)."
    case .secret: "\(path): not written, because a link or an absolute path would have been in it."
    }
  }
}
