import CKernels
import Integrity
import Platform
import Synchronization
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

extension ReshardPlan {
  public struct WriteOptions: Sendable {
    /// Whether a checkpoint that already lies under the destination's name may be replaced.
    public var replacing: Bool
    /// What is computed of each file on the way. MD5 also makes a `checklist.chk`.
    public var digests: Set<HashAlgorithm>
    /// The program and its version, for a receipt in the folder; nil for none.
    public var tool: String?
    public var threads: Int

    public init(replacing: Bool = false, digests: Set<HashAlgorithm> = [.md5], tool: String? = nil, threads: Int? = nil) {
      self.replacing = replacing
      self.digests = digests
      self.tool = tool
      self.threads = threads ?? Workers.available
    }
  }

  /// A file that was written.
  public struct WrittenFile: Sendable {
    /// Relative to the destination.
    public let name: String
    public let bytes: Int
    public let digests: [HashAlgorithm: ChainedDigest]
  }

  /// Bytes of memory that writing takes at most beside the program itself, whatever the size of the model.
  public func peakMemory(_ options: WriteOptions = WriteOptions()) -> Int {
    let largest = files.reduce(0) { max($0, $1.pieces.reduce(0) { if case .bytes(let bytes, _) = $1.content { max($0, bytes.count) } else { $0 } }) }
    return ReshardWriter.blocks(options.threads) * ReshardWriter.chunkBytes
      + options.threads * (RegionReader.scratchBytes + SHA256.lanes * ReshardWriter.chunkBytes) + 2 * largest
  }

  /// Carries the plan out. The folder appears under `destination` complete and synced, or not at all.
  ///
  /// - Parameters:
  ///   - progress: called on any thread with the index of a file and how many of its bytes are done.
  ///   - isCancelled: asked now and then; when it says so, nothing is left behind.
  /// - Returns: the files; `checklist.chk` and the receipt last.
  public func write(
    to destination: FilePath, _ options: WriteOptions = WriteOptions(),
    progress: @escaping @Sendable (_ file: Int, _ bytes: Int) -> Void = { _, _ in }, isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws(CheckpointError) -> [WrittenFile] {
    let folder = try OutputFolder(
      destination, replacing: options.replacing, source: source.files.map(\.path), bytes: byteCount)
    try source.checkReplicas(options.threads)
    var descriptors: [Int32] = []
    for file in files { descriptors.append(try folder.create(file.name, bytes: file.byteCount)) }
    let writer = try ReshardWriter(self, options, folder, descriptors, progress, isCancelled)
    var (written, fingerprint) = try writer.run()
    func add(_ name: String, _ bytes: [UInt8]) throws(CheckpointError) {
      let descriptor = try folder.create(name, bytes: bytes.count)
      let block = Block(count: bytes.count)
      block.memory.copyBytes(from: bytes)
      try folder.write(UnsafeRawBufferPointer(block.memory), to: descriptor, at: 0, name: name)
      try folder.sync(descriptor, name: name)
      let digests = options.digests.map { ($0, ChainedDigest(of: bytes, $0)) }
      written.append(WrittenFile(name: name, bytes: bytes.count, digests: .init(uniqueKeysWithValues: digests)))
    }
    let receipt = receipt(options, written, fingerprint)
    if options.digests.contains(.md5) {
      try add("checklist.chk", Array(written.map { "\($0.digests[.md5]?.digest.hex ?? "")  \($0.name)\n" }.joined().utf8))
    }
    if let receipt {
      let bytes: [UInt8]
      do { bytes = try receipt.encoded() } catch { throw CheckpointError(.output, in: destination, error.description) }
      try add(Receipt.fileName, bytes)
    }
    try folder.publish()
    return written
  }

  /// nil when none is wanted, or nothing was hashed that it could say.
  private func receipt(_ options: WriteOptions, _ written: [WrittenFile], _ fingerprint: CheckpointFingerprint?) -> Receipt? {
    guard let tool = options.tool, !options.digests.isEmpty, let first = source.files.first?.path else { return nil }
    let place = source.format == .gguf ? first : first.removingLastComponent()
    var given = ["mp": "\(self.options.modelParallel)", "format": self.options.format.rawValue, "dtype": self.options.dtype?.rawValue ?? "keep"]
    if self.options.format == .hf { given["max-shard-size"] = "\(self.options.maxShardBytes)" }
    return Receipt(
      tool: tool, operation: "reshard", origin: .checkpoint(at: place), options: given,
      files: written.map { .init(path: FilePath($0.name), bytes: $0.bytes, md5: $0.digests[.md5], sha256: $0.digests[.sha256]) },
      fingerprint: fingerprint)
  }
}

/// Writes the files of a plan on several threads, with a fixed number of buffers.
///
/// Chunks of the output are handed out in the order of the files; a thread gathers one and writes it where it belongs. Checksums need the bytes
/// in order, so a chunk stays in memory until the lanes of its file have passed it: the first lane seals (CRC-32, and the pieces that
/// contain it), one more for each digest hashes. A chunk is handed out only with a buffer, so the earliest always has one, and nothing waits in a
/// circle.
private final class ReshardWriter: Sendable {
  static let chunkBytes = 1 << 20
  /// Bytes of a file that go to the disk together.
  private static let syncBytes = 16 << 20

