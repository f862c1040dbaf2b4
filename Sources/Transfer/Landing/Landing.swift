import Integrity
import Platform
import SystemPackage

/// Takes the bytes that arrived to the disk, to their hash and to who follows them.
///
/// The threads that receive publish blocks. One worker at a time leads a round: it takes the next block of as many files as wait, has them written, and
/// hashes them side by side while other workers hand them to their files' followers. Two leaders with half of the files each would take twice as long for
/// the hashes, whose lanes cost the same empty or full; so there is a second one only for more files than lanes. Nothing is read again. Blocks whose turn
/// hasn't come are written by whoever has nothing else to do, and stay in memory until the chain reaches them.
final class Landing: Sendable {
  struct State {
    var queues: [FileQueue]
    /// Files whose chain can go on, in the order in which they became so.
    var ready: [Int] = []
    /// Blocks to write without the chain.
    var unwritten: [(file: Int, block: Block)] = []
    /// Files that a worker waits for before it begins with fewer than its lanes hold.
    var company = 1
    /// Rounds under way.
    var leaders = 0
    /// Parts of them that other workers may take over.
    var shared: [SharedWork] = []
    var running = 0
    var isStopping = false

    /// Whether a file's blocks arrive faster than they are hashed: then waiting for other files would only hold up the network. Of few files each may wait for
    /// longer: begun too soon, a round has few of them, takes as long as one with all, and the next one is behind again.
    var hasBacklog: Bool { ready.contains { queues[$0].waiting >= Self.mostWaiting(beside: company) * BlockPool.blockBytes } }

    /// Blocks of a file that may wait for others: 64 of all files together, and of each one no fewer than 3, which a round takes one by one, and no more than 8.
    private static func mostWaiting(beside files: Int) -> Int { max(3, min(8, 64 / files)) }
  }

  let state: Monitor<State>
  let parts: [any LandingPlace]
  let pool: BlockPool
  let keeper: JournalKeeper
  let mailbox: Mailbox<EngineMessage>

  /// Seconds that a file waits for others to be hashed beside.
  private static let patience = 0.02

  init(_ parts: [any LandingPlace], threads: Int, pool: BlockPool, keeper: JournalKeeper, mailbox: Mailbox<EngineMessage>) {
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

  // MARK: What the engine says

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

  // MARK: What a worker does next

  enum Work {
    case lead([Turn])
    case help(SharedWork)
    case write(file: Int, block: Block, Range<Int>)
    case stop
  }

  static func next(_ state: inout State, _ deadline: inout Double?) -> Work? {
    if let shared = state.shared.first(where: { $0.isOpen }) { return .help(shared) }
    if state.isStopping { return .stop }
    state.ready.removeAll { file in
      if state.queues[file].isReady { return false }
      state.queues[file].readySince = nil
      return true
    }
    if let first = state.ready.first, state.leaders == 0 || state.ready.count >= MD5Kernel.best.lanes {
      let due = (state.queues[first].readySince ?? 0) + patience
      if state.ready.count >= state.company || state.hasBacklog || due <= steadySeconds() { return .lead(takeTurns(&state)) }
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
  static func enlist(_ file: Int, _ state: inout State) {
    guard state.queues[file].readySince == nil, state.queues[file].isReady else { return }
    state.queues[file].readySince = steadySeconds()
    state.ready.append(file)
  }

  private static func takeTurns(_ state: inout State) -> [Turn] {
    let files = state.ready.prefix(MD5Kernel.best.lanes)
    state.ready.removeFirst(files.count)
    state.leaders += 1
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
}
