import SystemPackage

/// One file on its way through a `HashPipeline`.
///
/// All of it is touched only under the pipeline's lock, but for a chain's hash, which belongs to the task that hashes, and the file once it is open.
final class HashStream {
  /// A hash and how far it is.
  final class Chain<Hash: StreamingHash> {
    let isWanted: Bool
    var hash = ChainedHash<Hash>()
    var chunksDone = 0
    var isBusy = false

    init(isWanted: Bool) { self.isWanted = isWanted }
  }

  /// A stretch of the file in memory.
  struct Chunk {
    let bytes: UnsafeRawBufferPointer
    let buffer: ReadBuffer
  }

  let job: Int
  /// nil until it was looked at.
  var file: ReadOnceFile?
  var failure: Errno?
  var isLooking = false
  /// Up to which byte it is known whether the page cache has it, and whether it has the last window of that.
  var knownBytes = 0
  var isCached = false
  /// Chunks that were read or are being read.
  var chunksAsked = 0
  var readsUnderWay = 0
  /// Those that were read, and that a chain still needs.
  var chunks: [Int: Chunk] = [:]
  private var chunksReleased = 0
  let md5: Chain<MD5>
  let sha256: Chain<SHA256>

  init(job: Int, _ request: FileHasher.Job) {
    self.job = job
    md5 = Chain(isWanted: request.algorithms.contains(.md5))
    sha256 = Chain(isWanted: request.algorithms.contains(.sha256))
  }

  private var chunkCount: Int {
    guard let file, md5.isWanted || sha256.isWanted else { return 0 }
    return (file.size + HashPipeline.chunkBytes - 1) / HashPipeline.chunkBytes
  }

  /// Chunks that nobody needs any more.
  private var chunksDone: Int { min(md5.isWanted ? md5.chunksDone : chunkCount, sha256.isWanted ? sha256.chunksDone : chunkCount) }

  /// Chunks that were asked for, and that hashing hasn't got to.
  var chunksAhead: Int { chunksAsked - chunksDone }

  var bytesDone: Int { min(chunksDone * HashPipeline.chunkBytes, file?.size ?? 0) }

  /// Whether somebody has to find out where the next bytes are.
  var mustLook: Bool {
    !isLooking && failure == nil && (file == nil || chunksAsked < chunkCount && chunksAsked * HashPipeline.chunkBytes >= knownBytes)
  }

  /// Whether the next chunk can be read, out of the page cache or past it.
  func canRead(cached: Bool) -> Bool {
    !isLooking && failure == nil && isCached == cached && chunksAsked < chunkCount && chunksAsked * HashPipeline.chunkBytes < knownBytes
  }

  func canHash<Hash>(_ chain: Chain<Hash>) -> Bool { chain.isWanted && !chain.isBusy && chunks[chain.chunksDone] != nil && failure == nil }

  /// The chunk that is next on `chain`.
  func chunk<Hash>(_ chain: Chain<Hash>) -> UnsafeRawBufferPointer { chunks[chain.chunksDone]?.bytes ?? UnsafeRawBufferPointer(start: nil, count: 0) }

  /// Chunks that `buffer` takes of those that come next: as far as it is known where they are.
  func chunks(in buffer: ReadBuffer) -> Int {
    min(buffer.memory.count, knownBytes - chunksAsked * HashPipeline.chunkBytes, (chunkCount - chunksAsked) * HashPipeline.chunkBytes) / HashPipeline.chunkBytes
  }

  /// Takes what was read into `buffer`.
  func add(_ buffer: ReadBuffer, from first: Int, count: Int) {
    buffer.chunks = count
    for index in 0..<count {
      let start = index * HashPipeline.chunkBytes
      let end = min(start + HashPipeline.chunkBytes, (file?.size ?? 0) - first * HashPipeline.chunkBytes)
      chunks[first + index] = Chunk(bytes: UnsafeRawBufferPointer(rebasing: buffer.memory[start..<max(start, end)]), buffer: buffer)
    }
  }

  /// Buffers that nobody needs any more; of a stream that failed, all of them.
  func release() -> [ReadBuffer] {
    var released: [ReadBuffer] = []
    let end = failure == nil ? chunksDone : chunksAsked
    while chunksReleased < end {
      if let chunk = chunks.removeValue(forKey: chunksReleased) {
        chunk.buffer.chunks -= 1
        if chunk.buffer.chunks == 0 { released.append(chunk.buffer) }
      }
      chunksReleased += 1
    }
    return released
  }

  /// What came of it, once it is over.
  var outcome: Result<FileHasher.Outcome, Errno>? {
    guard !isLooking, readsUnderWay == 0, !md5.isBusy, !sha256.isBusy else { return nil }
    if let failure { return .failure(failure) }
    guard let file, chunksDone == chunkCount else { return nil }
    // Nothing that is said of such a file would be true.
    if file.hasChanged { return .failure(.resourceBusy) }
    var digests: [HashAlgorithm: ChainedDigest] = [:]
    if md5.isWanted { digests[.md5] = md5.hash.finalize() }
    if sha256.isWanted { digests[.sha256] = sha256.hash.finalize() }
    return .success(.init(bytes: bytesDone, digests: digests))
  }
}

/// Memory that one or several chunks are read into.
final class ReadBuffer: @unchecked Sendable {
  // Unchecked: it belongs to the task that reads, then to those that hash.
  let memory: UnsafeMutableRawBufferPointer
  /// Chunks in it that somebody needs.
  var chunks = 0
  private let allocation: UnsafeMutableRawPointer

  /// - Parameter shift: bytes from the start of a page to the start of the buffer.
  init(bytes: Int, shift: Int = 0) {
    allocation = .allocate(byteCount: bytes + shift, alignment: ReadOnceFile.alignment)
    memory = UnsafeMutableRawBufferPointer(start: allocation + shift, count: bytes)
  }

  deinit { allocation.deallocate() }
}