  static func blocks(_ threads: Int) -> Int { 2 * threads + 12 }

  /// A stretch of a file.
  private struct Chunk {
    let file: Int
    /// Its number in the file.
    let ordinal: Int
    let piece: Int
    let offset: Int
    let count: Int
    /// nil for pieces of known bytes.
    var window: TensorRegion.Window?
    /// Filled, once it is parked.
    var block: Block?
    var checksum: UInt32 = 0
    /// Lanes that haven't passed it.
    var lanes = 0
  }

  /// Something that takes the chunks of a file in order: seals them, or hashes them.
  private final class Lane: @unchecked Sendable {
    // Unchecked: `next` and `isBusy` are touched with the lock held, the rest by the thread that made it busy.
    /// nil for the lane that seals.
    let algorithm: HashAlgorithm?
    var next = 0
    var isBusy = false
    var md5 = ChainedHash<MD5>()
    var sha256 = ChainedHash<SHA256>()
    /// By piece.
    var checksums: [Int: UInt32] = [:]
    /// Bytes of the file whose way to the disk has begun.
    var syncedBytes = 0

    init(_ algorithm: HashAlgorithm?) { self.algorithm = algorithm }

    var digest: ChainedDigest? { algorithm.map { $0 == .md5 ? md5.finalize() : sha256.finalize() } }
  }

  /// A tensor whose fingerprint is computed on the side.
  private final class Fingerprinting: @unchecked Sendable {
    // Unchecked: as for a lane.
    var walk: FingerprintWalk
    var isBusy = false

    init(_ walk: FingerprintWalk) { self.walk = walk }
  }

  /// A chunk that one of its file's lanes takes next.
  private struct Turn {
    let chunk: Chunk
    let lane: Lane

    var bytes: UnsafeRawBufferPointer {
      guard let block = chunk.block else { return UnsafeRawBufferPointer(start: nil, count: 0) }
      return UnsafeRawBufferPointer(rebasing: block.memory[..<chunk.count])
    }
  }

  private struct State {
    var free: [Block]
    /// By file.
    var chunksDone: [Int]
    var parked: [[Int: Chunk]]
    /// The place of the next chunk: pieces, then chunks of them, then files, so that all shards grow together.
    var piece = 0
    var index = 0
    var file = 0
    var hadChunk = false
    var isAllHandedOut = false
    /// Chunks handed out, and not yet through all lanes.
    var open = 0
    /// Bytes of all chunks handed out, and of all tensors whose fingerprints are under way.
    var produced = 0
    var fingerprinted = 0
    /// Tensors still without fingerprint, in their order.
    var fingerprinting: [Fingerprinting]
    var fingerprints: [String: Digest] = [:]
    var failure: CheckpointError?
  }

  /// Bytes that fingerprints may be ahead of the copying: near enough to read a disk once for both.
  private static let fingerprintLead = 64 << 20

  private let plan: ReshardPlan
  private let options: ReshardPlan.WriteOptions
  private let folder: OutputFolder
  private let descriptors: [Int32]
  private let lanes: [[Lane]]
  /// MD5s that are computed side by side, if it can be had.
  private let group: Int
  private let state: Monitor<State>
  private let progress: @Sendable (Int, Int) -> Void
  private let isCancelled: @Sendable () -> Bool

