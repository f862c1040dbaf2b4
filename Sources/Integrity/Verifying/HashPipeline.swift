import Platform
import Synchronization
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// Reads stretches of files and hashes them, with every core busy at whatever there is to do.
///
/// An MD5 is a serial chain: a core that hashes one stretch is idle most of the time, and hashes up to 16 side by side for little more. So reading and
/// hashing are separate tasks, and a core that hashes takes as many stretches at once as it takes for the other cores to keep up with the reading:
/// eight files on two cores are hashed by one, and read by the other. SHA-256 has instructions of its own, which two streams at once keep busy, or lanes
/// as well.
///
/// What isn't in the page cache is read by threads that do nothing else, several requests at a time, so that a disk always has something to do.
final class HashPipeline: Sendable {
  /// Chunks of a stretch that are copied out of the page cache ahead of hashing.
  private static let chunksAhead = 2
  private static let mostReaders = 16
  /// Files that are open at once: each takes two descriptors, and the rest of the program a few.
  private static let mostFiles: Int = {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1 }
    return max(1, min(64, (Int(clamping: limit.rlim_cur) - 16) / 2))
  }()

  struct State {
    /// Stretches still to be begun, the next one last.
    var waiting: [Int]
    var files: [StreamFile]
    var filesOpen = 0
    var open: [HashStream] = []
    var outcomes: [Stretch.Outcome?]
    var isOver = false
    var buffers = BufferPool()
  }

  /// What the threads that read past the page cache have to do.
  struct ReadQueue {
    var reads: [Read] = []
    var isOver = false
  }

  struct Read {
    let stream: HashStream
    let file: ReadOnceFile
    let firstChunk: Int
    let chunks: Int
    let offset: Int
    let buffer: ReadBuffer
  }

  /// A chunk that is to be hashed.
  struct Turn<Hash> {
    let stream: HashStream
    let taker: HashStream.Taker<Hash>
    let bytes: UnsafeRawBufferPointer
  }

  enum Task {
    case look(HashStream)
    case read(Read, isCached: Bool)
    case sha256([Turn<ChainedHash<SHA256>>])
    case md5([Turn<ChainedHash<MD5>>])
    case content(Turn<ContentHasher>)
    case stop
  }

  private let stretches: [Stretch]
  private let threads: Int
  private let readers: Int
  let progress: @Sendable (_ file: Int, _ bytes: Int) -> Void
  private let isCancelled: @Sendable () -> Bool
  let state: Monitor<State>
  private let queue = Monitor(ReadQueue())
  private let hasReaders = Atomic(false)

  /// - Parameters:
  ///   - files: paths, and sizes that the stretches were made for.
  ///   - progress: called on any thread with the index of a file and the bytes of its stretches that are done.
  init(
    _ files: [(path: FilePath, size: Int)], _ stretches: [Stretch], threads: Int, progress: @escaping @Sendable (Int, Int) -> Void,
    isCancelled: @escaping @Sendable () -> Bool
  ) {
    self.stretches = stretches
    self.threads = threads
    self.progress = progress
    self.isCancelled = isCancelled
    let spans = stretches.reduce(0) { min(Self.mostReaders, $0 + 1 + $1.bytes.count / Stretch.spanBytes) }
    readers = spans
    let streams = files.map { StreamFile(path: $0.path, size: $0.size) }
    for stretch in stretches { streams[stretch.file].stretchesLeft += 1 }
    // The longest serial work first; the stretches of a file one after another, so that it is closed soon.
    var longest = [Int](repeating: 0, count: files.count)
    for stretch in stretches { longest[stretch.file] = max(longest[stretch.file], stretch.bytes.count) }
    let order = stretches.indices.sorted {
      let (a, b) = (stretches[$0], stretches[$1])
      if a.file == b.file { return a.bytes.lowerBound > b.bytes.lowerBound }
      return longest[a.file] == longest[b.file] ? a.file > b.file : longest[a.file] < longest[b.file]
    }
    state = Monitor(State(waiting: order, files: streams, outcomes: .init(repeating: nil, count: stretches.count)))
  }

  /// - Returns: for each stretch its outcome, or why its file couldn't be read: `.resourceBusy` when it changed on the way, `.canceled` when that was
  ///   asked for.
  func run() -> [Result<Stretch.Outcome, Errno>] {
    let roles = Atomic(0)
    Workers.run(threads + readers) { [self] in
      if roles.add(1, ordering: .relaxed).oldValue < threads { work() } else { readPastCache() }
    }
    return state.update { state in
      stretches.indices.map { index in
        let file = state.files[stretches[index].file]
        if let failure = file.failure { return .failure(failure) }
        // Of a file that wasn't read to its end it isn't known whether it changed.
        guard let outcome = state.outcomes[index], file.stretchesLeft == 0 else { return .failure(.canceled) }
        return .success(outcome)
      }
    }
  }

  // MARK: What to do next

  private func work() {
    var leaves = LeafHasher()
    while !isCancelled() {
      switch state.wait({ state in next(&state) }) {
      case .look(let stream): look(stream)
      case .read(let task, let isCached): read(task, isCached: isCached)
      case .sha256(let turns): hash(turns)
      case .md5(let turns): hash(turns)
      case .content(let turn): hash(turn, &leaves)
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
    begin(&state)
    guard !state.open.isEmpty, !state.isOver else { return .stop }

    // First of all the disk.
    if let stream = state.open.first(where: \.mustLook) {
      stream.isLooking = true
      return .look(stream)
    }
    if let stream = state.open.first(where: { $0.canHash($0.content) }), let turn = turn(stream, stream.content) { return .content(turn) }
    let md5 = state.open.filter { $0.canHash($0.md5) }
    let chains = state.open.count { $0.md5 != nil }
    // With a core for every stretch, each is hashed as soon as it is read. With fewer, half of the cores' time goes into reading.
    let group = chains <= threads ? 1 : min(MD5Kernel.best.lanes, (2 * chains + threads - 1) / threads)
    if md5.count >= group, !md5.isEmpty { return takeMD5(md5) }
    let sha256 = state.open.filter { $0.canHash($0.sha256) }
    let wanted = state.open.count { $0.sha256 != nil }
    if sha256.count >= (wanted <= threads ? 1 : min(SHA256.lanes, (2 * wanted + threads - 1) / threads)), !sha256.isEmpty { return takeSHA256(sha256) }
    // The stretch that is least far ahead of its hashing.
    let cached = state.open.filter { $0.canRead(cached: true) && $0.chunksAhead < Self.chunksAhead }
    if let stream = cached.min(by: { $0.chunksAhead < $1.chunksAhead }), let file = stream.file.file {
      if stream.chunkBytes == Stretch.chunkBytes { return .read(ask(stream, file, state.buffers.takeChunk()), isCached: true) }
      if let buffer = state.buffers.takeSpan() { return .read(ask(stream, file, buffer), isCached: true) }
    }
    // A smaller group than one would like, unless it is about to grow.
    if !state.open.contains(where: \.isBusy) { return md5.isEmpty ? sha256.isEmpty ? nil : takeSHA256(sha256) : takeMD5(md5) }
    // Without threads that read, those that hash have to.
    if hasReaders.load(ordering: .relaxed) { return nil }
    return queue.update { $0.reads.isEmpty ? nil : .read($0.reads.removeFirst(), isCached: false) }
  }

  /// Begins as many stretches as lanes and the disk can be busy with.
  private func begin(_ state: inout State) {
    while let index = state.waiting.last {
      let stretch = stretches[index]
      let file = state.files[stretch.file]
      if file.failure != nil {
        state.waiting.removeLast()
        continue
      }
      let hasChain = stretch.md5 != nil || stretch.sha256 != nil
      guard state.open.count < max(2, threads) * (hasChain ? MD5.lanes : 2) else { return }
      let isNew = file.file == nil && !state.open.contains { $0.file === file }
      guard !isNew || state.filesOpen < Self.mostFiles else { return }
      if isNew { state.filesOpen += 1 }
      state.waiting.removeLast()
      state.open.append(HashStream(index: index, stretch, file))
    }
  }

  /// Has read past the page cache what there are buffers for. To be called when there may be something to read, or a buffer.
  func fillQueue(_ state: inout State) {
    while true {
      let cold = state.open.filter { $0.canRead(cached: false) }
      guard let stream = cold.min(by: { $0.chunksAhead < $1.chunksAhead }), let file = stream.file.file, let span = state.buffers.takeSpan() else { return }
      let read = ask(stream, file, span)
      queue.update(wakingOne: true) { $0.reads.append(read) }
    }
  }

  private func ask(_ stream: HashStream, _ file: ReadOnceFile, _ buffer: ReadBuffer) -> Read {
    let next = stream.nextRead(buffer)
    stream.chunksAsked += next.chunks
    stream.readsUnderWay += 1
    return Read(stream: stream, file: file, firstChunk: next.firstChunk, chunks: next.chunks, offset: next.offset, buffer: buffer)
  }

  private func turn<Hash>(_ stream: HashStream, _ taker: HashStream.Taker<Hash>?) -> Turn<Hash>? {
    guard let taker else { return nil }
    taker.isBusy = true
    return Turn(stream: stream, taker: taker, bytes: stream.chunk(taker))
  }

  private func takeSHA256(_ ready: [HashStream]) -> Task { .sha256(ready.prefix(SHA256.lanes).compactMap { turn($0, $0.sha256) }) }

  private func takeMD5(_ ready: [HashStream]) -> Task { .md5(ready.prefix(MD5Kernel.best.lanes).compactMap { turn($0, $0.md5) }) }
}
