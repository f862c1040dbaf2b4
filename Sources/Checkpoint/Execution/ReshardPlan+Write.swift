import Integrity
import Platform
import Synchronization
import SystemPackage

extension ReshardPlan {
  public struct WriteOptions: Sendable {
    /// Whether a checkpoint that already lies under the destination's name may be replaced.
    public var replacing: Bool
    /// Digests over whole files that are computed besides. Each is a serial chain.
    public var digests: Set<HashAlgorithm>
    /// Whether a `checklist.chk` is written as Meta has it, with MD5s.
    public var checklist: Bool
    /// The program and its version, for a receipt in the folder; nil for none.
    public var tool: String?
    /// What the receipt says besides of how the output was made: the options by which the source was read.
    public var sourceOptions: [String: String]
    /// Where what is read comes from, if it comes only while the plan is carried out. The result is the same; digests over whole files, which follow the
    /// output, are then made of what was written.
    public var arriving: (any ArrivingSources)?
    /// What the receipt says of where it came from; nil for the folder that was read.
    public var provenance: Provenance?
    public var threads: Int

    public init(
      replacing: Bool = false, digests: Set<HashAlgorithm> = [], checklist: Bool = false, tool: String? = nil, sourceOptions: [String: String] = [:],
      threads: Int? = nil
    ) {
      self.replacing = replacing
      self.digests = checklist ? digests.union([.md5]) : digests
      self.checklist = checklist
      self.tool = tool
      self.sourceOptions = sourceOptions
      self.threads = max(1, threads ?? Workers.available)
    }
  }

  /// Where an output came from, if not from files that lie here.
  public struct Provenance: Sendable {
    /// Such as `pull`.
    let operation: String
    let origin: Receipt.Origin
    /// The files that it was made from; asked for when all of them were read.
    let files: @Sendable () -> [Receipt.File]

    public init(operation: String, origin: Receipt.Origin, files: @escaping @Sendable () -> [Receipt.File]) {
      (self.operation, self.origin, self.files) = (operation, origin, files)
    }
  }

  /// Whether an output could be made at `destination` now: what lies there may be in the way.
  public static func checkPlace(_ destination: FilePath, replacing: Bool) throws(CheckpointError) { _ = try OutputPlace.found(at: destination, replacing: replacing, source: []) }

  /// A file that was written.
  public struct WrittenFile: Sendable {
    /// Relative to the destination.
    public let name: String
    public let bytes: Int
    /// Those that were asked for.
    public let digests: [HashAlgorithm: ChainedDigest]
  }

  /// Bytes of memory that writing takes at most beside the program itself, whatever the size of the model.
  public func peakMemory(_ options: WriteOptions = WriteOptions()) -> Int {
    let chunk = tensors.reduce(Self.chunkBytes) { most, plan in
      // A band is the least, and of what is converted it may be larger before than after.
      max(most, plan.grid.band(at: 0).count * plan.byteCount(plan.tensor.columns))
    }
    let known = files.reduce(0) { $0 + $1.pieces.reduce(0) { if case .bytes(let bytes, _) = $1.content { $0 + bytes.count } else { $0 } } }
    let joined = source.files.contains(where: \.isArriving) ? options.threads * TensorPlan.mostJoinedBytes : 0
    let chains = options.digests.isEmpty ? 0 : files.count * (FileChain.mostWaiting + 2 * chunk)
    return options.threads * 6 * chunk + joined + chains + 3 * known + (32 << 20)
  }

  /// Bytes of a tensor that are read, hashed and written at once: two bands of the grid, so that their leaves are hashed in pairs, and little enough for
  /// them to stay in a core's cache.
  static let chunkBytes = 1 << 20

