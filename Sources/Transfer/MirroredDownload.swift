import Synchronization

/// A download of files that several servers have. The servers are asked in turn: what one doesn't give, gives wrong or stops giving comes from the next, which
/// goes on with what is here already.
public final class MirroredDownload: Sendable {
  private struct State {
    var isCancelled = false
    var current: Download?
    var hasAgreed = false
    /// Whether it was said why the current server didn't give a file.
    var hasTold = false
    /// Files that have come, by their index.
    var finished: Set<Int> = []
  }

  private let request: TransferRequest
  private let mirrors: [SignedLink]
  private let followers: [String: any ContentFollower]
  private let passing: [String: any PassingContent]
  private let observe: @Sendable (TransferEvent) -> Void
  private let confirm: (@Sendable (TransferSurvey) -> Bool)?
  private let newLink: (@Sendable (TransferError) throws -> SignedLink?)?
  private let state = Mutex(State())

  /// Tries without a new byte before a server is given up that isn't the last: others have the same.
  private static let tries = 2

  /// - Parameters:
  ///   - mirrors: at least one; one only where something passes, which can't be had back for another.
  ///   - newLink: asked for another link where there is one mirror only.
  ///
  /// The others are `Download`'s.
  public init(
    _ request: TransferRequest, over mirrors: [SignedLink], followers: [String: any ContentFollower] = [:], passing: [String: any PassingContent] = [:],
    observe: @escaping @Sendable (TransferEvent) -> Void = { _ in }, confirm: (@Sendable (TransferSurvey) -> Bool)? = nil, newLink: (@Sendable (TransferError) throws -> SignedLink?)? = nil
  ) {
    (self.request, self.mirrors, self.followers, self.passing) = (request, passing.isEmpty ? mirrors : Array(mirrors.prefix(1)), followers, passing)
    (self.observe, self.confirm, self.newLink) = (observe, confirm, self.mirrors.count == 1 ? newLink : nil)
  }

  /// As `Download.cancel`.
  public func cancel() {
    let current = state.withLock { state in
      state.isCancelled = true
      return state.current
    }
    current?.cancel()
  }

  /// As `Download.runToEnd`.
  public func runToEnd() -> (report: TransferReport, failure: TransferError?) {
    var whole = TransferReport()
    var failures: [TransferError] = []
    for (index, link) in mirrors.enumerated() {
      let next = mirrors.dropFirst(index + 1).first
      guard let download = begin(link, next) else { return (whole, .interrupted) }
      let (report, failure) = download.runToEnd()
      whole = Self.joined(whole, report, request)
      guard let failure else { return (whole, nil) }
      failures.append(failure)
      guard failure.isOfOneServer, let next else { break }
      // A link that opened nothing was given up as a whole.
      if !state.withLock({ $0.hasTold }) { tell(failure, of: request.files.count == 1 ? request.files[0].path : nil, from: link, next) }
    }
    // Damage weighs more than absence.
    guard let last = failures.last, last.isOfOneServer else { return (whole, failures.last) }
    return (whole, failures.first(where: \.isDamage) ?? last)
  }

  /// - Parameter next: where what isn't had from this link is asked for.
  /// - Returns: nil when all was cancelled.
  private func begin(_ link: SignedLink, _ next: SignedLink?) -> Download? {
    var request = request
    if next != nil { request.retry.limit = min(request.retry.limit ?? .max, Self.tries) }
    let download = Download(
      request, link: link, followers: followers, passing: passing, observe: { self.tell($0, from: link, next) }, confirm: confirm.map(onlyOnce), newLink: newLink)
    return state.withLock { state in
      (state.current, state.hasTold) = (download, false)
      return state.isCancelled ? nil : download
    }
  }

  /// What asks as `confirm` does, as long as nobody has agreed.
  private func onlyOnce(_ confirm: @escaping @Sendable (TransferSurvey) -> Bool) -> @Sendable (TransferSurvey) -> Bool {
    { survey in
      if self.state.withLock({ $0.hasAgreed }) { return true }
      let agrees = confirm(survey)
      self.state.withLock { $0.hasAgreed = agrees }
      return agrees
    }
  }

  /// Passes on what happens, but for files that have come before, and for failures that needn't stay.
  private func tell(_ event: TransferEvent, from link: SignedLink, _ next: SignedLink?) {
    switch event {
    case .progress(let file, _, _, _): if state.withLock({ $0.finished.contains(file) }) { return }
    case .finished(let file, _, _): if !state.withLock({ $0.finished.insert(file).inserted }) { return }
    case .failed(let file, let error):
      guard let next, error.isOfOneServer else { break }
      state.withLock { $0.hasTold = true }
      return tell(error, of: request.files[file].path, from: link, next)
    case .withheld, .skipped: if next != nil { return }
    case .note: break
    }
    observe(event)
  }

  private func tell(_ error: TransferError, of path: String?, from link: SignedLink, _ next: SignedLink) {
    observe(.note("\(path.map { "\($0): " } ?? "")\(link.origin): \(error.shortReason); \(next.origin) is asked next"))
  }

  /// What two runs have brought: the second finds there what the first has fetched.
  private static func joined(_ first: TransferReport, _ second: TransferReport, _ request: TransferRequest) -> TransferReport {
    let before = Dictionary(first.files.map { ($0.path, $0) }) { first, _ in first }
    let after = Dictionary(second.files.map { ($0.path, $0) }) { first, _ in first }
    let files = request.files.compactMap { file -> TransferReport.File? in
      guard var entry = after[file.path] ?? before[file.path] else { return nil }
      if let earlier = before[file.path] { (entry.status, entry.fetched) = (earlier.status, earlier.fetched) }
      return entry
    }
    return TransferReport(files: files, bytes: files.reduce(0) { $0 + $1.bytes }, seconds: first.seconds + second.seconds)
  }
}
