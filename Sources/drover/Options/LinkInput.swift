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

  /// Releases by name, or all of a manifest's, the links to servers that have them, and the check that another link opens them too.
  static func releases(_ names: [String], _ options: TransferOptions, _ global: GlobalOptions) throws -> ([Release], [SignedLink], Check) {
    let catalog = try options.server.catalog()
    let matches = names.isEmpty ? nil : try catalog.matches(names.joined(separator: ","))
    for match in matches ?? [] where !match.alternatives.isEmpty && !global.quiet {
      Console.note("note: taking \(match.release.id) (\(match.release.family)); other models of that size: \(match.alternatives.map(\.id).joined(separator: ", "))")
    }
    let releases = matches?.map(\.release) ?? catalog.releases
    let check: Check = { link throws(WrongLinkError) in try catalog.checkLink(to: link.host, opens: releases) }
    let mirrors = try Self.mirrors(of: releases, allowsHTTP: options.server.allowHttp, global)
    // What is in the environment is for a server of its own; a manifest with mirrors says where its files are.
    let given = mirrors.isEmpty || options.url != nil ? [try template(options.url?.text, allowsHTTP: options.server.allowHttp, global)] : []
    for link in given + mirrors { try check(link) }
    return (releases, given + mirrors, check)
  }

  /// Says what had to be mended.
  static func tell(_ notes: [String], _ global: GlobalOptions) {
    for note in notes where !global.quiet { Console.note("note: \(note)") }
  }
}
