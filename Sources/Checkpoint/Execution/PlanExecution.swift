import FoundationEssentials
import Integrity
import Platform
import Synchronization

/// Carries a plan out on several threads, each of which takes a chunk of a tensor from its parts to its destinations: it reads every byte once, and
/// hashes and writes it while it is in the core's cache. Chunks don't depend on each other, so threads wait for nothing but the disk.
final class PlanExecution: Sendable {
  /// What was proved of the output.
  struct Proof: Sendable {
    var fingerprints: [String: Digest] = [:]
    /// By file with weights.
    var contents: [Int: Receipt.Content] = [:]
    /// By file without.
    var wholes: [Int: ChainedDigest] = [:]
    /// How many finite numbers of a tensor are infinite in the dtype that it was written as.
    var overflows: [TensorName: Int] = [:]
  }

  private struct State {
    /// The tensor whose chunks are handed out, and what is left of it, the next one last.
    var tensor = -1
    /// Chunks that were handed out.
    var handedOut = 0
    var work: [[TensorPlan.Work]] = []
    var current: TensorProgress?
    /// Tensors that were begun and aren't done.
    var open: [TensorProgress] = []
    /// What is done of those that are, and of those that weren't begun in this run.
    var done: [String: [PlanProgress.Unit]]
    var outcomes: [TensorProgress.Outcome] = []
    /// Bytes of tensors that are no weights, by file and offset.
    var buffers: [Int: [Int: [UInt8]]] = [:]
    var overflows: [TensorName: Int] = [:]
    var failure: CheckpointError?
    /// Why something that was to be read doesn't come.
    var absence: CheckpointError?
  }

  /// What is handed out to a thread.
  private struct Assignment {
    /// Of the first piece of work, in the order of the schedule.
    let number: Int
    let tensor: TensorProgress
    /// What is written at once.
    let work: [TensorPlan.Work]
  }

  /// What a thread works with.
  private struct Tools: ~Copyable {
    var reader: PartReader
    var writer: ChunkWriter
    var leaves = LeafHasher()
    var room = Room()
    /// For what is put together before it is written.
    var joined = Room()
  }

  private let tensors: [TensorPlan]
  private let sources: [any ByteSource]
  private let outputs: [OpenOutput]
  private let order: TensorPlan.Order
  private let proves: Bool
  private let progress: ReadingProgress?
  /// Whether what is done is noted down for another run.
  private let keeps: Bool
  private let didRead: @Sendable (_ bytes: Int) -> Void
  private let isCancelled: @Sendable () -> Bool
  private let state: Mutex<State>

  /// - Parameters:
  ///   - sources: the files that parts count in.
  ///   - outputs: those that destinations count in.
  ///   - order: that of the output, or of the source.
  ///   - proves: whether weights are hashed.
  ///   - progress: told which chunks are done, by their numbers in that order.
  ///   - earlier: what another run has done; nil where there is none, and will be none.
  ///   - didRead: called on any thread with bytes of tensors, as they are written, that were done since its last call.
  init(
    _ tensors: [TensorPlan], from sources: [any ByteSource], to outputs: [OpenOutput] = [], order: TensorPlan.Order = .output, proves: Bool, progress: ReadingProgress? = nil,
    after earlier: PlanProgress? = nil, didRead: @escaping @Sendable (_ bytes: Int) -> Void = { _ in }, isCancelled: @escaping @Sendable () -> Bool
  ) {
    self.tensors = Self.sorted(tensors, order)
    self.progress = progress
    keeps = earlier != nil
    state = Mutex(State(done: earlier?.byTensor ?? [:]))
    self.order = order
    self.sources = sources
    self.outputs = outputs
    self.proves = proves
    self.didRead = didRead
    self.isCancelled = isCancelled
  }

