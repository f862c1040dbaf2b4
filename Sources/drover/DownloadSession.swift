import Glibc
import Synchronization
import Terminal
import Transfer

/// A download with bars, questions and a way to interrupt it.
struct DownloadSession: Sendable {
  private let request: TransferRequest
  private let link: SignedLink
  private let global: GlobalOptions
  private let confirms: Bool
  private let asksForLinks: Bool

  /// - Parameters:
  ///   - confirms: whether to ask before it starts.
  ///   - asksForLinks: whether to ask for another link when this one ends. Nobody is asked without a terminal.
  init(_ request: TransferRequest, link: SignedLink, global: GlobalOptions, confirms: Bool, asksForLinks: Bool) {
    self.request = request
    self.link = link
    self.global = global
    self.confirms = confirms
    self.asksForLinks = asksForLinks
  }

  /// - Parameter willStart: may read along.
  func run(_ willStart: (Download) -> Void) async throws(TransferError) -> TransferReport {
    let display = ProgressDisplay("download", mode: global.progressMode)
    defer { display.close() }
    let items = request.files.map { display.add($0.path, total: nil) }
    let quiet = global.quiet
    let failures = FailureCount()
    let count = request.files.count
    let observe: @Sendable (TransferEvent) -> Void = { event in
      switch event {
      case .progress(let file, let done, let total, let before): display.update(items[file], done: done, total: total, before: before)
      case .finished(let file, let status, let isVerified):
        // Not every file has a line in a checklist.
        let here = status == .present ? "here already" : nil
        display.finish(items[file], isVerified ? [here, "verified"].compactMap(\.self).joined(separator: ", ") : here ?? "downloaded")
      case .failed(let file, let error):
        display.finish(items[file], "failed", failed: true)
        // The first is what the program ends with; the others would go unheard.
        if !failures.isFirst() { Console.error(error.description) }
      case .skipped(let file):
        display.update(items[file], done: 0, total: 0)
        display.finish(items[file], "not on the server, and not needed")
      case .note(let text): if !quiet { Console.note("note: " + Format.name(text)) }
      }
    }
    let confirm: @Sendable (TransferSurvey) -> Bool = { survey in Self.confirm(survey, count) }
    let newLink: @Sendable (TransferError) throws -> SignedLink? = { error in try Self.askForLink(error) }
    let download = Download(request, link: link, observe: observe, confirm: confirms ? confirm : nil, newLink: asksForLinks ? newLink : nil)
    Interruption.onSignal { download.cancel() }
    willStart(download)
    // Whoever read what we say may leave; the download stays.
    signal(SIGPIPE, SIG_IGN)
    return try await download.run()
  }

  private static func confirm(_ survey: TransferSurvey, _ files: Int) -> Bool {
    guard survey.bytes > 0 else { return true }
    var text = "\(Format.bytes(survey.bytes)) to fetch in \(survey.files) of \(files) files, \(Format.bytes(survey.free)) free"
    if let expiry = survey.expiry { text += "; the link ends in \(Format.duration(Double(max(0, expiry - secondsSinceEpoch()))))" }
    // Without a terminal nobody is asked: the command was the answer.
    do { return try Console.confirm(text + ". Go on?") ?? true } catch { return false }
  }

  private static func askForLink(_ error: TransferError) throws -> SignedLink? {
    Console.note(error.description)
    while let text = try Console.askSecret("A new link to go on with (it is not shown; empty to stop): "), !text.isEmpty {
      do throws(LinkError) {
        let (link, notes) = try SignedLink.examine(text)
        for sentence in notes { Console.note("note: " + sentence) }
        return link
      } catch { Console.note(error.description) }
    }
    return nil
  }
}

private final class FailureCount: Sendable {
  private let count = Atomic(0)
  func isFirst() -> Bool { count.add(1, ordering: .relaxed).oldValue == 0 }
}