  init(
    _ plan: ReshardPlan, _ options: ReshardPlan.WriteOptions, _ folder: OutputFolder, _ descriptors: [Int32],
    _ progress: @escaping @Sendable (Int, Int) -> Void, _ isCancelled: @escaping @Sendable () -> Bool
  ) throws(CheckpointError) {
    self.plan = plan
    self.options = options
    self.folder = folder
    self.descriptors = descriptors
    self.progress = progress
    self.isCancelled = isCancelled
    let large = plan.files.count { $0.byteCount >= Self.syncBytes }
    group = large < options.threads ? 1 : min(large, MD5Kernel.best.lanes)
    lanes = plan.files.map { _ in [Lane(nil)] + options.digests.sorted { $0.rawValue < $1.rawValue }.map { Lane($0) } }
    var fingerprinting: [Fingerprinting] = []
    if options.tool != nil {
      // Of what is written, so of what a conversion makes of the source.
      for tensor in plan.source.fingerprinted {
        fingerprinting.append(Fingerprinting(try FingerprintWalk(tensor, as: ReshardPlan.outputDType(tensor.dtype, plan.options))))
      }
    }
    state = Monitor(
      State(
        free: (0..<Self.blocks(options.threads)).map { _ in Block(count: Self.chunkBytes) },
        chunksDone: [Int](repeating: 0, count: plan.files.count), parked: [[Int: Chunk]](repeating: [:], count: plan.files.count), fingerprinting: fingerprinting))
  }

  func run() throws(CheckpointError) -> ([ReshardPlan.WrittenFile], CheckpointFingerprint?) {
    Workers.run(options.threads) { self.work() }
    if let failure = state.update({ $0.failure }) { throw failure }
    // Every file is synced before the folder gets its name.
    let next = Atomic(0)
    Workers.run(min(options.threads, descriptors.count)) {
      while true {
        let file = next.add(1, ordering: .relaxed).oldValue
        guard file < self.descriptors.count else { return }
        do throws(CheckpointError) {
          try self.folder.sync(self.descriptors[file], name: self.plan.files[file].name)
        } catch {
          self.fail(error)
        }
      }
    }
    if let failure = state.update({ $0.failure }) { throw failure }
    let written = zip(plan.files, lanes).map { file, lanes in
      let digests = lanes.compactMap(\.digest).map { ($0.digest.algorithm, $0) }
      return ReshardPlan.WrittenFile(name: file.name, bytes: file.byteCount, digests: .init(uniqueKeysWithValues: digests))
    }
    let fingerprints = state.update { $0.fingerprints }
    return (written, fingerprints.isEmpty ? nil : CheckpointFingerprint(stored: fingerprints))
  }

  private enum Job {
    case produce(Chunk)
    case seal(Turn)
    case md5([Turn])
    case sha256([Turn], [Fingerprinting])
    case stop
  }

  private func work() {
    var reader = RegionReader(files: plan.source.files)
    let block = Block(count: Self.chunkBytes)
    var leaves = LeafHasher()
    while true {
      if isCancelled() { fail(CheckpointError(.cancelled, "stopped; nothing was left behind")) }
      let job = state.wait { self.nextJob(&$0) }
      do throws(CheckpointError) {
        switch job {
        case .produce(let chunk): try produce(chunk, &reader)
        case .seal(let turn): try seal(turn)
        case .md5(let turns): md5(turns)
        case .sha256(let turns, let tensors): try sha256(turns, tensors, &reader, block, &leaves)
        case .stop: return
        }
      } catch {
        fail(error)
      }
    }
  }

  private func fail(_ error: CheckpointError) { state.update { if $0.failure == nil { $0.failure = error } } }

