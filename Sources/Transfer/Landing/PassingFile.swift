import Integrity
import Platform
import SystemPackage

/// Somebody who makes something else of a file's bytes as they come, so that the file itself needn't be kept.
public protocol PassingContent: AnyObject, Sendable {
  /// The file's bytes, where its taker knows how many there are: of a file that has another length on the server it takes none.
  var length: Int? { get }
  /// Bytes that wait in memory at most, until it is done with them.
  var window: Int { get }
  /// Only bytes before this one may come now: the first that it isn't done with, and the window behind that.
  var windowEnd: Int { get }

  /// Where an earlier run had come to, whose bytes don't come again; nil for the file's beginning.
  var beginning: ChainPoint? { get }

  /// The file's bytes come from now on.
  /// - Parameter more: to be called when the window has moved on. May be called on any thread.
  func begin(_ more: @escaping @Sendable () -> Void)

  /// Takes some bytes of the file, and may keep them in memory. Called on several threads, in any order, with each byte once; nobody waits in it. Whether they
  /// are right is known when the download ends.
  func take(_ bytes: PassingBytes)

  /// All bytes before `point` were taken and hashed: from there another run can go on. Called for ever later points.
  func hashed(_ point: ChainPoint)
}

extension PassingContent {
  public var length: Int? { nil }
  public var beginning: ChainPoint? { nil }
  public func hashed(_ point: ChainPoint) {}
}

/// What a window has room for beyond what its owner needs at one time: less isn't asked for.
public enum PassingLimits {
  public static let leastRequest = 1 << 20
}

/// Bytes of a file where the network has put them. Their memory is lent for as long as this value lives.
public struct PassingBytes: Sendable {
  /// Which of the file's.
  public let range: Range<Int>
  private let block: Block

  init(_ block: Block, _ range: Range<Int>) { (self.block, self.range) = (block, range) }

  /// - Parameter part: lies in `range`.
  public func withBytes<R>(_ part: Range<Int>, _ body: (UnsafeRawBufferPointer) -> R) -> R { withExtendedLifetime(block) { body(block[part]) } }
}

/// A file of which nothing goes to the disk: its bytes are hashed on their way to somebody else.
///
/// What has passed can't be had back, so a file that has to begin anew fails.
final class PassingFile: LandingPlace {
  let name: String
  let state = Monitor(PartialFile.State())
  private let content: any PassingContent

  init(name: String, content: any PassingContent) { (self.name, self.content) = (name, content) }

  /// - Parameter expected: what the whole should hash to.
  /// - Returns: what goes through it; nil where what passed of it before can't be gone on from.
  func begin(_ expected: Digest?, _ more: @escaping @Sendable () -> Void) -> FileChain? {
    let algorithm = expected?.algorithm ?? .sha256
    let point = content.beginning.flatMap { $0.position > 0 ? $0 : nil }
    guard point?.hash.algorithm ?? algorithm == algorithm else { return nil }
    state.update { state in
      (state.isKnown, state.origin, state.length) = (true, point == nil ? .thisRun : .earlierRun, content.length)
      guard let point else { return }
      (state.length, state.validators, state.written) = (point.length, point.validators, RangeSet(0..<point.position))
    }
    content.begin(more)
    guard let point else { return FileChain(algorithm, follower: nil, of: PartlyHere(self)) }
    return FileChain(resuming: point.hash, follower: nil, followerState: nil, of: PartlyHere(self))
  }

  func hashed(_ hash: FileHash) {
    let (length, validators) = state.peek { ($0.length, $0.validators) }
    if let length { content.hashed(ChainPoint(hash: hash, length: length, validators: validators)) }
  }

  /// As its taker knows it.
  var length: Int? { content.length }
  var window: Int { content.window }
  var askableEnd: Int { content.windowEnd }
  /// All that there will ever be.
  var bytesOnDisk: Int { .max }

  func allocate(_ length: Int) {}

  func write(_ block: Block, _ range: Range<Int>) { content.take(PassingBytes(block, range)) }

  func read(into memory: UnsafeMutableRawBufferPointer, at offset: Int) throws(Errno) { throw .badFileDescriptor }

  func keep(_ snapshot: Landing.Snapshot, isClosed: Bool) -> Bool { true }

  /// Only before a byte has passed.
  func startAfresh() {}

  func commit(_ snapshot: Landing.Snapshot) -> String? { nil }

  func discard(keeping: Bool) -> String? { nil }

  func close() {}
}
