import Arrival
import Platform
import Synchronization
import Terminal
import Transfer

/// A download as a person sees it: bars, questions, notes, and Ctrl-C.
struct DownloadSession: Sendable {
  let global: GlobalOptions
  /// Whether to ask before it starts.
  let confirms: Bool
  /// Reads another link, for which somebody on a terminal is asked when this one ends, and finds out whether it opens what is fetched; nil where nobody is asked.
  let readLink: (@Sendable (String) throws -> (link: SignedLink, notes: [String]))?

  /// Downloads, and shows it.
  func run(_ releases: ReleaseDownload, over links: [SignedLink]) -> DownloadOutcome { run(releases.request, over: links, followers: releases.followers) }

  /// - Parameters:
  ///   - links: to servers that have the same files.
  ///   - task: what the progress calls it.
  ///   - began: told of the download, which may be cancelled from then on.
  func run(
    _ request: TransferRequest, over links: [SignedLink], followers: [String: any ContentFollower] = [:], passing: [String: any PassingContent] = [:], task: String = "download",
    began: (MirroredDownload) -> Void = { _ in }
  ) -> DownloadOutcome {
    let display = ProgressDisplay(task, mode: global.progressMode)
    defer { display.close() }
    let items = request.files.map { display.add($0.path, total: nil) }
    let quiet = global.quiet
    let missing = Mutex<[DownloadOutcome.Missing]>([])
    let count = request.files.count
    let observe: @Sendable (TransferEvent) -> Void = { event in
      switch event {
      case .progress(let file, let done, let total, let before): display.update(items[file], done: done, total: total, before: before)
      case .finished(let file, let status, let isVerified):
        // Checklists don't name every file.
        let here = status == .present ? "here already" : status == .copied ? "copied from the hub's cache" : nil
        display.finish(items[file], isVerified ? [here, "verified"].compactMap(\.self).joined(separator: ", ") : here ?? "downloaded")
      case .failed(let file, let error):
        display.finish(items[file], "failed", failed: true)
        // The first failure is the message that the program ends with; the others are told here.
        let isFirst = missing.withLock { missing in
          defer { missing.append(.init(file: file, status: .failed, why: error.description)) }
          return !missing.contains { $0.status == .failed }
        }
        if !isFirst { Console.error(error.description) }
      case .withheld(let file, let list):
        let why = "not fetched: \(list) should vouch for it"
        missing.withLock { $0.append(.init(file: file, status: .withheld, why: why)) }
        display.finish(items[file], why, failed: true)
      case .skipped(let file):
        missing.withLock { $0.append(.init(file: file, status: .skipped)) }
        display.update(items[file], done: 0, total: 0)
        display.finish(items[file], "not on the server, and not needed")
      case .note(let text): if !quiet { Console.note("note: \(text)") }
      }
    }
    let confirm: @Sendable (TransferSurvey) -> Bool = { survey in Self.confirm(survey, count) }
    let newLink = readLink.map { readLink in { @Sendable (error: TransferError) throws -> SignedLink? in try Self.askForLink(error, readLink) } }
    let download = MirroredDownload(
      request, over: links, followers: followers, passing: passing, observe: observe, confirm: confirms ? confirm : nil, newLink: newLink)
    Interruption.onSignal { download.cancel() }
    Console.outliveReaders()
    began(download)
    let (report, failure) = download.runToEnd()
    return DownloadOutcome(files: request.files.map(\.path), report: report, failure: failure, missing: missing.withLock { $0 })
  }

  /// Writes the receipts, and says of each how it ended.
  func write(_ receipts: [DownloadReceipt]) throws {
    let display = ProgressDisplay("fingerprint", mode: global.progressMode)
    defer { display.close() }
    let isStopped = StopFlag()
    Interruption.onSignal { isStopped.raise() }
    for receipt in receipts {
      let item = display.add(receipt.name, total: nil)
      switch try receipt.write(progress: { display.update(item, done: $0, total: $1) }, isCancelled: { isStopped.isRaised }) {
      case .present: display.finish(item, "receipt is here already")
      case .ofAnother: display.finish(item, "no receipt written: the folder has one of something else")
      case .written(let bytesRead): display.finish(item, bytesRead > 0 ? "receipt written, \(Format.bytes(bytesRead)) read again for it" : "receipt written")
      case .writtenWithoutFingerprint(let error):
        display.finish(item, "receipt written, without fingerprint")
        if !global.quiet { Console.note("note: the receipt of \(receipt.name) has no fingerprint: \(error)") }
      }
    }
  }

  private static func confirm(_ survey: TransferSurvey, _ files: Int) -> Bool {
    guard survey.bytes > 0 else { return true }
    var text = "\(Format.bytes(survey.bytes)) to fetch in \(survey.files) of \(files) files"
    if let free = survey.free { text += ", \(Format.bytes(free)) free" }
    if let expiry = survey.expiry { text += "; the link ends in \(Format.duration(Double(max(0, expiry - secondsSinceEpoch()))))" }
    // Without a terminal there is nobody to ask, and the download starts.
    do { return try Console.confirm("\(text). Go on?") ?? true } catch { return false }
  }

  private static func askForLink(_ error: TransferError, _ readLink: (String) throws -> (link: SignedLink, notes: [String])) throws -> SignedLink? {
    Console.note("\(error)")
    while let text = try Console.askSecret("A new link to go on with (it is not shown; empty to stop): "), !text.isEmpty {
      do {
        let (link, notes) = try readLink(text)
        for sentence in notes { Console.note("note: \(sentence)") }
        return link
      } catch { Console.note("\(error)") }
    }
    return nil
  }
}

/// What came of a download, and what didn't.
struct DownloadOutcome: Sendable {
  /// A file that didn't come.
  struct Missing: Sendable {
    enum Status: String {
      case failed
      /// Not asked for, since the list that should vouch for it couldn't be had.
      case withheld
      /// Not on the server, and not needed.
      case skipped
      /// The run ended before it; the next one goes on with it.
      case unfinished
    }

    /// Which of the files.
    let file: Int
    let status: Status
    var why: String?
  }

  /// All files' paths.
  let files: [String]
  let report: TransferReport
  /// The gravest of what went wrong.
  let failure: TransferError?
  let missing: [Missing]

  /// The same with the files' other names, of which one may have several.
  func renamed(_ names: [String: [String]]) -> DownloadOutcome {
    func renamed(_ path: String) -> [String] { names[path] ?? [path] }
    var report = report
    report.files = report.files.flatMap { file in
      renamed(file.path).map { name in
        var file = file
        file.path = name
        return file
      }
    }
    let first = files.reduce(into: [0]) { $0.append(($0.last ?? 0) + renamed($1).count) }
    let missing = missing.flatMap { one in (first[one.file]..<first[one.file + 1]).map { Missing(file: $0, status: one.status, why: one.why) } }
    return DownloadOutcome(files: files.flatMap(renamed), report: report, failure: failure, missing: missing)
  }

  /// With what came of another, of other files.
  func joined(_ other: DownloadOutcome) -> DownloadOutcome {
    var report = report
    report.files += other.report.files
    report.bytes += other.report.bytes
    report.seconds += other.report.seconds
    return DownloadOutcome(
      files: files + other.files, report: report, failure: failure ?? other.failure,
      missing: missing + other.missing.map { .init(file: files.count + $0.file, status: $0.status, why: $0.why) })
  }
}
