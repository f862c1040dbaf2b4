import Synchronization

/// A download of files that several servers have. The servers are asked in turn: what one doesn't give, gives wrong or stops giving comes from the next, which
/// goes on with what is here already. So do files that the rest is of use without, such as a licence; none of them is a failure in the end.
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
    var files = Array(request.files.indices)
    // Whether all has come but what the rest is of use without, which alone is asked for then.
    var isRest = false
    for (index, link) in mirrors.enumerated() {
      let next = mirrors.dropFirst(index + 1).first
      guard let download = begin(link, files, isRest: isRest, next) else { return (whole, .interrupted) }
      let (report, failure) = download.runToEnd()
      whole = Self.joined(whole, report, request)
      if let failure {
        guard failure.isOfOneServer else { return (whole, failure) }
        if !isRest { failures.append(failure) }
        guard let next else { break }
        // A link that opened nothing was given up as a whole.
        if !state.withLock({ $0.hasTold }) { tell(failure, of: files.count == 1 ? request.files[files[0]].path : nil, from: link, next) }
      } else {
        let here = Set(whole.files.map(\.path))
        files.removeAll { here.contains(request.files[$0].path) }
        guard let next, !files.isEmpty else {
          if isRest { break } else { return (whole, nil) }
        }
        isRest = true
        for file in files { observe(.note("\(request.files[file].path): \(link.origin) hasn't got it; \(next.origin) is asked next")) }
      }
    }
    if isRest {
      for file in files where !whole.files.contains(where: { $0.path == request.files[file].path }) { observe(.skipped(file: file)) }
      return (whole, nil)
    }
    // Damage weighs more than absence.
    return (whole, failures.first(where: \.isDamage) ?? failures.last)
  }

  /// - Parameters:
  ///   - files: those that are asked for, by their index.
  ///   - isRest: whether all others have come, and it does without these.
  ///   - next: where what isn't had from this link is asked for.
  /// - Returns: nil when all was cancelled.
  private func begin(_ link: SignedLink, _ files: [Int], isRest: Bool, _ next: SignedLink?) -> Download? {
    var request = request
    request.files = files.map { self.request.files[$0] }
    if next != nil || isRest { request.retry.limit = min(request.retry.limit ?? .max, Self.tries) }
    let download = Download(
      request, link: link, followers: followers, passing: passing, observe: { self.tell($0.renumbered(files), isRest: isRest, from: link, next) }, confirm: confirm.map(onlyOnce),
      newLink: newLink)
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
  private func tell(_ event: TransferEvent, isRest: Bool, from link: SignedLink, _ next: SignedLink?) {
    switch event {
    case .progress(let file, _, _, _): if state.withLock({ $0.finished.contains(file) }) { return }
    case .finished(let file, _, _): if !state.withLock({ $0.finished.insert(file).inserted }) { return }
    case .failed(let file, let error):
      guard error.isOfOneServer else { break }
      // In the end it is told that there is none.
      guard let next else { if isRest { return } else { break } }
      state.withLock { $0.hasTold = true }
      return tell(error, of: request.files[file].path, from: link, next)
    case .withheld, .skipped: if next != nil || isRest { return }
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

extension TransferEvent {
  /// The same of files that have other numbers.
  fileprivate func renumbered(_ files: [Int]) -> Self {
    switch self {
    case .progress(let file, let done, let total, let before): .progress(file: files[file], done: done, total: total, before: before)
    case .finished(let file, let status, let isVerified): .finished(file: files[file], status, isVerified: isVerified)
    case .failed(let file, let error): .failed(file: files[file], error)
    case .skipped(let file): .skipped(file: files[file])
    case .withheld(let file, let list): .withheld(file: files[file], list: list)
    case .note: self
    }
  }
}
