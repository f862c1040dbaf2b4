import Glibc
import Integrity

/// Follows the prefixes of several files, side by side in the lanes of a vector register where more than one has something new.
///
/// What it reads was written a moment ago, so it comes out of the page cache.
final class PrefixHasher {
  private let parts: [PartialFile]
  private let mailbox: Mailbox<EngineMessage>
  private let memory: UnsafeMutableRawBufferPointer
  /// Bytes of a file at a time: all lanes together stay in a core's cache between reading and hashing.
  private static let chunkBytes = 128 << 10
  /// Sixteen buffers at the same place of a page would all want the same lines of the first cache.
  private static let stride = chunkBytes + 4096 + 64

  init(_ parts: [PartialFile], _ mailbox: Mailbox<EngineMessage>) {
    self.parts = parts
    self.mailbox = mailbox
    memory = .allocate(byteCount: Self.stride * min(MD5.lanes, max(1, parts.count)), alignment: 4096)
  }

  deinit { memory.deallocate() }

  /// Hashes what there is to hash, for a moment.
  /// - Returns: whether there was anything.
  func work() -> Bool {
    var turns: [(index: Int, turn: PartialFile.HashingTurn)] = []
    for (index, part) in parts.enumerated() where turns.count < MD5.lanes {
      if let turn = part.takeHash(worth: 2 * Self.chunkBytes) { turns.append((index, turn)) }
    }
    guard !turns.isEmpty else { return false }
    var hashes = turns.map(\.turn.hash)
    // A few rounds before the others hear of it: the lock and the look around are worth more than one chunk.
    for _ in 0..<8 {
      let chunks = turns.indices.map { read(turns[$0].turn, of: turns[$0].index, at: hashes[$0], lane: $0) }
      if chunks.allSatisfy(\.isEmpty) { break }
      PrefixHash.take(&hashes, chunks)
    }
    for (lane, entry) in turns.enumerated() {
      var turn = entry.turn
      turn.hash = hashes[lane]
      parts[entry.index].returnHash(turn)
      if parts[entry.index].isWhole { mailbox.post(.whole(file: entry.index)) }
    }
    return true
  }

  private func read(_ turn: PartialFile.HashingTurn, of index: Int, at hash: PrefixHash, lane: Int) -> UnsafeRawBufferPointer {
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
