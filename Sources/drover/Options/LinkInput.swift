import Catalog
import Terminal
import Transfer

/// Links as they reach the program: on the command line, in `DROVER_URL`, or typed without echo.
enum LinkInput {
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

  /// Whether another link may take the place of one that has ended.
  typealias Check = @Sendable (SignedLink) throws(WrongLinkError) -> Void
  /// A hub is no family of Meta's.
  static let opensAll: Check = { _ in }

  /// Releases by name, or all of a manifest's, the link to them, and the check that another link opens them too.
  static func releases(_ names: [String], _ options: TransferOptions, _ global: GlobalOptions) throws -> ([Release], SignedLink, Check) {
    let catalog = try options.server.catalog()
    let matches = names.isEmpty ? nil : try catalog.matches(names.joined(separator: ","))
    for match in matches ?? [] where !match.alternatives.isEmpty && !global.quiet {
      Console.note("note: taking \(match.release.id) (\(match.release.family)); other models of that size: \(match.alternatives.map(\.id).joined(separator: ", "))")
    }
    let releases = matches?.map(\.release) ?? catalog.releases
    let check: Check = { link throws(WrongLinkError) in try catalog.checkLink(to: link.host, opens: releases) }
    let link = try template(options.url?.text, allowsHTTP: options.server.allowHttp, global)
    try check(link)
    return (releases, link, check)
  }

  /// Says what had to be mended.
  static func tell(_ notes: [String], _ global: GlobalOptions) {
    for note in notes where !global.quiet { Console.note("note: \(note)") }
  }
}
