import Integrity
import Platform
import SystemPackage

/// What workers do: rounds of several files' next bytes, and writes of what lies ahead.
extension Landing {
  /// A run of a file's bytes that a worker takes through the chain.
  struct Turn {
    let file: Int
    let chain: FileChain
    /// nil as long as it has to be read from the disk.
    var block: Block?
    let start: Int
    /// Where the bytes to hash end.
    var end: Int
    /// Where the bytes begin that have to be written too.
    var written: Int
    var failure: Errno?

    init(file: Int, chain: FileChain, block: Block?, from start: Int, to end: Int, written: Int) {
      (self.file, self.chain, self.block, self.start, self.end, self.written) = (file, chain, block, start, end, written)
    }

    /// What has to be written; empty where all of it is on the disk.
    var unwritten: Range<Int> { min(end, max(start, written))..<end }

    /// What is hashed: nothing that couldn't be read or written.
    var bytes: UnsafeRawBufferPointer {
      guard failure == nil, let block else { return UnsafeRawBufferPointer(start: nil, count: 0) }
      return block[start..<end]
    }

    /// Where the chain is after it.
    var position: Int { failure == nil ? end : start }
  }

  /// Fewer bytes than this a worker does alone: to wake another would take longer.
  private static let leastShared = 256 << 10

  func work() {
    while true {
      switch state.wait({ Self.next(&$0, &$1) }) {
      case .lead(let turns): finish(carriedOut(turns))
      case .help(let shared): help(shared)
      case .write(let file, let block, let range): write(file, block, range)
      case .stop:
        state.update { $0.running -= 1 }
        return
      }
    }
  }

  /// Takes each turn's bytes through the hashes, side by side, while other workers take them to where they land and to the followers: of a file that comes alone the
  /// hash is serial and takes longer than all else. A chain whose bytes couldn't be written is put back to where it was, so that it is never ahead of the disk.
  private func carriedOut(_ turns: [Turn]) -> [Turn] {
    var turns = turns
    for index in turns.indices where turns[index].block == nil { read(&turns[index]) }
    Self.even(&turns)
    let hashed = turns.indices.filter { !turns[$0].bytes.isEmpty }
    let (chains, pieces) = (hashed.map { turns[$0].chain }, hashed.map { turns[$0].bytes })
    let before = chains.map { $0.hash }
    let isSmall = pieces.reduce(0) { $0 + $1.count } < Self.leastShared
    let failures = share(hashed.map { turns[$0] }, alone: isSmall) { turn in
      if !turn.unwritten.isEmpty, let block = turn.block {
        do throws(Errno) { try self.parts[turn.file].write(block, turn.unwritten) } catch { return error }
      }
      turn.chain.follow(turn.bytes, at: turn.start)
      return nil
    } meanwhile: { FileChain.hash(chains, pieces) }
    for (place, index) in hashed.enumerated() {
      if let failure = failures[place] {
        turns[index].failure = failure
        turns[index].chain.putBack(before[place])
      } else {
        turns[index].written = max(turns[index].written, turns[index].end)
      }
    }
    return turns
  }

  /// Cuts what is longer than half of the turns are: lanes that ran dry cost as much as full ones, and what is left goes on beside others.
  private static func even(_ turns: inout [Turn]) {
    let lengths = turns.map { $0.bytes.count }.filter { $0 > 0 }.sorted()
    guard lengths.count > 1 else { return }
    let most = lengths[(lengths.count - 1) / 2]
    for index in turns.indices { turns[index].end = min(turns[index].end, turns[index].start + most) }
  }

  /// Has all workers that are free do something with each turn, while this one does something else first.
  /// - Parameter alone: whether it isn't worth another's help.
  /// - Returns: what went wrong with each.
  private func share(_ turns: [Turn], alone: Bool, _ body: @escaping (Turn) -> Errno?, meanwhile: () -> Void) -> [Errno?] {
    if alone || turns.isEmpty {
      meanwhile()
      return turns.map(body)
    }
    let shared = SharedWork(turns, body)
    state.update { $0.shared.append(shared) }
    meanwhile()
    help(shared)
    return state.wait { state in
      guard shared.isDone else { return nil }
      state.shared.removeAll { $0 === shared }
      return shared.failures
    }
  }

  private func help(_ shared: SharedWork) {
    while let index = state.peek({ _ in shared.begin() }) {
      let failure = shared.body(shared.turns[index])
      if state.peek({ _ in shared.end(index, failure) }) { state.update { _ in } }
    }
  }

  private func read(_ turn: inout Turn) {
    let block = pool.takeForReading(at: turn.start)
    turn.block = block
    do throws(Errno) {
      try block.fill(turn.end - turn.start) { memory throws(Errno) in try parts[turn.file].read(into: memory, at: turn.start) }
    } catch { turn.failure = error }
  }

  private func write(_ file: Int, _ block: Block, _ range: Range<Int>) {
    var failure: Errno?
    do throws(Errno) { try parts[file].write(block, range) } catch { failure = error }
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
    for turn in turns {
      record(turn.start..<turn.position, of: turn.file)
      // The chain is still this thread's.
      if turn.position > turn.start { parts[turn.file].hashed(turn.chain.hash) }
    }
    let whole = state.update { state in
      state.leaders -= 1
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

/// Something to be done with each of several turns, by whichever worker is free.
final class SharedWork: @unchecked Sendable {
  // Unchecked: what changes is touched with `Landing`'s lock held, and what `body` does with different turns doesn't meet.
  let turns: [Landing.Turn]
  let body: (Landing.Turn) -> Errno?
  private(set) var failures: [Errno?]
  private var begun = 0
  private var ended = 0

  init(_ turns: [Landing.Turn], _ body: @escaping (Landing.Turn) -> Errno?) {
    (self.turns, self.body) = (turns, body)
    failures = [Errno?](repeating: nil, count: turns.count)
  }

  var isOpen: Bool { begun < turns.count }
  var isDone: Bool { ended == turns.count }

  /// - Returns: the turn to go on with; nil when all have been begun.
  func begin() -> Int? {
    guard isOpen else { return nil }
    defer { begun += 1 }
    return begun
  }

  /// - Returns: whether that was the last.
  func end(_ index: Int, _ failure: Errno?) -> Bool {
    failures[index] = failure
    ended += 1
    return isDone
  }
}
