import FoundationEssentials

/// A file of prompts: one on each line, or a JSON array of strings.
public struct PromptFile: Sendable, Equatable {
  public let prompts: [String]

  /// Lines end with LF, or CR and LF, as text editors write them; other characters that Unicode counts as line breaks belong to the prompt. Empty lines
  /// are left out, and so is a byte-order mark. A file is JSON when an array of strings begins with its first character: `[`, then a string or the end of
  /// the array. `[INST] …` is a line.
  ///
  /// - Parameter file: the name that errors carry.
  public init(_ bytes: some Sequence<UInt8>, file: String) throws(PromptFileError) {
    var bytes = Array(bytes)
    if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) { throw PromptFileError(file, "is UTF-16; save it as UTF-8") }
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes.removeFirst(3) }
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (number, line) in lines.enumerated() where String(validating: line, as: UTF8.self) == nil {
      throw PromptFileError(file, "line \(number + 1) isn't UTF-8; save the file as UTF-8")
    }
    if Self.isJSON(bytes) {
      do { prompts = try JSONDecoder().decode([String].self, from: Data(bytes)) } catch {
        throw PromptFileError(file, "begins like JSON, but is not an array of strings")
      }
    } else {
      prompts = lines.compactMap { line in
        let text = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
        return text.isEmpty ? nil : String(decoding: text, as: UTF8.self)
      }
    }
    guard !prompts.isEmpty else { throw PromptFileError(file, "has no prompts") }
  }

  private static func isJSON(_ bytes: [UInt8]) -> Bool {
    let start = bytes.lazy.filter { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }.prefix(2)
    return start.first == UInt8(ascii: "[") && [UInt8(ascii: "\""), UInt8(ascii: "]")].contains(start.dropFirst().first)
  }
}

/// Why a file of prompts can't be read.
public struct PromptFileError: Error, Equatable, CustomStringConvertible {
  public let description: String

  init(_ file: String, _ what: String) { description = "\(file): \(what)" }
}
