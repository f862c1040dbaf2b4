import Glibc
import Integrity
import Synchronization

/// Follows the prefixes of several files, side by side where more than one has something new: MD5s as lanes of a vector register, SHA-256s in pairs.
///
/// What it reads was written a moment ago, so it comes out of the page cache. A file's two hashes run on different threads.
final class PrefixHasher {
  private let parts: [PartialFile]
  private let mailbox: Mailbox<EngineMessage>
  private let gangs: Gangs
  private let memory: UnsafeMutableRawBufferPointer
  private var patience = (md5: mostPatience, sha256: mostPatience)
  private static let mostPatience = 4
  /// Bytes of a file at a time: all lanes together stay in a core's cache between reading and hashing.
  private static let chunkBytes = 128 << 10
  /// Sixteen buffers at the same place of a page would all want the same lines of the first cache.
  private static let stride = chunkBytes + 4096 + 64

  /// Of all threads only so many do MD5 at a time: sixteen files in one thread's lanes take little longer than one, and much less than four in each
  /// of four threads'.
  final class Gangs: Sendable {
    private let free: Mutex<Int>
    init(threads: Int) { free = Mutex(max(1, threads / 2)) }

    fileprivate func enter() -> Bool {
      free.withLock { free in
        guard free > 0 else { return false }
        free -= 1
        return true
      }
    }

    fileprivate func leave() { free.withLock { $0 += 1 } }
  }

  init(_ parts: [PartialFile], _ mailbox: Mailbox<EngineMessage>, _ gangs: Gangs) {
    self.parts = parts
    self.mailbox = mailbox
    self.gangs = gangs
    memory = .allocate(byteCount: PrefixHash.lanes * Self.stride, alignment: 4096)
  }

  deinit { memory.deallocate() }

  /// Hashes what there is to hash, for a moment.
  /// - Returns: whether there was anything.
  func work() -> Bool {
    if gangs.enter() {
      defer { gangs.leave() }
      if follow(\.md5, &patience.md5) { return true }
    }
    return follow(\.sha256, &patience.sha256)
  }

  /// - Parameter patience: looks for company that are left; there is one every few milliseconds.
  private func follow<Hash>(_ chain: WritableKeyPath<PartialFile.State, PartialFile.Chain<Hash>> & Sendable, _ patience: inout Int) -> Bool {
    var turns: [(index: Int, turn: PartialFile.HashingTurn<Hash>)] = []
    for (index, part) in parts.enumerated() where turns.count < Hash.lanes {
      if let turn = part.take(chain) { turns.append((index, turn)) }
    }
    guard !turns.isEmpty else { return false }
    // A full register takes no longer than one lane: the other files will have something in a moment.
    if patience > 0, turns.count < Hash.lanes, turns.allSatisfy(\.turn.canWait), parts.contains(where: { $0.isGrowing(chain) }) {
      patience -= 1
      for entry in turns { _ = parts[entry.index].giveBack(chain, entry.turn) }
      return false
    }
    patience = Self.mostPatience
    var hashes = turns.map(\.turn.hash)
    // A few rounds before the others hear of it: the lock and the look around are worth more than one chunk.
    for _ in 0..<8 {
      let chunks = turns.indices.map { read(turns[$0].turn, of: turns[$0].index, at: hashes[$0], lane: $0) }
      Hash.take(&hashes, chunks)
      // Lanes that ran dry would be paid for too.
      if 2 * chunks.count(where: { $0.count == Self.chunkBytes }) <= min(turns.count, Hash.lanes) { break }
    }
    for (lane, entry) in turns.enumerated() {
      var turn = entry.turn
      turn.hash = hashes[lane]
      if parts[entry.index].giveBack(chain, turn) { mailbox.post(.hashed(file: entry.index)) }
    }
    return true
  }

  private func read<Hash>(_ turn: PartialFile.HashingTurn<Hash>, of index: Int, at hash: Hash, lane: Int) -> UnsafeRawBufferPointer {
    let buffer = UnsafeMutableRawBufferPointer(rebasing: memory[lane * Self.stride..<lane * Self.stride + Self.chunkBytes])
    let room = min(buffer.count, turn.end - hash.position, hash.room)
    guard room > 0 else { return UnsafeRawBufferPointer(rebasing: buffer[..<0]) }
    var count = pread(turn.descriptor, buffer.baseAddress, room, off_t(hash.position))
    while count < 0, errno == EINTR { count = pread(turn.descriptor, buffer.baseAddress, room, off_t(hash.position)) }
    // What was written must be there to be read.
    if count <= 0 { parts[index].noteFailure(count < 0 ? errno : EIO, generation: turn.generation) }
    return UnsafeRawBufferPointer(rebasing: buffer[..<max(0, count)])
  }
}
