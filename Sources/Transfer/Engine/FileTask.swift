import Integrity
import Platform

/// One file of a download, as the engine sees it.
final class FileTask {
  enum Stage: Equatable {
    /// For its checklist.
    case waiting
    /// What is here already is being looked at.
    case preparing
    case fetching
    /// What is here is being thrown away, to begin anew.
    case clearing
    /// Everything is here; what is left is hashed and written.
    case verifying
    /// It gets its name, or is removed.
    case closing
    case finished(TransferReport.Status)
    case skipped
    case failed

    var isOver: Bool {
      switch self {
      case .finished, .skipped, .failed: true
      default: false
      }
    }
  }

  let index: Int
  let request: TransferRequest.File
  let part: any LandingPlace
  /// Where it is kept; nil for one that passes by.
  let partial: PartialFile?
  let follower: (any ContentFollower)?
  var stage = Stage.waiting
  var expected: Digest?
  /// What came of it, once it is whole.
  var result: Result?

  struct Result {
    let hash: FileHash
    let isFollowed: Bool

    init(_ chain: FileChain) { (hash, isFollowed) = (chain.hash, chain.isFollowed) }
  }

  /// Whether the server answered for this file in this run.
  var isMet = false
  /// Whether nothing may start before it has.
  var mustBeMet = false
  /// Whether ranges can be asked for.
  var takesRanges = true
  /// What will go through the file, as long as nothing of it has come or is to be written.
  private(set) var chain: FileChain?
  /// All of a small file, until it is on its way to the disk.
  var content: [UInt8]?
  /// Whether it comes out of a store on this machine.
  var isCopied = false
  /// Whether it was asked for in this run.
  var isAsked = false
  /// Another program's beginning of the file, under its final name.
  var beginning: FileChain?
  var connections: [Connection] = []

  private(set) var length: Int?
  /// What is here, or with the workers.
  private(set) var arrived = RangeSet<Int>()
  /// What neither is here nor asked for; empty before the length is known.
  private(set) var unasked = RangeSet<Int>()

  /// Failures in a row, without a new byte between them.
  var failures = 0
  /// How many of them say something about this file, rather than of the network.
  var counted = 0
  var failedAt = 0.0
  /// Not before this time on the steady clock.
  var notBefore = 0.0
  /// The most of it that was ever here in this run, and since when; nil as long as nothing came.
  private(set) var lastNewByte: Double?
  private var most = 0
  /// Seconds that the first byte of an answer is waited for; more after each time that it was too few. nil for what is usual.
  var patience: Double?
  /// Why nothing is asked for now: it was refused, or something else came in its place, and it isn't known whether that is the link's fault.
  var held: TransferError?
  /// What to say of the last refusal, if the link opens others.
  var refusalWords = ""
  /// Nothing is asked for again, unless with another link.
  var isDenied = false
  /// Refusals and pages in a row.
  var refusals = 0
  /// Another length than the one known, and how often in a row the server has said it.
  var otherLength: (length: Int, count: Int)?
  /// Whether compression is undone on the way.
  var decodes = false
  /// Times that what was here had to be thrown away.
  var freshStarts = 0
  /// Bytes that were here before this run.
  var before = 0
  /// What the hash depends on was read from the wire in this run, in one answer whose length was promised.
  var isAboveDoubt = true
  var isAllocated = false
  /// Bytes that were here when the observer was last told.
  var reported = -1

  init(index: Int, request: TransferRequest.File, part: any LandingPlace, follower: (any ContentFollower)?) {
    self.index = index
    self.request = request
    self.part = part
    partial = part as? PartialFile
    self.follower = follower
  }

  /// git's name for it, where its publisher says that.
  var blob: GitBlobID? { if case .blob(let id)? = request.digest { id } else { nil } }
  /// Whether something will tell in the end whether it is right.
  var isVouchedFor: Bool { expected != nil || blob != nil }
  var isChecklist: Bool { request.path.hasSuffix(".chk") }
  var validators: Validators { part.state.peek { $0.validators } }
  var newChain: FileChain { FileChain(expected?.algorithm ?? .sha256, follower: follower, of: PartlyHere(part)) }

  /// Everything before this byte is here, or with the workers.
  var prefixEnd: Int { arrived.prefixEnd }
  var isFullyArrived: Bool { length == prefixEnd }

  /// Whether it may come in one piece and be kept in memory until then.
  var isSmall: Bool { chain != nil && partial != nil && follower == nil && request.repair == nil && !isChecklist && length.map { $0 <= WholeFile.mostBytes } ?? false }

  /// Begins with nothing.
  func begin(with chain: FileChain) { self.chain = chain }

  /// The chain, for whoever takes the file's bytes through it.
  func takeChain() -> FileChain? {
    defer { chain = nil }
    return chain
  }

  /// Begins with what an earlier run has left.
  func begin(with arrived: RangeSet<Int>, length: Int?) {
    self.arrived = arrived
    self.length = length
    unasked = length.map { RangeSet(0..<$0).subtracting(arrived) } ?? RangeSet()
    before = arrived.total
    most = max(most, before)
  }

  /// Looks whether something new is here.
  func notice(_ now: Double) -> Bool {
    guard arrived.total > most else { return false }
    (most, lastNewByte) = (arrived.total, now)
    (failures, counted, refusals) = (0, 0, 0)
    return true
  }

  /// Has every byte count as new, in place of what is thrown away.
  func forgetMost() { most = 0 }

  /// Begins to be patient again: there is another link.
  func forgive() {
    (notBefore, failures, counted, refusals) = (0, 0, 0, 0)
    (held, isDenied) = (nil, false)
  }

  func learn(length: Int) {
    guard self.length != length else { return }
    self.length = length
    unasked = RangeSet(0..<length).subtracting(arrived)
    for connection in connections { unasked.remove(contentsOf: connection.published..<max(connection.published, min(length, connection.limit))) }
  }

  /// Takes account of bytes that a connection has brought.
  func arrive(_ range: Range<Int>) { arrived.insert(contentsOf: range) }

  /// Takes account of a request for `range`.
  func ask(_ range: Range<Int>) { unasked.remove(contentsOf: range) }

  /// Takes account of a request that won't bring `range`.
  func giveBack(_ range: Range<Int>) {
    guard let length else { return }
    unasked.insert(contentsOf: range.clamped(to: 0..<length))
    unasked.subtract(arrived)
  }
}
