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

  /// Says what had to be mended.
  static func tell(_ notes: [String], _ global: GlobalOptions) {
    for note in notes where !global.quiet { Console.note("note: \(note)") }
  }
}