  /// Carries the plan out. The folder appears under `destination` complete and synced, or not at all.
  ///
  /// - Parameters:
  ///   - progress: called on any thread with the index of a file and how many of its bytes are done.
  ///   - note: told, in sentences, what a person should know besides: what was kept of a folder that was replaced.
  ///   - isCancelled: asked now and then; when it says so, nothing is left behind.
  /// - Returns: the files; `checklist.chk` and the receipt last.
  public func write(
    to destination: FilePath, _ options: WriteOptions = WriteOptions(),
    progress: @escaping @Sendable (_ file: Int, _ bytes: Int) -> Void = { _, _ in }, note: (String) -> Void = { _ in },
    isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws(CheckpointError) -> [WrittenFile] {
    let folder = try OutputFolder(destination, replacing: options.replacing, source: source.files.filter(\.isHere).map(\.path), bytes: byteCount, note: note)
    let written: [WrittenFile]
    do throws(CheckpointError) {
      var outputs: [OpenOutput] = []
      for (index, file) in files.enumerated() {
        outputs.append(try OpenOutput(file, folder, digests: options.arriving == nil ? options.digests : [], progress: FileProgress { progress(index, $0) }))
      }
      let execution = PlanExecution(
        tensors, from: source.files, to: outputs, order: options.arriving == nil ? .output : .arrival, proves: options.tool != nil,
        progress: options.arriving.map { ReadingProgress($0) }, isCancelled: isCancelled)
      written = try fill(folder, outputs, execution, options, note)
    } catch { throw folder.discard(because: error) }
    try folder.publish(note: note)
    return written
  }

  /// Writes and syncs all files; `checklist.chk` and the receipt last.
  func fill(
    _ folder: OutputFolder, _ outputs: [OpenOutput], _ execution: PlanExecution, _ options: WriteOptions, _ note: (String) -> Void
  ) throws(CheckpointError) -> [WrittenFile] {
    let proof = try execution.run(threads: options.threads)
    for plan in tensors {
      guard let count = proof.overflows[plan.tensor.name] else { continue }
      note("\(plan.tensor.name): \(count) number\(count == 1 ? " is" : "s are") too large for \(plan.dtype.rawValue), and infinite there; \(plan.tensor.dtype.rawValue), f32 or bf16 would hold them")
    }
    var written: [WrittenFile] = []
    for (file, output) in zip(files, outputs) {
      let digests = if let chain = output.chain { chain.finalize() } else if options.digests.isEmpty { [HashAlgorithm: ChainedDigest]() } else { try output.readBack(options.digests) }
      written.append(WrittenFile(name: file.name, bytes: file.byteCount, digests: digests))
    }
    let receipt: Receipt? = if let tool = options.tool { receipt(tool, options, written, proof) } else { nil }
    func add(_ name: String, _ bytes: [UInt8]) throws(CheckpointError) {
      try folder.add(name, bytes)
      let digests = options.digests.map { ($0, ChainedDigest(of: bytes, $0)) }
      written.append(WrittenFile(name: name, bytes: bytes.count, digests: .init(uniqueKeysWithValues: digests)))
    }
    if options.checklist { try add("checklist.chk", Array(written.map { "\($0.digests[.md5]?.digest.hex ?? "")  \($0.name)\n" }.joined().utf8)) }
    if let receipt {
      let bytes: [UInt8]
      do throws(ReceiptError) { bytes = try receipt.encoded() } catch { throw CheckpointError(.output, error.description) }
      try add(Receipt.fileName, bytes)
    }
    return written
  }

  private func receipt(_ tool: String, _ options: WriteOptions, _ written: [WrittenFile], _ proof: PlanExecution.Proof) -> Receipt {
    let first = source.files.first?.path ?? ""
    let place = source.format == .gguf ? first : first.removingLastComponent()
    let given = self.options.given.merging(options.sourceOptions) { own, _ in own }
    let files = written.enumerated().map { index, file in
      var entry = Receipt.File(path: FilePath(file.name), bytes: file.bytes, md5: file.digests[.md5], sha256: file.digests[.sha256])
      entry.content = proof.contents[index]
      // What has no weights is one small digest.
      if let whole = proof.wholes[index] { entry.sha256 = whole }
      return entry
    }
    return Receipt(
      tool: tool, operation: options.provenance?.operation ?? "reshard", origin: options.provenance?.origin ?? .checkpoint(at: place), sources: options.provenance?.files() ?? [],
      options: given, files: files, fingerprint: proof.fingerprints.isEmpty ? nil : CheckpointFingerprint(stored: proof.fingerprints))
  }
}
