/// Tells a web page by its first bytes, however few come at a time: a login or error page under a file's name is the commonest thing that isn't
/// the file.
package struct WebPage {
  private var seen: [UInt8] = []
  /// nil until enough has been seen.
  private(set) package var isFound: Bool?

  private static let ofHTML = ["<!doctype html", "<html", "<head", "<body"].map { Array($0.utf8) }
  /// XML is what stores answer errors in.
  private static let all = ofHTML + ["<?xml", "<error", "<!-- "].map { Array($0.utf8) }
  private let beginnings: [[UInt8]]

  /// - Parameter isText: whether the file may begin with a comment of its own, as a licence or Markdown may.
  package init(isText: Bool = false) { beginnings = isText ? Self.ofHTML : Self.all }

  package mutating func take(_ bytes: UnsafeRawBufferPointer) {
    for byte in bytes where isFound == nil { take(byte) }
  }

  private mutating func take(_ byte: UInt8) {
    // Spaces and a byte-order mark may come first.
    if seen.isEmpty, byte == 0x20 || 0x09...0x0D ~= byte || [0xEF, 0xBB, 0xBF].contains(byte) { return }
    seen.append(0x41...0x5A ~= byte ? byte + 0x20 : byte)
    let candidates = beginnings.filter { $0.starts(with: seen) }
    if candidates.isEmpty { isFound = false } else if candidates.contains(where: { $0.count == seen.count }) { isFound = true }
  }

  /// Says that nothing more will come.
  package mutating func end() { isFound = isFound ?? false }
}
