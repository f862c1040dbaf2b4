import Catalog
import Terminal
import Transfer

/// Links as they reach the program: on the command line, in `DROVER_URL`, or typed without echo.
enum LinkInput {
  /// Whether a link opens what it is for.
  typealias Check = @Sendable (SignedLink) throws(WrongLinkError) -> Void

  /// What reads another link to the same.
  static func reader(allowsHTTP: Bool, _ check: @escaping Check) -> @Sendable (String) throws -> (link: SignedLink, notes: [String]) {
    { text in
      let (link, notes) = try SignedLink.examine(text, allowsHTTP: allowsHTTP)
      try check(link)
      return (link, notes)
    }
  }

  /// The signed link to a release.
  /// - Parameters:
  ///   - given: from the command line.
  ///   - allowsHTTP: whether a signed link may go over a network without TLS.
  static func template(_ given: String?, allowsHTTP: Bool, _ global: GlobalOptions) throws -> SignedLink {
    ProcessSecrets.lockMemory()
    guard let text = try given ?? ProcessSecrets.environmentLink ?? Console.askSecret("The signed link (it is not shown): ") else {
      throw CommandError(.usage, "no link: give it in DROVER_URL or on the command line, or run drover on a terminal to be asked")
    }
    let (link, notes) = try SignedLink.examine(text, allowsHTTP: allowsHTTP)
    tell(notes, global)
    return link
  }

  /// The links that the releases' manifest names.
  static func mirrors(of releases: [Release], allowsHTTP: Bool, _ global: GlobalOptions) throws -> [SignedLink] {
    guard let first = releases.first, releases.contains(where: { !$0.mirrors.isEmpty }) else { return [] }
    if let other = releases.first(where: { $0.mirrors != first.mirrors }) {
      throw CommandError(.usage, "\(first.id) and \(other.id) have different mirrors: download them one after the other")
    }
    ProcessSecrets.lockMemory()
    return try first.mirrors.enumerated().map { index, text in
      do throws(LinkError) {
        let (link, notes) = try SignedLink.examine(text, allowsHTTP: allowsHTTP)
        tell(notes, global)
        return link
      } catch { throw CommandError(.badData, "mirror \(index + 1) of \(first.id) in its manifest: \(error)") }
    }
  }

  /// Says what had to be mended.
  static func tell(_ notes: [String], _ global: GlobalOptions) {
    for note in notes where !global.quiet { Console.note("note: \(note)") }
  }
}
