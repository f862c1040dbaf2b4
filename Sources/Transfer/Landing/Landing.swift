import Integrity
import Platform
import SystemPackage

/// Takes the bytes that arrived to the disk, to their hash and to who follows them.
///
/// The network's thread publishes blocks. A worker takes the next block of several files at once and goes through them in slices that fit into its
/// second-level cache: each slice is written, hashed beside the others' and handed to the file's follower, and nothing is read again. Blocks whose turn
/// hasn't come, because bytes before them are missing or their file's chain is with another worker, are written by whoever has nothing else to do, and
/// stay in memory until the chain reaches them.
final class Landing: Sendable {
  private struct State {
    var queues: [FileQueue]
    /// Files whose chain can go on, in the order in which they became so.
    var ready: [Int] = []
    /// Blocks to write without the chain.
    var unwritten: [(file: Int, block: Block)] = []
    /// Files that a worker waits for before it begins with fewer than its lanes hold.
    var company = 1
    var running = 0
    var isStopping = false

    /// Whether blocks arrive faster than they are hashed: then waiting for other files would only hold up the network.
    var hasBacklog: Bool { ready.contains { queues[$0].entries.count > 2 } }
  }

  private let state: Monitor<State>
  private let parts: [PartialFile]
  private let pool: BlockPool
  private let keeper: JournalKeeper
  private let mailbox: Mailbox<EngineMessage>

  /// All lanes' slices together, what is written of them included, stay in a core's second-level cache (512 KB at least on the processors that have many lanes).
  private static let cacheBytes = 256 << 10
  /// Seconds that a file waits for others to be hashed beside.
  private static let patience = 0.005

  init(_ parts: [PartialFile], threads: Int, pool: BlockPool, keeper: JournalKeeper, mailbox: Mailbox<EngineMessage>) {
    self.parts = parts
    self.pool = pool
    self.keeper = keeper
    self.mailbox = mailbox
    state = Monitor(State(queues: parts.map { _ in FileQueue() }))
    for _ in 0..<threads {
      state.update { $0.running += 1 }
      if !Workers.detach({ self.work() }) { state.update { $0.running -= 1 } }
    }
  }

  /// Whether there is a worker at all.
  var isAlive: Bool { state.peek { $0.running > 0 } }

  /// Waits for the workers, which finish what they have and begin nothing more.
  func stop() {
    state.update { $0.isStopping = true }
    state.wait { $0.running == 0 ? () : nil }
  }

  // MARK: What the network's thread says

  /// Says from where on a file is hashed, and what is on the disk behind that.
  func open(_ file: Int, _ chain: FileChain, onDisk: RangeSet<Int> = RangeSet(), length: Int? = nil) {
    state.update { state in
      state.queues[file].open(chain, onDisk: onDisk, length: length)
      Self.enlist(file, &state)
    }
  }

  func learn(_ file: Int, length: Int) { state.peek { $0.queues[file].length = length } }

  /// Says that the first `count` bytes of a block may be read.
  /// - Parameters:
  ///   - isClosed: that no more will come into it.
  ///   - isKept: whether it stays in memory until the chain comes to it, or is read again then.
  func publish(_ block: Block, of file: Int, count: Int, isClosed: Bool, isKept: Bool) {
    state.update { state in
      state.queues[file].publish(block, count: count, isClosed: isClosed, isKept: isKept)
      Self.enlist(file, &state)
      guard state.queues[file].readySince == nil, let entry = state.queues[file][block], entry.written < entry.published, !entry.isTaken else { return }
      state.unwritten.append((file, block))
    }
  }

  /// How many files bytes come for now: so many are waited for, a moment, before they are hashed side by side.
  func expect(files: Int) { state.peek { $0.company = max(1, min(files, MD5Kernel.best.lanes)) } }

  /// Whether every byte of a file was hashed and written.
  func isWhole(_ file: Int) -> Bool { state.peek { $0.queues[file].isWhole } }

  /// The chain of a file that is whole: nobody changes it any more.
  func chain(of file: Int) -> FileChain? { state.peek { $0.queues[file].chain } }

  // MARK: What the keeper asks

