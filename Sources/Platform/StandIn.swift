/// What lies under a file's name in place of the file: a login or error page, or the pointer that a Git clone without LFS leaves.
package enum StandIn: Equatable, CustomStringConvertible {
  case webPage
  /// `bytes`: how many the pointer says the file has.
  case lfsPointer(bytes: Int?)

  /// So many bytes tell: a pointer has less than 1,024.
  package static let headBytes = 512

  /// - Parameters:
  ///   - head: the first bytes of a file, at most `headBytes` of them.
  ///   - isText: whether the file may begin with a comment of its own, as a licence or a chat template may.
  /// - Returns: nil for a file that is neither.
  package init?(_ head: [UInt8], isText: Bool = false) {
    // Source: docs/spec.md of the git-lfs repository. The first line is the version, and the keys after it are in the order of the alphabet.
    let version = "version https://git-lfs.github.com/spec/"
    if head.starts(with: version.utf8) {
      let size = head.split(separator: UInt8(ascii: "\n")).first { $0.starts(with: "size ".utf8) }
      self = .lfsPointer(bytes: size.flatMap { Int(String(decoding: $0.dropFirst(5), as: UTF8.self)) })
      return
    }
    var page = WebPage(isText: isText)
    head.withUnsafeBytes { page.take($0) }
    guard page.isFound == true else { return nil }
    self = .webPage
  }

  /// What goes after the file's name.
  package var description: String {
    switch self {
    case .webPage: "is a web page (HTML), not the file: the link that it came from was wrong or had expired; fetch it again with a fresh one"
    case .lfsPointer(let bytes):
      "is a Git LFS pointer, not the file itself\(bytes.map { ", which has \($0) bytes" } ?? ""): it was cloned without git-lfs; fetch it with `git lfs pull`, or download it again"
    }
  }
}
