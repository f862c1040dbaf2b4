import SystemPackage

/// Reads files and hashes them, each file on a chain of its own, with every core busy at whatever there is to do.
///
/// An MD5 is a serial chain: a core that hashes one file is idle most of the time, and hashes up to 16 side by side for little more. So reading and
/// hashing are separate tasks, and a core that hashes takes as many files at once as it takes for the other cores to keep up with the reading:
/// eight files on two cores are hashed by one, and read by the other. SHA-256 has instructions of its own, which two files at once keep busy.
final class HashPipeline: Sendable {
  /// Bytes that are read, and hashed, at a time: large against the cost of handing them over, small against the cache that cores share.
  static let chunkBytes = 256 << 10
  /// Chunks of a file that are read ahead of hashing.
  private static let chunksAhead = 2
  /// Files that are open at once.
  private static let mostFiles = 64

  private struct State {
    /// Jobs still to be opened, the next one last.
    var jobs: [Int]
    var open: [HashStream] = []
    var results: [Result<FileHasher.Outcome, Errno>?]
    /// Buffers of files that have ended.
    var spare: [ChunkBuffers] = []
    var buffersMade = 0

    mutating func takeBuffers() -> ChunkBuffers {
      if let buffers = spare.popLast() { return buffers }
      buffersMade += 1
      // Sixteen streams read at the same offset of a page would all want the same few lines of the first cache.
      return ChunkBuffers(bytes: chunkBytes, count: chunksAhead, shift: 64 * (buffersMade % 64))
    }
  }

  private enum Task {
    case read(HashStream)
    case sha256([HashStream])
    case md5([HashStream])
    case stop
  }

  private let jobs: [FileHasher.Job]
  private let threads: Int
  private let kernel: MD5Kernel
  private let progress: @Sendable (Int, Int) -> Void
  private let isCancelled: @Sendable () -> Bool
  private let state: Monitor<State>

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
    state = Monitor(State(jobs: jobs.indices.sorted { sizes[$0] < sizes[$1] }, results: .init(repeating: nil, count: jobs.count)))
  }

  func run() -> [Result<FileHasher.Outcome, Errno>] {
    Workers.run(threads) { [self] in work() }
    return state.update { $0.results.map { $0 ?? .failure(.canceled) } }
  }

  // MARK: What to do next

  private func work() {
    while !isCancelled() {
      switch state.wait({ state in next(&state) }) {
      case .read(let stream): read(stream)
      case .sha256(let streams): hashSHA256(streams)
      case .md5(let streams): hashMD5(streams)
      case .stop: return
      }
    }
  }

  /// - Returns: nil when there is nothing for this thread until another has finished its task.
  private func next(_ state: inout State) -> Task? {
    let limit = min(Self.mostFiles, max(2, threads) * MD5.lanes)
    while state.open.count < limit, let job = state.jobs.popLast() {
      state.open.append(HashStream(job: job, jobs[job], buffers: state.takeBuffers()))
    }
    guard !state.open.isEmpty else { return .stop }

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
    if let stream = state.open.filter({ $0.canRead }).min(by: { $0.chunksRead - $0.chunksDone < $1.chunksRead - $1.chunksDone }) {
      stream.isReading = true
      return .read(stream)
    }
    // A smaller group than one would like, unless it is about to grow.
    let isGrowing = state.open.contains { $0.isReading || $0.md5.isBusy || $0.sha256.isBusy }
    if isGrowing { return nil }
    return ready.isEmpty ? takeSHA256(sha256) : takeMD5(ready)
  }

  private func takeSHA256(_ ready: [HashStream]) -> Task? {
    let group = Array(ready.prefix(SHA256.lanes))
    for stream in group { stream.sha256.isBusy = true }
    return group.isEmpty ? nil : .sha256(group)
  }

  private func takeMD5(_ ready: [HashStream]) -> Task {
    let group = Array(ready.prefix(kernel.lanes))
    for stream in group { stream.md5.isBusy = true }
    return .md5(group)
  }

  // MARK: Tasks

  private func read(_ stream: HashStream) {
    var count = 0
    var failure: Errno?
    do throws(Errno) {
      if stream.file == nil { stream.file = try SequentialFile(jobs[stream.job].path) }
      count = try stream.file?.read(into: stream.buffers[stream.chunksRead]) ?? 0
    } catch {
      failure = error
    }
    let buffer = UnsafeRawBufferPointer(rebasing: stream.buffers[stream.chunksRead][..<count])
    state.update { state in
      stream.isReading = false
      stream.hasEnded = count < Self.chunkBytes
      stream.failure = failure
      if count > 0 {
        stream.chunks[stream.chunksRead % Self.chunksAhead] = buffer
        stream.chunksRead += 1
      }
      retire(stream, &state)
    }
  }

  private func hashSHA256(_ streams: [HashStream]) {
    var hashes = streams.map(\.sha256.hash)
    SHA256.update(&hashes, with: streams.map { $0.chunk($0.sha256) })
    for (stream, hash) in zip(streams, hashes) { stream.sha256.hash = hash }
    finished(streams, \.sha256)
  }

  private func hashMD5(_ streams: [HashStream]) {
    var hashes = streams.map(\.md5.hash)
    MD5.update(&hashes, with: streams.map { $0.chunk($0.md5) }, kernel: kernel)
    for (stream, hash) in zip(streams, hashes) { stream.md5.hash = hash }
    finished(streams, \.md5)
  }

  private func finished<Hash>(_ streams: [HashStream], _ chain: ReferenceWritableKeyPath<HashStream, HashStream.Chain<Hash>>) {
    let done = state.update { state in
      streams.map { stream in
        stream[keyPath: chain].isBusy = false
        stream[keyPath: chain].chunksDone += 1
        retire(stream, &state)
        return (stream.job, stream.bytesDone)
      }
    }
    for (job, bytes) in done { progress(job, bytes) }
  }

  /// Ends `stream` if nothing is left to do on it.
  private func retire(_ stream: HashStream, _ state: inout State) {
    guard let outcome = stream.outcome else { return }
    state.results[stream.job] = outcome
    state.open.removeAll { $0 === stream }
    state.spare.append(stream.buffers)
  }
}
