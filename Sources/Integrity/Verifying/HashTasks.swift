import Platform
import SystemPackage

/// What the threads of a `HashPipeline` do, one task at a time.
extension HashPipeline {
  /// Opens a file, and finds out where the next window of a stretch is.
  func look(_ stream: HashStream) {
    let known = stream.knownEnd
    let (opened, path, size) = (stream.file.file, stream.file.path, stream.file.size)
    var file = opened
    var failure: Errno?
    do throws(Errno) { if file == nil { file = try ReadOnceFile(path) } } catch { failure = error }
    // It was looked at before, to see how many stretches there are.
    if let file, file.size != size { failure = .resourceBusy }
    let isCached = file?.isCached(windowAt: known) ?? true
    state.update { state in
      // Two stretches may have opened it at once.
      if stream.file.file == nil { stream.file.file = file }
      if let failure { fail(stream.file, failure) }
      (stream.isCached, stream.isLooking) = (isCached, false)
      stream.knownEnd = known + ReadOnceFile.windowBytes
      settle(stream, &state)
    }
  }

  func read(_ task: Read, isCached: Bool) {
    let (stream, file, offset) = (task.stream, task.file, task.offset)
    let buffer = UnsafeMutableRawBufferPointer(rebasing: task.buffer.memory[..<(task.chunks * stream.chunkBytes)])
    var failure: Errno?
    do throws(Errno) {
      let count = isCached ? try file.read(into: buffer, at: offset) : try file.readPastCache(into: buffer, at: offset)
      // It was longer when it was opened: nothing that is said of such a file would be true.
      if count < min(buffer.count, file.size - offset) { failure = .resourceBusy }
    } catch {
      failure = error
    }
    state.update { state in
      stream.readsUnderWay -= 1
      if let failure { fail(stream.file, failure) }
      stream.add(task.buffer, from: task.firstChunk, count: task.chunks)
      settle(stream, &state)
    }
  }

  func hash<Hash: StreamingHash>(_ turns: [Turn<ChainedHash<Hash>>]) {
    var hashes = turns.map(\.taker.hash)
    ChainedHash.update(&hashes, with: turns.map(\.bytes))
    for (turn, hash) in zip(turns, hashes) { turn.taker.hash = hash }
    finished(turns)
  }

  func hash(_ turn: Turn<ContentHasher>, _ leaves: inout LeafHasher) {
    turn.taker.hash.update(turn.bytes, &leaves)
    finished([turn])
  }

  private func finished<Hash>(_ turns: [Turn<Hash>]) {
    let done = state.update { state in
      turns.map { turn in
        let before = turn.stream.bytesDone
        turn.taker.isBusy = false
        turn.taker.chunksDone += 1
        turn.stream.file.bytesDone += turn.stream.bytesDone - before
        settle(turn.stream, &state)
        return (turn.stream.stretch.file, turn.stream.file.bytesDone)
      }
    }
    for (file, bytes) in done { progress(file, bytes) }
  }

  private func fail(_ file: StreamFile, _ failure: Errno) { file.failure = file.failure ?? failure }

  /// After each change of `stream`: its buffers go where they are needed, and it ends if nothing is left to do on it.
  private func settle(_ stream: HashStream, _ state: inout State) {
    // A failure concerns all stretches of the file.
    let concerned = stream.file.failure == nil ? [stream] : state.open.filter { $0.file === stream.file }
    for stream in concerned {
      // What is being hashed is still needed.
      if stream.file.failure == nil || !stream.isBusy { state.buffers.giveBack(stream.release()) }
      if stream.isOver { end(stream, &state) }
    }
    fillQueue(&state)
  }

  private func end(_ stream: HashStream, _ state: inout State) {
    guard let place = state.open.firstIndex(where: { $0 === stream }) else { return }
    state.open.remove(at: place)
    let file = stream.file
    if file.failure == nil {
      state.outcomes[stream.index] = stream.outcome
      file.stretchesLeft -= 1
      if file.stretchesLeft == 0, file.file?.hasChanged ?? true { file.failure = .resourceBusy }
    }
    // A file that failed has no more stretches than those that are open.
    let isLast = file.failure == nil ? file.stretchesLeft == 0 : !state.open.contains { $0.file === file }
    if isLast {
      file.file = nil
      state.filesOpen -= 1
    }
  }
}