  /// A place in a file up to which everything was hashed, and what is needed to go on from there.
  struct Snapshot {
    let hash: FileHash
    let followerState: [UInt8]?
  }

  /// Takes a snapshot between two turns of the workers.
  func snapshot(of file: Int) -> Snapshot? {
    let chain = state.wait { state -> FileChain?? in
      state.queues[file].isWanted = true
      guard !state.queues[file].isTaken else { return nil }
      state.queues[file].isTaken = state.queues[file].chain != nil
      return .some(state.queues[file].chain)
    }
    let snapshot = chain.map { Snapshot(hash: $0.hash, followerState: $0.followerState) }
    state.update { state in
      (state.queues[file].isTaken, state.queues[file].isWanted) = (false, false)
      Self.enlist(file, &state)
    }
    return snapshot
  }

  /// Lets go of a file's blocks and its chain once nobody is at work on them.
  func close(_ file: Int) {
    state.wait { state -> Void? in
      state.queues[file].isWanted = true
      guard !state.queues[file].isTaken, state.queues[file].writes == 0 else { return nil }
      state.queues[file].close()
      state.queues[file].isWanted = false
      return ()
    }
  }

  /// Waits until what is in memory was hashed and written as far as it can be, for a few seconds at most.
  func drain(seconds: Double) {
    let end = steadySeconds() + seconds
    state.wait { state, deadline -> Void? in
      deadline = end
      return state.queues.allSatisfy(\.isDrained) || steadySeconds() >= end ? () : nil
    }
  }

  // MARK: Workers

  /// A run of a file's bytes that a worker takes through the chain.
  private struct Turn {
    let file: Int
    let chain: FileChain
    /// nil as long as it has to be read from the disk.
    var block: Block?
    let start: Int
    /// Where the bytes to hash end.
    let end: Int
    /// Where the bytes begin that have to be written too.
    var written: Int
    var position: Int
    var failure: Errno?

    init(file: Int, chain: FileChain, block: Block?, from start: Int, to end: Int, written: Int) {
      (self.file, self.chain, self.block, self.start, self.end, self.written, position) = (file, chain, block, start, end, written, start)
    }

    var isDone: Bool { failure != nil || position >= end }
  }

  private enum Work {
    case hash([Turn])
    case write(file: Int, block: Block, Range<Int>)
    case stop
  }

  private func work() {
    while true {
      switch state.wait({ Self.next(&$0, &$1) }) {
      case .hash(let turns): finish(hashed(turns))
      case .write(let file, let block, let range): write(file, block, range)
      case .stop:
        state.update { $0.running -= 1 }
        return
      }
    }
  }

  private static func next(_ state: inout State, _ deadline: inout Double?) -> Work? {
    if state.isStopping { return .stop }
    state.ready.removeAll { file in
      if state.queues[file].isReady { return false }
      state.queues[file].readySince = nil
      return true
    }
    if let first = state.ready.first {
      let due = (state.queues[first].readySince ?? 0) + patience
      if state.ready.count >= state.company || state.hasBacklog || due <= steadySeconds() { return .hash(takeTurns(&state)) }
      deadline = due
    }
    while !state.unwritten.isEmpty {
      let (file, block) = state.unwritten.removeFirst()
      guard var entry = state.queues[file][block], !entry.isTaken, entry.written < entry.published else { continue }
      entry.isTaken = true
      state.queues[file][block] = entry
      state.queues[file].writes += 1
      return .write(file: file, block: block, entry.written..<entry.published)
    }
    return nil
  }

  /// Puts a file among those that wait for a worker, if its chain can go on.
  private static func enlist(_ file: Int, _ state: inout State) {
    guard state.queues[file].readySince == nil, state.queues[file].isReady else { return }
    state.queues[file].readySince = steadySeconds()
    state.ready.append(file)
  }

