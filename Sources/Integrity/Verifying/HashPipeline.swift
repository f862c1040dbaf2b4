import Platform
import Synchronization
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// Reads files and hashes them, each file on a chain of its own, with every core busy at whatever there is to do.
///
/// An MD5 is a serial chain: a core that hashes one file is idle most of the time, and hashes up to 16 side by side for little more. So reading and
/// hashing are separate tasks, and a core that hashes takes as many files at once as it takes for the other cores to keep up with the reading:
/// eight files on two cores are hashed by one, and read by the other. SHA-256 has instructions of its own, which two files at once keep busy.
///
/// What isn't in the page cache is read by threads that do nothing else, several requests at a time, so that a disk always has something to do.
final class HashPipeline: Sendable {
  /// Bytes that are hashed, and copied out of the page cache, at a time: large against the cost of handing them over, small against the cache that
  /// cores share.
  static let chunkBytes = 256 << 10
  /// Chunks of a file that are copied out of the page cache ahead of hashing.
  private static let chunksAhead = 2
  /// Chunks that are read from a disk in one request.
  private static let spanChunks = 4
  /// Spans in memory at once, and threads that wait for the disk.
  private static let mostSpans = 32
  private static let mostReaders = 16
  /// Files that are open at once: each takes two descriptors, and the rest of the program a few.
  private static let mostFiles: Int = {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1 }
    return max(1, min(64, (Int(clamping: limit.rlim_cur) - 16) / 2))
  }()

  private struct State {
    /// Jobs still to be opened, the next one last.
    var jobs: [Int]
    var open: [HashStream] = []
    var results: [Result<FileHasher.Outcome, Errno>?]
    var isOver = false
    var spareChunks: [ReadBuffer] = []
    var chunksMade = 0
    var spareSpans: [ReadBuffer] = []
    var spansMade = 0

    mutating func takeChunk() -> ReadBuffer {
      if let buffer = spareChunks.popLast() { return buffer }
      chunksMade += 1
      // Sixteen streams read at the same offset of a page would all want the same few lines of the first cache.
      return ReadBuffer(bytes: chunkBytes, shift: 64 * (chunksMade % 64))
    }

    mutating func takeSpan() -> ReadBuffer? {
      if let buffer = spareSpans.popLast() { return buffer }
      guard spansMade < mostSpans else { return nil }
      spansMade += 1
      return ReadBuffer(bytes: spanChunks * chunkBytes)
    }

    mutating func giveBack(_ buffers: [ReadBuffer]) {
      for buffer in buffers { if buffer.memory.count == chunkBytes { spareChunks.append(buffer) } else { spareSpans.append(buffer) } }
    }
  }

  /// What the threads that read past the page cache have to do.
  private struct ReadQueue {
    var reads: [Read] = []
    var isOver = false
  }

  private struct Read {
    let stream: HashStream
    let file: ReadOnceFile
    let firstChunk: Int
    let chunks: Int
    let buffer: ReadBuffer
  }

  /// A chunk that is to be hashed.
  private struct Turn {
    let stream: HashStream
    let bytes: UnsafeRawBufferPointer
  }

  private enum Task {
    case look(HashStream)
    case read(Read, isCached: Bool)
    case sha256([Turn])
    case md5([Turn])
    case stop
  }

  private let jobs: [FileHasher.Job]
  private let threads: Int
  private let readers: Int
  private let kernel: MD5Kernel
  private let progress: @Sendable (Int, Int) -> Void
  private let isCancelled: @Sendable () -> Bool
  private let state: Monitor<State>
  private let queue = Monitor(ReadQueue())
  private let hasReaders = Atomic(false)

  /// - Parameter sizes: bytes of each job's file; the largest are hashed first.
  init(
    _ jobs: [FileHasher.Job], sizes: [Int], threads: Int, kernel: MD5Kernel, progress: @escaping @Sendable (Int, Int) -> Void,
    isCancelled: @escaping @Sendable () -> Bool
  ) {
    self.jobs = jobs
    self.threads = threads
    self.kernel = kernel
    self.progress = progress
    self.isCancelled = isCancelled
    let spans = sizes.reduce(jobs.count) { $0 + min($1, 1 << 40) / (Self.spanChunks * Self.chunkBytes) }
    readers = min(Self.mostReaders, spans)
    state = Monitor(State(jobs: jobs.indices.sorted { sizes[$0] < sizes[$1] }, results: .init(repeating: nil, count: jobs.count)))
  }

  func run() -> [Result<FileHasher.Outcome, Errno>] {
    let roles = Atomic(0)
    Workers.run(threads + readers) { [self] in
      if roles.add(1, ordering: .relaxed).oldValue < threads { work() } else { readPastCache() }
    }
    return state.update { $0.results.map { $0 ?? .failure(.canceled) } }
  }

  // MARK: What to do next

  private func work() {
    while !isCancelled() {
      switch state.wait({ state in next(&state) }) {
      case .look(let stream): look(stream)
      case .read(let task, let isCached): read(task, isCached: isCached)
      case .sha256(let turns): hashSHA256(turns)
      case .md5(let turns): hashMD5(turns)
      case .stop: return stop()
      }
    }
    stop()
  }

  /// Whoever leaves first, after the last task or because of a cancellation, takes everyone along: what is in the queue may not be read any more.
  private func stop() {
    state.update { $0.isOver = true }
    queue.update { $0.isOver = true }
  }

  private func readPastCache() {
    hasReaders.store(true, ordering: .relaxed)
    while true {
      let task = queue.wait { queue -> Task? in
        if queue.isOver { return .stop }
        return queue.reads.isEmpty ? nil : .read(queue.reads.removeFirst(), isCached: false)
      }
      guard case .read(let read, let isCached) = task else { return }
      self.read(read, isCached: isCached)
    }
  }

  /// - Returns: nil when there is nothing for this thread until another has finished its task.
  private func next(_ state: inout State) -> Task? {
    let limit = min(Self.mostFiles, max(2, threads) * MD5.lanes)
    while state.open.count < limit, let job = state.jobs.popLast() { state.open.append(HashStream(job: job, jobs[job])) }
    guard !state.open.isEmpty, !state.isOver else { return .stop }

    // First of all the disk.
    if let stream = state.open.first(where: \.mustLook) {
      stream.isLooking = true
      return .look(stream)
    }
    var chains = 0
    var ready: [HashStream] = []
    for stream in state.open where stream.md5.isWanted {
      chains += 1
      if stream.canHash(stream.md5) { ready.append(stream) }
    }
    // With a core for every file, each is hashed as soon as it is read. With fewer, half of the cores' time goes into reading.
    let group = chains <= threads ? 1 : min(kernel.lanes, (2 * chains + threads - 1) / threads)
    if ready.count >= group, !ready.isEmpty { return takeMD5(ready) }
    let sha256 = state.open.filter { $0.canHash($0.sha256) }
    let wanted = state.open.count { $0.sha256.isWanted }
    if sha256.count >= (wanted <= threads ? 1 : SHA256.lanes) { if let task = takeSHA256(sha256) { return task } }
    // The file that is least far ahead of its hashing.
    let cached = state.open.filter { $0.canRead(cached: true) && $0.chunksAhead < Self.chunksAhead }
    if let stream = cached.min(by: { $0.chunksAhead < $1.chunksAhead }), let file = stream.file {
      return .read(ask(stream, file, state.takeChunk()), isCached: true)
    }
    // A smaller group than one would like, unless it is about to grow.
    let isGrowing = state.open.contains { $0.readsUnderWay > 0 || $0.isLooking || $0.md5.isBusy || $0.sha256.isBusy }
    if !isGrowing { return ready.isEmpty ? takeSHA256(sha256) : takeMD5(ready) }
    // Without threads that read, those that hash have to.
    if hasReaders.load(ordering: .relaxed) { return nil }
    return queue.update { $0.reads.isEmpty ? nil : .read($0.reads.removeFirst(), isCached: false) }
  }

  /// Has read past the page cache what there are buffers for. To be called when there may be something to read, or a buffer.
  private func fillQueue(_ state: inout State) {
    while true {
      let cold = state.open.filter { $0.canRead(cached: false) }
      guard let stream = cold.min(by: { $0.chunksAhead < $1.chunksAhead }), let file = stream.file, let span = state.takeSpan() else { return }
      let read = ask(stream, file, span)
      queue.update(wakingOne: true) { $0.reads.append(read) }
    }
  }

  private func ask(_ stream: HashStream, _ file: ReadOnceFile, _ buffer: ReadBuffer) -> Read {
    let read = Read(stream: stream, file: file, firstChunk: stream.chunksAsked, chunks: stream.chunks(in: buffer), buffer: buffer)
    stream.chunksAsked += read.chunks
    stream.readsUnderWay += 1
    return read
  }

  private func takeSHA256(_ ready: [HashStream]) -> Task? {
    let turns = ready.prefix(SHA256.lanes).map { Turn(stream: $0, bytes: $0.chunk($0.sha256)) }
    for turn in turns { turn.stream.sha256.isBusy = true }
    return turns.isEmpty ? nil : .sha256(turns)
  }

  private func takeMD5(_ ready: [HashStream]) -> Task {
    let turns = ready.prefix(kernel.lanes).map { Turn(stream: $0, bytes: $0.chunk($0.md5)) }
    for turn in turns { turn.stream.md5.isBusy = true }
    return .md5(turns)
  }

  // MARK: Tasks

  /// Opens a file, and finds out where its next window is.
  private func look(_ stream: HashStream) {
    let known = stream.knownBytes
    var file = stream.file
    var failure: Errno?
    do throws(Errno) { if file == nil { file = try ReadOnceFile(jobs[stream.job].path) } } catch { failure = error }
    let isCached = file?.isCached(windowAt: known) ?? true
    state.update { state in
      if stream.file == nil { stream.file = file }
      (stream.failure, stream.isCached, stream.isLooking) = (stream.failure ?? failure, isCached, false)
      stream.knownBytes = known + ReadOnceFile.windowBytes
      settle(stream, &state)
    }
  }

  private func read(_ task: Read, isCached: Bool) {
    let (stream, file, offset) = (task.stream, task.file, task.firstChunk * Self.chunkBytes)
    var failure: Errno?
    do throws(Errno) {
      let count = isCached ? try file.read(into: task.buffer.memory, at: offset) : try file.readPastCache(into: task.buffer.memory, at: offset)
      // It was longer when it was opened: nothing that is said of such a file would be true.
      if count < min(task.buffer.memory.count, file.size - offset) { failure = .ioError }
    } catch {
      failure = error
    }
    state.update { state in
      stream.readsUnderWay -= 1
      stream.failure = stream.failure ?? failure
      stream.add(task.buffer, from: task.firstChunk, count: task.chunks)
      settle(stream, &state)
    }
  }

  private func hashSHA256(_ turns: [Turn]) {
    var hashes = turns.map(\.stream.sha256.hash)
    ChainedHash.update(&hashes, with: turns.map(\.bytes))
    for (turn, hash) in zip(turns, hashes) { turn.stream.sha256.hash = hash }
    finished(turns, \.sha256)
  }

  private func hashMD5(_ turns: [Turn]) {
    var hashes = turns.map(\.stream.md5.hash)
    ChainedHash.update(&hashes, with: turns.map(\.bytes))
    for (turn, hash) in zip(turns, hashes) { turn.stream.md5.hash = hash }
    finished(turns, \.md5)
  }

  private func finished<Hash>(_ turns: [Turn], _ chain: KeyPath<HashStream, HashStream.Chain<Hash>>) {
    let done = state.update { state in
      turns.map { turn in
        let chain = turn.stream[keyPath: chain]
        chain.isBusy = false
        chain.chunksDone += 1
        settle(turn.stream, &state)
        return (turn.stream.job, turn.stream.bytesDone)
      }
    }
    for (job, bytes) in done { progress(job, bytes) }
  }

  /// After each change of `stream`: its buffers go where they are needed, and it ends if nothing is left to do on it.
  private func settle(_ stream: HashStream, _ state: inout State) {
    let outcome = stream.outcome
    if stream.failure == nil || outcome != nil { state.giveBack(stream.release()) }
    if let outcome {
      state.results[stream.job] = outcome
      state.open.removeAll { $0 === stream }
    }
    fillQueue(&state)
  }
}