  /// The tensors in the order in which they are begun. Parts of one lie at about the same place of every shard.
  static func sorted(_ tensors: [TensorPlan], _ order: TensorPlan.Order) -> [TensorPlan] {
    switch order {
    case .output: tensors
    case .source: tensors.sorted { $0.firstByte < $1.firstByte }
    case .arrival: tensors.sorted { ($0.firstByte.offset, $0.firstByte.file) < ($1.firstByte.offset, $1.firstByte.file) }
    }
  }

  func run(threads: Int) throws(CheckpointError) -> Proof {
    Workers.run(threads) { self.work() }
    if let absence = state.withLock({ $0.absence }) { fail(absence) }
    try check()
    for source in sources { try source.checkUnchanged() }
    // Every file is synced before the folder gets its name.
    let next = Atomic(0)
    Workers.run(min(threads, outputs.count)) {
      while true {
        let index = next.add(1, ordering: .relaxed).oldValue
        guard index < self.outputs.count else { return }
        do throws(CheckpointError) {
          try self.outputs[index].writeRest()
          try self.outputs[index].sync()
        } catch {
          self.fail(error)
        }
      }
    }
    try check()
    guard proves else { return Proof(overflows: state.withLock { $0.overflows }) }
    let proved = Set(state.withLock { $0.outcomes.map(\.name) })
    // A receipt that left a weight out would be untrue of its file.
    if let missing = tensors.first(where: { !$0.tensor.name.role.isBuffer && !proved.contains($0.tensor.name) }) {
      throw CheckpointError(.output, "\(missing.tensor.name) could not be given a fingerprint, so nothing was written")
    }
    return try state.withLock { state throws(CheckpointError) in try proof(state) }
  }

  private func check() throws(CheckpointError) {
    if isCancelled() { fail(CheckpointError(.cancelled, "stopped before the end")) }
    if let failure = state.withLock({ $0.failure }) { throw failure }
  }

  /// What is done now, and written.
  var done: [PlanProgress.Unit] {
    let (done, open) = state.withLock { ($0.done, $0.open) }
    // Where parts are alike that mustn't be, all of them are read again.
    return open.filter { $0.alike == nil }.reduce(into: done) { $0[$1.plan.tensor.name.text] = $1.done }.values.flatMap(\.self)
  }

  func fail(_ error: CheckpointError) {
    state.withLock { $0.failure = $0.failure ?? error }
    for output in outputs { output.chain?.giveUp() }
    progress?.giveUp()
  }

  private func work() {
    var tools = Tools(reader: PartReader(files: sources), writer: ChunkWriter(files: outputs))
    while let task = next() {
      do throws(CheckpointError) {
        try carryOut(task.work, of: task.tensor, number: task.number, &tools)
      } catch {
        // What has come of sources that have ended is made use of, and needn't come again.
        guard error.reason == .io, progress?.haveEnded == true else {
          fail(error)
          continue
        }
        state.withLock { $0.absence = $0.absence ?? error }
        guard task.work.count > 1 else { continue }
        for (index, work) in task.work.enumerated() {
          do throws(CheckpointError) { try carryOut([work], of: task.tensor, number: task.number + index, &tools) } catch {
            if error.reason != .io { fail(error) }
          }
        }
      }
    }
  }

  /// Does what is written at once.
  /// - Parameter number: of the first piece of work.
  private func carryOut(_ group: [TensorPlan.Work], of tensor: TensorProgress, number: Int, _ tools: inout Tools) throws(CheckpointError) {
    var isDone = false
    if let work = group.first, let unseen = work.comparing, let source = tensor.units[work.unit].source, let copy = tensor.copy(of: work) {
      try tools.reader.compare(tensor.plan, source: source, work.chunk, unseen: unseen, with: copy)
      isDone = tensor.compared(work)
    } else {
      let results = group.count == 1 ? [try carryOut(group[0], of: tensor, &tools)] : try join(group, of: tensor, &tools)
      for (work, result) in zip(group, results) where tensor.finish(work, result) { isDone = true }
    }
    if isDone { try settle(tensor, tools.reader) }
    for index in group.indices { progress?.finish(number + index) }
  }

