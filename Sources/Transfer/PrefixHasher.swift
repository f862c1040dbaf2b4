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
      if follow(\.md5) { return true }
    }
    return follow(\.sha256)
  }

  private func follow<Hash>(_ chain: WritableKeyPath<PartialFile.State, PartialFile.Chain<Hash>> & Sendable) -> Bool {
    var turns: [(index: Int, turn: PartialFile.HashingTurn<Hash>)] = []
    for (index, part) in parts.enumerated() where turns.count < Hash.lanes {
      if let turn = part.take(chain) { turns.append((index, turn)) }
    }
    guard !turns.isEmpty else { return false }
    if turns.count == 1, Hash.lanes > 1, turns[0].turn.canWait, parts.indices.contains(where: { $0 != turns[0].index && parts[$0].isGrowing }) {
      // Two at once take no longer than one: another file will have something in a moment.
      _ = parts[turns[0].index].giveBack(chain, turns[0].turn)
      return false
    }
    var hashes = turns.map(\.turn.hash)
    // A few rounds before the others hear of it: the lock and the look around are worth more than one chunk.
    for _ in 0..<8 {
      let chunks = turns.indices.map { read(turns[$0].turn, of: turns[$0].index, at: hashes[$0], lane: $0) }
      if chunks.allSatisfy(\.isEmpty) { break }
      Hash.take(&hashes, chunks)
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
