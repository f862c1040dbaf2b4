import Platform

/// Tells by its first bytes what can't be the file that was asked for: a page of HTML, a line of text in place of weights, prose in place of JSON.
struct FirstBytes {
  enum Verdict: Equatable {
    case file
    case page
    /// Something else; in words that stand after "answered with".
    case other(String)
  }

  private enum Kind { case weights, json, any }

  private let kind: Kind
  private var page: WebPage
  private var isSuitable = false
  private var isUnsuitable = false
  private var count = 0
  /// nil until enough has been seen.
  private(set) var verdict: Verdict?

  /// Every format of weights has a byte that no text has among so many: a zip's 3 and 4, a pickle's protocol, the zeros in a length or a version.
  private static let most = 512
  private static let weights = [".pth", ".pt", ".bin", ".safetensors", ".gguf"]

  /// - Parameters:
  ///   - name: the file's.
  ///   - isOptional: whether it is a licence or the like, which may begin as it wants.
  init(of name: String, isOptional: Bool) {
    kind = isOptional ? .any : Self.weights.contains(where: name.hasSuffix) ? .weights : name.hasSuffix(".json") ? .json : .any
    page = WebPage(isText: isOptional || name.hasSuffix(".md"))
  }

  mutating func take(_ bytes: UnsafeRawBufferPointer) {
    guard verdict == nil else { return }
    page.take(bytes)
    if page.isFound == true { return verdict = .page }
    for byte in bytes where !isSuitable && !isUnsuitable && count < Self.most {
      count += 1
      switch kind {
      case .weights: isSuitable = (byte < 0x20 && !(0x09...0x0D ~= byte)) || byte == 0x7F
      case .json:
        if byte == 0x20 || 0x09...0x0D ~= byte || [0xEF, 0xBB, 0xBF].contains(byte) { continue }
        isSuitable = byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[")
        isUnsuitable = !isSuitable
      case .any: isSuitable = true
      }
    }
    isUnsuitable = isUnsuitable || !isSuitable && count >= Self.most
    // What may still become a page, a byte at a time, is called one.
    guard page.isFound == false else { return }
    if isSuitable { verdict = .file } else if isUnsuitable { verdict = unsuitable }
  }

  /// Says that nothing more will come.
  /// - Parameter isEntire: whether that was all of the file, rather than a part of it.
  mutating func end(isEntire: Bool) { verdict = verdict ?? (isUnsuitable || isEntire && !isSuitable && count > 0 ? unsuitable : .file) }

  private var unsuitable: Verdict { .other(kind == .json ? "something that isn't JSON" : "plain text") }
}
