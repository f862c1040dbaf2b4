import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// One file on its way through a `HashPipeline`.
///
/// What is counted here changes only under the pipeline's lock; the file belongs to the task that reads, a chain's hash to the task that hashes.
final class HashStream {
  /// A hash and how far it is.
  struct Chain<Hash: StreamingHash> {
    let isWanted: Bool
    var hash = Hash()
    var chunksDone = 0
    var isBusy = false
  }

  let job: Int
  let buffers: ChunkBuffers
  var file: SequentialFile?
  var isReading = false
  /// No more chunks will come.
  var hasEnded = false
  var failure: Errno?
  var chunksRead = 0
  /// The chunks read last.
  var chunks: [UnsafeRawBufferPointer]
  var md5: Chain<MD5>
  var sha256: Chain<SHA256>

  init(job: Int, _ request: FileHasher.Job, buffers: ChunkBuffers) {
    self.job = job
    self.buffers = buffers
    chunks = .init(repeating: UnsafeRawBufferPointer(start: nil, count: 0), count: buffers.count)
    md5 = Chain(isWanted: request.algorithms.contains(.md5))
    sha256 = Chain(isWanted: request.algorithms.contains(.sha256))
  }

  /// Chunks that nobody needs any more.
  var chunksDone: Int { min(md5.isWanted ? md5.chunksDone : chunksRead, sha256.isWanted ? sha256.chunksDone : chunksRead) }

  var bytesDone: Int { Int(md5.isWanted ? md5.hash.byteCount : sha256.hash.byteCount) }

  var canRead: Bool { !isReading && !hasEnded && chunksRead - chunksDone < buffers.count }

  func canHash<Hash>(_ chain: Chain<Hash>) -> Bool { chain.isWanted && !chain.isBusy && chain.chunksDone < chunksRead && failure == nil }

  /// The chunk that is next on `chain`.
  func chunk<Hash>(_ chain: Chain<Hash>) -> UnsafeRawBufferPointer { chunks[chain.chunksDone % buffers.count] }

  /// What came of it, once it is over.
  var outcome: Result<FileHasher.Outcome, Errno>? {
    guard !isReading, !md5.isBusy, !sha256.isBusy, hasEnded else { return nil }
    if let failure { return .failure(failure) }
    guard chunksDone == chunksRead else { return nil }
    var digests: [HashAlgorithm: Digest] = [:]
    if md5.isWanted { digests[.md5] = md5.hash.finalize() }
    if sha256.isWanted { digests[.sha256] = sha256.hash.finalize() }
    return .success(.init(bytes: bytesDone, digests: digests))
  }
}

/// The memory that a file's chunks are read into, in turns.
final class ChunkBuffers {
  let count: Int
  private let bytes: Int
  private let memory: UnsafeMutableRawPointer
  private let shift: Int

  /// - Parameter shift: bytes from the start of a page to the start of each buffer.
  init(bytes: Int, count: Int, shift: Int) {
    self.bytes = bytes
    self.count = count
    self.shift = shift
    memory = .allocate(byteCount: (bytes + 4096) * count, alignment: 4096)
  }

  deinit { memory.deallocate() }

  subscript(chunk: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: memory + (bytes + 4096) * (chunk % count) + shift, count: bytes)
  }
}