  /// What to do next; nil when there is nothing right now.
  ///
  /// An MD5 is the longest chain, so it comes before all that doesn't feed it. Where threads are scarce it waits until all files have a chunk:
  /// side by side they take little longer than one.
  private func nextJob(_ state: inout State) -> Job? {
    if state.failure != nil { return .stop }
    if let turn = turns(nil, state, limit: 1).first { return take(turn) { .seal(turn) } }
    let md5 = options.digests.contains(.md5) ? turns(.md5, state, limit: MD5Kernel.best.lanes) : []
    if !md5.isEmpty, md5.count >= group { return take(md5) }
    if !state.isAllHandedOut, !state.free.isEmpty, var chunk = nextChunk(&state) {
      state.open += 1
      state.produced += chunk.count
      if chunk.window != nil { chunk.block = state.free.removeLast() }
      return .produce(chunk)
    }
    if let job = sha256Job(state) { return job }
    // The others' have ended, or wait for a buffer that one of these has.
    if !md5.isEmpty { return take(md5) }
    return state.isAllHandedOut && state.open == 0 && state.fingerprinting.isEmpty ? .stop : nil
  }

  /// The turns of the files' lanes for `algorithm`, nil for sealing, that can be taken now.
  private func turns(_ algorithm: HashAlgorithm?, _ state: State, limit: Int) -> [Turn] {
    var turns: [Turn] = []
    for (file, lanes) in lanes.enumerated() where turns.count < limit {
      guard let lane = lanes.first(where: { $0.algorithm == algorithm }), !lane.isBusy, let chunk = state.parked[file][lane.next] else { continue }
      // Digests see only sealed bytes.
      if algorithm == nil || lane.next < lanes[0].next { turns.append(Turn(chunk: chunk, lane: lane)) }
    }
    return turns
  }

  private func take(_ turn: Turn, _ job: () -> Job) -> Job {
    turn.lane.isBusy = true
    return job()
  }

  private func take(_ turns: [Turn]) -> Job {
    for turn in turns { turn.lane.isBusy = true }
    return .md5(turns)
  }

  /// Files and tensors side by side; tensors only as far as the copying, near enough to read a disk once for both.
  private func sha256Job(_ state: State) -> Job? {
    let mayLead = state.isAllHandedOut || state.fingerprinted < state.produced + Self.fingerprintLead
    var tensors = mayLead ? Array(state.fingerprinting.lazy.filter { !$0.isBusy }.prefix(SHA256.lanes)) : []
    var turns = options.digests.contains(.sha256) ? turns(.sha256, state, limit: SHA256.lanes) : []
    if !tensors.isEmpty { turns = Array(turns.prefix(max(1, SHA256.lanes - 1))) }
    tensors = Array(tensors.prefix(SHA256.lanes - turns.count))
    guard !turns.isEmpty || !tensors.isEmpty else { return nil }
    for turn in turns { turn.lane.isBusy = true }
    for tensor in tensors { tensor.isBusy = true }
    return .sha256(turns, tensors)
  }

  /// Cuts the next chunk off the files.
  private func nextChunk(_ state: inout State) -> Chunk? {
    while true {
      if state.file == plan.files.count {
        state.file = 0
        if state.hadChunk {
          state.index += 1
        } else {
          state.piece += 1
          state.index = 0
          if plan.files.allSatisfy({ state.piece >= $0.pieces.count }) {
            state.isAllHandedOut = true
            return nil
          }
        }
        state.hadChunk = false
      }
      let file = state.file
      state.file += 1
      let pieces = plan.files[file].pieces
      guard state.piece < pieces.count, let chunk = chunk(file, state.piece, state.index, ordinal: state.chunksDone[file]) else { continue }
      state.hadChunk = true
      state.chunksDone[file] += 1
      return chunk
    }
  }

  /// Chunk `index` of a piece: whole rows where they fit into a buffer; nil beyond the last.
  private func chunk(_ file: Int, _ piece: Int, _ index: Int, ordinal: Int) -> Chunk? {
    let place = plan.files[file].pieces[piece]
    guard case .tensor(let region) = place.content else {
      return index > 0 ? nil : Chunk(file: file, ordinal: ordinal, piece: piece, offset: place.offset, count: place.byteCount)
    }
    guard let window = region.window(index, limit: Self.chunkBytes) else { return nil }
    return Chunk(file: file, ordinal: ordinal, piece: piece, offset: place.offset + window.offset, count: window.byteCount, window: window)
  }