  private static func takeTurns(_ state: inout State) -> [Turn] {
    let files = state.ready.prefix(MD5Kernel.best.lanes)
    state.ready.removeFirst(files.count)
    return files.compactMap { file in
      state.queues[file].readySince = nil
      guard let chain = state.queues[file].chain else { return nil }
      let position = state.queues[file].position
      state.queues[file].isTaken = true
      if let index = state.queues[file].next {
        let block = state.queues[file].entries[index].block
        state.queues[file][block]?.isTaken = true
        let entry = state.queues[file].entries[index]
        return Turn(file: file, chain: chain, block: block, from: position, to: entry.published, written: entry.written)
      }
      let end = state.queues[file].nextOnDisk?.upperBound ?? position
      return Turn(file: file, chain: chain, block: nil, from: position, to: end, written: end)
    }
  }

  /// Takes each turn's bytes to the disk, through the hash and to the follower, slice by slice.
  private func hashed(_ turns: [Turn]) -> [Turn] {
    var turns = turns
    for index in turns.indices where turns[index].block == nil { read(&turns[index]) }
    var active = turns.indices.filter { !turns[$0].isDone }
    let most = active.count
    while !active.isEmpty {
      let sliceBytes = max(16 << 10, Self.cacheBytes / active.count)
      let slices = active.map { written(&turns[$0], sliceBytes) }
      FileChain.take(active.map { turns[$0].chain }, slices)
      for index in active { turns[index].position = turns[index].chain.position }
      active.removeAll { turns[$0].isDone }
      // Lanes that ran dry cost as much as full ones: what is left goes on beside others.
      if 2 * active.count <= most { break }
    }
    return turns
  }

  /// The next slice of a turn, written if it isn't yet; empty when it can't be written.
  private func written(_ turn: inout Turn, _ bytes: Int) -> UnsafeRawBufferPointer {
    let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
    guard let block = turn.block else { return nothing }
    let range = turn.position..<min(turn.end, turn.position + bytes)
    guard range.upperBound > turn.written else { return block[range] }
    let unwritten = max(range.lowerBound, turn.written)..<range.upperBound
    do throws(Errno) {
      try parts[turn.file].write(block[unwritten], at: unwritten.lowerBound)
      turn.written = unwritten.upperBound
      return block[range]
    } catch {
      turn.failure = error
      return nothing
    }
  }

  private func read(_ turn: inout Turn) {
    let block = pool.takeForReading(at: turn.start)
    turn.block = block
    do throws(Errno) { try block.fill(turn.end - turn.start) { memory throws(Errno) in try parts[turn.file].read(into: memory, at: turn.start) } } catch { turn.failure = error }
  }

  private func write(_ file: Int, _ block: Block, _ range: Range<Int>) {
    var failure: Errno?
    do throws(Errno) { try parts[file].write(block[range], at: range.lowerBound) } catch { failure = error }
    if failure == nil { record(range, of: file) }
    state.update { state in
      state.queues[file].writes -= 1
      if let failure { return self.abandon(file, failure, &state) }
      if var entry = state.queues[file][block] {
        (entry.isTaken, entry.written) = (false, range.upperBound)
        state.queues[file][block] = entry
        state.queues[file].tidy()
        if entry.published > entry.written { state.unwritten.append((file, block)) }
      }
      Self.enlist(file, &state)
    }
  }

  private func finish(_ turns: [Turn]) {
    for turn in turns { record(turn.start..<turn.position, of: turn.file) }
    let whole = state.update { state in
      for turn in turns {
        state.queues[turn.file].isTaken = false
        if let block = turn.block, var entry = state.queues[turn.file][block] {
          (entry.isTaken, entry.written) = (false, max(entry.written, turn.written))
          state.queues[turn.file][block] = entry
        }
        state.queues[turn.file].advance(to: turn.position)
        if let failure = turn.failure { abandon(turn.file, failure, &state) }
        Self.enlist(turn.file, &state)
      }
      return turns.map(\.file).filter { state.queues[$0].isWhole }
    }
    for file in whole { mailbox.post(.landed(file: file)) }
  }

  /// Says that bytes of a file are on the disk.
  private func record(_ range: Range<Int>, of file: Int) {
    guard !range.isEmpty else { return }
    parts[file].record(range)
    keeper.landed(range.count, of: file)
  }

  private func abandon(_ file: Int, _ failure: Errno, _ state: inout State) {
    state.queues[file].abandon()
    mailbox.post(.failed(file: file, parts[file].failure(failure)))
  }
}
