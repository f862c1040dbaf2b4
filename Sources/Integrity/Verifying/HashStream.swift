import SystemPackage

/// A file of a `HashPipeline`; its stretches share one descriptor. All of it is touched only under the pipeline's lock.
final class StreamFile {
  let path: FilePath
  /// Bytes that its stretches were made for.
  let size: Int
  /// nil until it was opened, and again when nothing of it is left to do.
  var file: ReadOnceFile?
  /// Nothing that is said of such a file would be true.
  var failure: Errno?
  var stretchesLeft = 0
  var bytesDone = 0

  init(path: FilePath, size: Int) { (self.path, self.size) = (path, size) }
}

/// One stretch on its way through a `HashPipeline`.
///
/// All of it is touched only under the pipeline's lock, but for the hashes, which belong to the task that hashes.
final class HashStream {
  /// Something that takes the chunks one after another, and how far it is.
  final class Taker<Hash> {
    var hash: Hash
    var chunksDone = 0
    var isBusy = false

    init(_ hash: Hash) { self.hash = hash }
  }

  /// Some bytes of the stretch in memory.
  struct Chunk {
    let bytes: UnsafeRawBufferPointer
    let buffer: ReadBuffer
  }

  let index: Int
  let stretch: Stretch
  let file: StreamFile
  let chunkBytes: Int
  var isLooking = false
  /// Up to which byte it is known whether the page cache has it, and whether it has the last window of that.
  var knownEnd: Int
  var isCached = false
  /// Chunks that were read or are being read.
  var chunksAsked = 0
  var readsUnderWay = 0
  /// Those that were read, and that somebody still needs.
  private var chunks: [Int: Chunk] = [:]
  private var chunksReleased = 0
  let md5: Taker<ChainedHash<MD5>>?
  let sha256: Taker<ChainedHash<SHA256>>?
  let content: Taker<ContentHasher>?
  /// Where reading begins: what goes past the page cache has to be aligned.
  private let start: Int
  let chunkCount: Int

  init(index: Int, _ stretch: Stretch, _ file: StreamFile) {
    (self.index, self.stretch, self.file) = (index, stretch, file)
    md5 = stretch.md5.map { Taker(ChainedHash(from: $0)) }
    sha256 = stretch.sha256.map { Taker(ChainedHash(from: $0)) }
    content = stretch.content.map { Taker(ContentHasher($0)) }
    chunkBytes = stretch.md5 == nil && stretch.sha256 == nil ? Stretch.spanBytes : Stretch.chunkBytes
    start = stretch.bytes.lowerBound / ReadOnceFile.alignment * ReadOnceFile.alignment
    knownEnd = start
    chunkCount = stretch.bytes.isEmpty ? 0 : (stretch.bytes.upperBound - start + chunkBytes - 1) / chunkBytes
  }

  /// Chunks that nobody needs any more.
  private var chunksDone: Int { min(md5?.chunksDone ?? chunkCount, sha256?.chunksDone ?? chunkCount, content?.chunksDone ?? chunkCount) }

  /// Chunks that were asked for, and that hashing hasn't got to.
  var chunksAhead: Int { chunksAsked - chunksDone }

  var bytesDone: Int { max(0, min(start + chunksDone * chunkBytes, stretch.bytes.upperBound) - stretch.bytes.lowerBound) }

  private var hasFailed: Bool { file.failure != nil }

  /// Where the next chunk that is to be read begins in the file.
  private var nextOffset: Int { start + chunksAsked * chunkBytes }

  /// Whether somebody has to open the file, or find out where the next bytes are.
  var mustLook: Bool { !isLooking && !hasFailed && (file.file == nil || chunksAsked < chunkCount && nextOffset >= knownEnd) }

  /// Whether the next chunk can be read, out of the page cache or past it.
  func canRead(cached: Bool) -> Bool {
    !isLooking && !hasFailed && file.file != nil && isCached == cached && chunksAsked < chunkCount && nextOffset < knownEnd
  }

  func canHash<Hash>(_ taker: Taker<Hash>?) -> Bool {
    guard let taker, !taker.isBusy, !hasFailed else { return false }
    return chunks[taker.chunksDone] != nil
  }

  /// The chunk that `taker` takes next.
  func chunk<Hash>(_ taker: Taker<Hash>) -> UnsafeRawBufferPointer { chunks[taker.chunksDone]?.bytes ?? UnsafeRawBufferPointer(start: nil, count: 0) }

  /// What the next read into `buffer` is: as many chunks as fit, and as it is known where they are.
  func nextRead(_ buffer: ReadBuffer) -> (firstChunk: Int, chunks: Int, offset: Int) {
    let known = (knownEnd - nextOffset + chunkBytes - 1) / chunkBytes
    return (chunksAsked, max(1, min(buffer.memory.count / chunkBytes, known, chunkCount - chunksAsked)), nextOffset)
  }

  /// Takes what was read into `buffer`.
  func add(_ buffer: ReadBuffer, from first: Int, count: Int) {
    buffer.chunks = count
    let base = start + first * chunkBytes
    for index in 0..<count {
      let range = (base + index * chunkBytes..<base + (index + 1) * chunkBytes).clamped(to: stretch.bytes)
      chunks[first + index] = Chunk(bytes: UnsafeRawBufferPointer(rebasing: buffer.memory[range.lowerBound - base..<range.upperBound - base]), buffer: buffer)
    }
  }

  /// Buffers that nobody needs any more; of a stretch that is given up, all of them.
  func release() -> [ReadBuffer] {
    var released: [ReadBuffer] = []
    let end = hasFailed ? chunksAsked : chunksDone
    while chunksReleased < end {
      if let chunk = chunks.removeValue(forKey: chunksReleased) {
        chunk.buffer.chunks -= 1
        if chunk.buffer.chunks == 0 { released.append(chunk.buffer) }
      }
      chunksReleased += 1
    }
    return released
  }

  /// Whether a task of it is under way.
  var isBusy: Bool { isLooking || readsUnderWay > 0 || isHashing }
  var isHashing: Bool { md5?.isBusy ?? false || sha256?.isBusy ?? false || content?.isBusy ?? false }

  /// Whether nothing is left to do.
  var isOver: Bool { !isBusy && (hasFailed || file.file != nil && chunksDone == chunkCount) }

  var outcome: Stretch.Outcome { .init(md5: md5?.hash, sha256: sha256?.hash, content: content?.hash.outcome) }
}
