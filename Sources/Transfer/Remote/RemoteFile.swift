import Platform
import Synchronization

/// One file on a server, of which only ranges are fetched. Nothing of it goes to disk.
public final class RemoteFile: Sendable {
  private struct State {
    var count: Int?
    var validators = Validators()
    /// Whether the server compresses what it was asked not to compress, and it is undone.
    var isDecoding = false
    /// When the last byte came, by the steady clock.
    var lastByte: Double?
    /// Whether the server has given a part.
    var givesParts = false
    /// The file from its start, as far as it is kept: the first answer, or all that a server without ranges sent.
    var beginning: [UInt8] = []
  }

  private let session: RemoteSession
  private let link: SignedLink
  private let remote: String
  /// What messages call it.
  private let path: String
  private let state = Mutex(State())

  /// What the first request asks for.
  private static let firstBytes = 128 << 10
  /// A server that can't give parts may give as much as this as a whole.
  static let smallBytes = 4 << 20

  /// Asks for the file's beginning, and learns from the answer how long it is.
  ///
  /// - Parameters:
  ///   - link: opens the file.
  ///   - remote: what stands for its `*`; empty for a link to one file.
  ///   - path: what messages call it.
  public init(_ link: SignedLink, _ remote: String = "", as path: String, session: RemoteSession) throws(TransferError) {
    self.session = session
    self.link = link
    self.remote = remote
    self.path = path
    try state.withLock { state throws(TransferError) in
      state.beginning = try fetch(0..<Self.firstBytes, &state)
    }
  }

  /// Bytes of the whole file, as the server says.
  public var count: Int { state.withLock { $0.count ?? $0.beginning.count } }

  /// Whether the server gives parts of it; one that doesn't may have given a small file as a whole.
  public var comesInParts: Bool { state.withLock { $0.givesParts } }

  /// Exactly the bytes of `range`, which lies within `0..<count`.
  /// - Throws: also when the file on the server isn't the one any more that the first range was of.
  public func bytes(in range: Range<Int>) throws(TransferError) -> [UInt8] {
    try state.withLock { state throws(TransferError) in
      let here = range.clamped(to: 0..<state.beginning.count)
      var bytes = Array(state.beginning[here.lowerBound == range.lowerBound ? here : 0..<0])
      if bytes.count < range.count { bytes += try fetch(range.lowerBound + bytes.count..<range.upperBound, &state) }
      return bytes
    }
  }

  /// Asks until all of `range` is here that the file has, or patience ends.
  private func fetch(_ range: Range<Int>, _ state: inout State) throws(TransferError) -> [UInt8] {
    var bytes: [UInt8] = []
    var failures = 0
    var patience = session.stallSeconds
    while true {
      let end = min(range.upperBound, state.count ?? .max)
      guard range.lowerBound + bytes.count < end else { return bytes }
      let before = bytes.count
      let asked = range.lowerBound + before..<end
      let answer = session.ask(link.address(of: remote), asked, length: state.count, validators: state.validators, isDecoding: state.isDecoding, patience: patience)
      if let whole = try accept(answer, asked, &state, &bytes) { return Array(whole[range.clamped(to: 0..<whole.count)]) }
      if bytes.count > before { state.lastByte = steadySeconds() }
      guard let obstacle = answer.obstacle else { continue }
      if answer.gained == 0, answer.hasTimedOut { patience = max(patience, min(patience * 2, session.retry.mostPatience)) }
      // Retries are for servers that bring something on.
      failures = bytes.count - before >= 4096 ? 1 : failures + 1
      // Somebody waits for a look at a file: a few tries tell, unless a time was asked for.
      let silence = session.retry.time == nil || !answer.mayPass ? nil : state.lastByte.map { steadySeconds() - $0 }
      if let end = session.retry.end(failures: failures, silence: silence) { throw unreadable(obstacle + end + "; try again later") }
      session.wait(session.retry.delay(after: failures, asked: answer.head.retryAfter, random: .random(in: 0..<1)))
    }
  }

  /// Takes what an answer brought.
  /// - Returns: the whole file, where the server gave that in place of a part.
  private func accept(_ answer: RemoteSession.Answer, _ asked: Range<Int>, _ state: inout State, _ bytes: inout [UInt8]) throws(TransferError) -> [UInt8]? {
    switch answer.judgement {
    case .part(let total, let end):
      guard let total else { throw unreadable("it gives a part of the file without saying how long the whole is") }
      (state.count, state.givesParts) = (total, true)
      state.validators = answer.head.validators
      if asked.lowerBound == 0, answer.isHTML { throw .html(path: path, origin: link.origin) }
      bytes += answer.body.prefix(end - asked.lowerBound)
    case .whole where answer.isHTML: throw .html(path: path, origin: link.origin)
    case .whole(let total):
      if max(total ?? 0, answer.gained) > Self.smallBytes {
        throw unreadable("it gives files only as a whole, and this one is large; `drover download` takes it")
      }
      guard answer.failure == nil else { return nil }
      state.count = answer.body.count
      state.validators = answer.head.validators
      state.beginning = answer.body
      return answer.body
    case .complete(let total): state.count = total
    case .encoded: state.isDecoding = true
    case .changed, .otherLength: throw unreadable("the file changed on the server while it was read; run the same command again")
    case .refused:
      let refusal = Refusal(answer.head, excerpt: answer.excerpt)
      throw .refused(path: path, status: answer.head.status, why: refusal.words(link, host: answer.head.asked ?? link.origin, next: "ask for a new link"))
    case .missing: throw .missing(path: path, status: answer.head.status)
    case .html: throw .html(path: path, origin: link.origin)
    case .busy:
      if let wait = answer.head.retryAfter, wait > session.retry.longestRetryAfter {
        throw unreadable("the server asks to come back in \(Moment.ago(Int(min(wait, 1e9))))")
      }
    default: break
    }
    if case .final(let why)? = answer.failure { throw unreadable(why) }
    return nil
  }

  private func unreadable(_ why: String) -> TransferError { .unreadable(path: path, origin: link.origin, why: why) }
}