  /// Reads, hashes and writes a chunk.
  private func carryOut(_ work: TensorPlan.Work, of tensor: TensorProgress, _ tools: inout Tools) throws(CheckpointError) -> TensorProgress.Result {
    let (bytes, read) = try readAndHash(work, of: tensor, &tools)
    var result = read
    try tools.writer.write(work.chunk, of: tensor.plan, bytes) { file, offset, bytes in result.buffers.append(.init(file: file, offset: offset, bytes: Data(bytes))) }
    result.sums = tools.writer.sums
    didRead(bytes.count)
    return result
  }

  /// Reads and hashes chunks of the same rows that lie side by side, and writes their rows whole.
  private func join(_ group: [TensorPlan.Work], of tensor: TensorProgress, _ tools: inout Tools) throws(CheckpointError) -> [TensorProgress.Result] {
    let (plan, rows) = (tensor.plan, group[0].chunk.rows)
    let whole = TensorPlan.Chunk(rows: rows, columns: group[0].chunk.columns.lowerBound..<group[group.count - 1].chunk.columns.upperBound)
    let pitch = plan.dtype.byteCount(whole.columns.count)
    let joined = UnsafeMutableRawBufferPointer(start: tools.joined.of(rows.count * pitch), count: rows.count * pitch)
    var results: [TensorProgress.Result] = []
    for work in group {
      let (bytes, result) = try readAndHash(work, of: tensor, &tools)
      results.append(result)
      let (start, width) = (plan.dtype.byteCount(work.chunk.columns.lowerBound - whole.columns.lowerBound), plan.dtype.byteCount(work.chunk.columns.count))
      for row in 0..<rows.count {
        UnsafeMutableRawBufferPointer(rebasing: joined[row * pitch + start..<row * pitch + start + width]).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: bytes[row * width..<(row + 1) * width]))
      }
    }
    // Each source's own, since what came of one that is wrong is thrown away without the others.
    for (index, work) in group.enumerated() { results[index].sums = tools.writer.checksums(of: work.chunk, in: whole, of: plan, UnsafeRawBufferPointer(joined)) }
    try tools.writer.write(whole, of: plan, UnsafeRawBufferPointer(joined), isSummed: true)
    didRead(joined.count)
    return results
  }

  /// - Returns: the chunk as it is written, which stays until the next is read; and what came of it.
  private func readAndHash(
    _ work: TensorPlan.Work, of tensor: TensorProgress, _ tools: inout Tools
  ) throws(CheckpointError) -> (UnsafeRawBufferPointer, TensorProgress.Result) {
    let (plan, chunk, unit) = (tensor.plan, work.chunk, tensor.units[work.unit])
    var result = TensorProgress.Result()
    if unit.source == nil, plan.readsFirstRows(with: chunk) { try tools.reader.checkFirstRowsDiffer(plan) }
    let count = chunk.rows.count * plan.dtype.byteCount(chunk.columns.count)
    let bytes = tools.room.of(count)
    result.overflows = try tools.reader.read(plan, chunk, into: bytes)
    if let source = unit.source {
      if unit.hasCopies { result.copy = try tools.reader.copyDigest(of: plan, plan.sources[source].part, chunk) }
      if plan.tensor.firstRowsDiffer, work.index == 0 { result.firstRow = try tools.reader.firstRow(of: plan, source: source) }
    }
    let filled = UnsafeRawBufferPointer(start: bytes, count: count)
    tensor.hash(chunk, filled, &tools.leaves, into: &result)
    return (filled, result)
  }

  /// All of a tensor is done.
  private func settle(_ tensor: TensorProgress, _ reader: PartReader) throws(CheckpointError) {
    if let (other, part) = tensor.alike { throw reader.sameFirstRow(tensor.plan.tensor, other, part) }
    let (name, done, outcome) = (tensor.plan.tensor.name, tensor.done, tensor.outcome)
    state.withLock { state in
      state.open.removeAll { $0 === tensor }
      for unit in done {
        if unit.overflows > 0 { state.overflows[name, default: 0] += unit.overflows }
        for buffer in unit.buffers { state.buffers[buffer.file, default: [:]][buffer.offset] = [UInt8](buffer.bytes) }
      }
      if keeps { state.done[name.text] = done }
      if let outcome { state.outcomes.append(outcome) }
    }
  }

  /// - Returns: nil when there is nothing left to do.
  private func next() -> Assignment? {
    if isCancelled() { fail(CheckpointError(.cancelled, "stopped before the end")) }
    while true {
      let (task, finished) = state.withLock { state -> (Assignment?, TensorProgress?) in
        guard state.failure == nil else { return (nil, nil) }
        while true {
          if let work = state.work.popLast(), let tensor = state.current {
            defer { state.handedOut += work.count }
            return (Assignment(number: state.handedOut, tensor: tensor, work: work), nil)
          }
          state.tensor += 1
          guard state.tensor < tensors.count else {
            state.tensor = tensors.count
            return (nil, nil)
          }
          let plan = tensors[state.tensor]
          let tensor = TensorProgress(plan, order, proves: proves, after: state.done[plan.tensor.name.text] ?? [])
          if tensor.isDone { return (nil, tensor) }
          state.open.append(tensor)
          state.current = tensor
          state.work = plan.groups(tensor.work).reversed()
        }
      }
      guard let finished else { return task }
      // An earlier run has done all of it.
      do throws(CheckpointError) { try settle(finished, PartReader(files: sources)) } catch { fail(error) }
    }
  }

  private func proof(_ state: State) throws(CheckpointError) -> Proof {
    var proof = Proof(overflows: state.overflows)
    let outcomes = Dictionary(state.outcomes.map { ($0.name, $0) }) { first, _ in first }
    var weights: [Int: [WeightProof]] = [:]
    for plan in tensors {
      guard let outcome = outcomes[plan.tensor.name] else { continue }
      if let original = plan.original {
        guard outcome.fingerprint == outcomes[original]?.fingerprint else {
          throw CheckpointError(
            .corrupt, in: sources[plan.sources[0].part.file].path, byte: plan.sources[0].part.offset,
            "\(plan.tensor.name) isn't \(original), though the model's description ties the two: programs differ in which of them they take. "
              + "`drover download` the model; `drover reshard` says how to go on")
        }
        continue
      }
      proof.fingerprints[plan.tensor.name.text] = outcome.fingerprint
      for (destination, digests) in zip(plan.destinations, outcome.digests) {
        let region = destination.region
        var headDim: Int?
        if case .halves(let dim) = region.order { headDim = dim }
        weights[destination.file, default: []].append(
          WeightProof(
            tensor: plan.tensor.name.text, dtype: plan.dtype, shape: plan.tensor.shape, cut: plan.grid.cut, rows: region.rows, columns: region.columns,
            offset: destination.offset, headDim: headDim, digests: digests))
      }
    }
    for (index, output) in outputs.enumerated() {
      var rest = ChainedHash<SHA256>()
      for (number, piece) in output.file.pieces.enumerated() {
        let bytes = output.checksums.bytes(ofPiece: number) ?? state.buffers[index]?.filter { $0.key >= piece.offset && $0.key < piece.offset + piece.byteCount }
          .sorted { $0.key < $1.key }.flatMap(\.value) ?? []
        bytes.withUnsafeBytes { rest.update($0) }
      }
      if let weights = weights[index] {
        proof.contents[index] = Receipt.Content(weights: weights, rest: rest.finalize().digest)
      } else {
        proof.wholes[index] = rest.finalize()
      }
    }
    return proof
  }
}

extension TensorPlan {
  /// Where its first part begins: the file, and the byte in it.
  fileprivate var firstByte: (file: Int, offset: Int) { sources.map { ($0.part.file, $0.part.offset) }.min { $0 < $1 } ?? (0, 0) }
}
