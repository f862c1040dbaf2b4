import FoundationEssentials
import Integrity
import Platform

/// JSON in a file that tells whether it is whole: a first line holds what it is, in which version, and a SHA-256 of what follows.
package enum SealedDocument {
  private static func line(_ title: String) -> String { title + " sha256=" }

  /// - Parameter title: such as `drover journal 3`.
  package static func encoded(_ document: some Encodable, title: String) throws -> [UInt8] {
    let body = try JSONText.encode(document, isCompact: true)
    return Array((line(title) + SHA256.hash(body).hex + "\n").utf8) + body
  }

  /// - Returns: nil for bytes that are something else, of another version, or damaged.
  package static func decoded<Document: Decodable>(_ bytes: [UInt8], as type: Document.Type, title: String) -> Document? {
    let line = Array(line(title).utf8)
    guard bytes.starts(with: line), let newline = bytes.firstIndex(of: 0x0A) else { return nil }
    let body = Array(bytes[(newline + 1)...])
    guard SHA256.hash(body).hex.utf8.elementsEqual(bytes[line.count..<newline]) else { return nil }
    return try? JSONDecoder().decode(type, from: Data(body))
  }
}