  /// Gathers a chunk, writes it, and parks it for the lanes.
  private func produce(_ chunk: Chunk, _ reader: inout RegionReader) throws(CheckpointError) {
    var chunk = chunk
    let file = plan.files[chunk.file]
    switch file.pieces[chunk.piece].content {
    case .tensor(let region):
      guard let window = chunk.window, let block = chunk.block else { break }
      try reader.read(region, rows: window.rows, columns: window.columns, into: block.baseAddress)
      let bytes = UnsafeRawBufferPointer(rebasing: block.memory[..<chunk.count])
      if file.needsChecksums { chunk.checksum = drover_crc32(0, bytes.baseAddress, bytes.count) }
      try folder.write(bytes, to: descriptors[chunk.file], at: chunk.offset, name: file.name)
    case .bytes(let bytes, _):
      let block = Block(count: bytes.count)
      block.memory.copyBytes(from: bytes)
      chunk.block = block
    }
    chunk.lanes = lanes[chunk.file].count
    state.update { $0.parked[chunk.file][chunk.ordinal] = chunk }
  }

  private func seal(_ turn: Turn) throws(CheckpointError) {
    let (chunk, lane) = (turn.chunk, turn.lane)
    guard let block = chunk.block else { return }
    try seal(chunk, block, lane)
    let end = chunk.offset + chunk.count
    if end / Self.syncBytes != lane.syncedBytes / Self.syncBytes {
      folder.startSync(descriptors[chunk.file], lane.syncedBytes..<end)
      lane.syncedBytes = end
    }
    progress(chunk.file, end)
    state.update { finish([turn], &$0) }
  }

  private func md5(_ turns: [Turn]) {
    var hashes = turns.map(\.lane.md5)
    ChainedHash.update(&hashes, with: turns.map(\.bytes))
    for (turn, hash) in zip(turns, hashes) { turn.lane.md5 = hash }
    state.update { finish(turns, &$0) }
  }

  private func sha256(
    _ turns: [Turn], _ tensors: [Fingerprinting], _ reader: inout RegionReader, _ block: Block, _ leaves: inout LeafHasher
  ) throws(CheckpointError) {
    var bytes = 0
    for tensor in tensors { bytes += try tensor.walk.advance(&reader, through: block, &leaves) }
    var hashes = turns.map(\.lane.sha256)
    ChainedHash.update(&hashes, with: turns.map(\.bytes))
    for (turn, hash) in zip(turns, hashes) { turn.lane.sha256 = hash }
    let ended = tensors.filter(\.walk.isDone).map { ($0.walk.name, $0.walk.finalize()) }
    state.update { state in
      finish(turns, &state)
      state.fingerprinted += bytes
      for tensor in tensors { tensor.isBusy = false }
      for (name, digest) in ended { state.fingerprints[name] = digest }
      if !ended.isEmpty { state.fingerprinting.removeAll { !$0.isBusy && $0.walk.isDone } }
    }
  }

  /// A lane has taken each of the chunks; one that all lanes have taken makes room.
  private func finish(_ turns: [Turn], _ state: inout State) {
    for turn in turns {
      let chunk = turn.chunk
      turn.lane.next += 1
      turn.lane.isBusy = false
      state.parked[chunk.file][chunk.ordinal]?.lanes -= 1
      guard state.parked[chunk.file][chunk.ordinal]?.lanes == 0 else { continue }
      state.parked[chunk.file][chunk.ordinal] = nil
      state.open -= 1
      if chunk.window != nil, let block = chunk.block { state.free.append(block) }
    }
  }

  /// Carries the CRC-32 of tensors on, and writes the pieces that contain it.
  private func seal(_ chunk: Chunk, _ block: Block, _ lane: Lane) throws(CheckpointError) {
    let file = plan.files[chunk.file]
    switch file.pieces[chunk.piece].content {
    case .tensor:
      guard file.needsChecksums else { return }
      lane.checksums[chunk.piece] = lane.checksums[chunk.piece].map { drover_crc32_combine($0, chunk.checksum, UInt64(chunk.count)) } ?? chunk.checksum
    case .bytes(_, let checksums):
      for checksum in checksums {
        block.memory.storeBytes(of: (lane.checksums[checksum.piece] ?? 0).littleEndian, toByteOffset: checksum.at, as: UInt32.self)
      }
      try folder.write(UnsafeRawBufferPointer(block.memory), to: descriptors[chunk.file], at: chunk.offset, name: file.name)
    }
  }
}
