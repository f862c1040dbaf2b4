/// A repository of Hugging Face's hub, as the command line has it: `hf:ORG/NAME`, with `@REVISION` for a branch, a tag or a commit.
public struct HubName: Sendable, Hashable, CustomStringConvertible {
  /// `ORG/NAME`, or `NAME` alone for the few oldest repositories.
  public let repository: String
  /// `main` where nothing is said.
  public let revision: String

  public static let prefix = "hf:"

  /// Without the organisation.
  public var name: String { String(repository.split(separator: "/").last ?? "") }

  /// - Returns: nil where `text` isn't meant as one: it doesn't begin with `hf:`.
  public init?(_ text: String) throws(HubError) {
    guard text.hasPrefix(Self.prefix) else { return nil }
    let rest = text.dropFirst(Self.prefix.count)
    let at = rest.firstIndex(of: "@") ?? rest.endIndex
    let parts = rest[..<at].split(separator: "/", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count), parts.allSatisfy(Self.isName) else { throw .malformedName(String(text.prefix(120))) }
    repository = String(rest[..<at])
    guard at < rest.endIndex else {
      revision = "main"
      return
    }
    let revision = rest[rest.index(after: at)...]
    // What git allows in a reference's name (git-check-ref-format), as far as it could do harm in an address.
    guard !revision.isEmpty, revision.utf8.count <= 200, revision.utf8.allSatisfy({ (0x21...0x7E).contains($0) && !"~^:?*[\\%".utf8.contains($0) }), !revision.contains("..") else {
      throw .malformedName(String(text.prefix(120)))
    }
    self.revision = String(revision)
  }

  /// The hub's rule: letters, digits, `-`, `_` and `.`, at most 96, neither `--` nor `..` in it, no `-` or `.` at its ends
  /// (huggingface_hub's `validate_repo_id`).
  private static func isName(_ part: Substring) -> Bool {
    let ends = [part.utf8.first, part.utf8.last].compactMap(\.self)
    return (1...96).contains(part.utf8.count) && !part.contains("--") && !part.contains("..") && !ends.contains { "-.".utf8.contains($0) }
      && part.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), 0x2D, 0x2E, 0x5F: true
        default: false
        }
      }
  }

  public var description: String { Self.prefix + repository + (revision == "main" ? "" : "@" + revision) }
}
