import ArgumentParser
import Checkpoint
import Integrity
import Platform
import SystemPackage
import Terminal

/// `drover reshard`: the same weights, cut, named or wrapped otherwise.
struct ReshardCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reshard",
    abstract: "Write a checkpoint with another number of shards, or in another format.",
    discussion: """
      Weights are copied bit for bit in constant memory; params.json, the tokenizer and a receipt, by which every byte can be verified, come along. DST appears when it is complete and \
      synced, or not at all. A dtype other than "keep" rounds where it must, and says so; quantized weights, which .pth and safetensors can't \
      hold, are kept as float32, exactly.

      A GGUF has the tokenizer and the chat template in it, and runs in llama.cpp. Its quantized types are llama.cpp's, bit for bit; so is the mix of types that q4_k_m and the like stand for.

      EXAMPLES
        drover reshard llama-2-70b llama-2-70b-mp1 --mp 1
        drover reshard llama-2-13b out --mp 1 --format safetensors
        drover reshard SmolLM2.gguf smol-mp3 --mp 3 --dtype bf16
        drover reshard llama-2-13b llama-2-13b-gguf --format gguf --dtype q4_k_m
        drover reshard Meta-Llama-3-70B out --mp 4 --dry-run
      """,
    aliases: ["convert"])

  @Argument(help: "The checkpoint: a folder in any format, a GGUF file, hf:ORG/NAME in the hub's cache, or ollama:NAME.")
  var source: ModelArgument

  @Argument(help: "The folder to make.", completion: .directory)
  var destination: PathArgument

  @Option(
    name: [.customLong("mp"), .customLong("model-parallel")], parsing: .unconditional,
    help: "Shards to write: any number that the model's heads allow. 1 in hf and gguf, where it needn't be said.")
  var modelParallel: Int?

  @Option(help: "pth, safetensors, hf, gguf or dcp.")
  var format: Checkpoint.Format = .pth

  @Option(help: ArgumentHelp(
    "keep, f64, f32, f16 or bf16; of gguf also q8_0, q4_0, q4_1, q5_0, q5_1, q4_k_s, q4_k_m, q5_k_s, q5_k_m or q6_k; or rules by tensor, of which the first that fits a name counts: '*norm*=f32,*=bf16'.", valueName: "type|rules"))
  var dtype = DTypeChoice(rules: DTypeRules([]))

  @Option(help: ArgumentHelp("Weights in a file of an hf folder or a gguf, such as 5G or 500M.", valueName: "size"))
  var maxShardSize: ByteCount?

  @Option(help: ArgumentHelp("Also compute a digest of each whole file, md5 or sha256; may be given twice. Each is a serial chain, and takes its time.", valueName: "algorithm"))
  var digest: [HashAlgorithm] = []

  @Flag(help: "Write Meta's checklist.chk, with the MD5 of each file.")
  var checklist = false

  @Flag(help: "Keep tensors that a Llama doesn't need (buffers, adapters, heads of other tasks), as they are, of a checkpoint of one shard.")
  var keepExtra = false

  @Flag(help: "Show the plan, and write nothing.")
  var dryRun = false

  @Flag(help: "Replace a checkpoint that DST already holds.")
  var force = false

  @Flag(help: "Print one JSON document.")
  var json = false

  @OptionGroup var checkpoint: CheckpointOptions
  @OptionGroup var ignoredKeys: IgnoredKeys
  @OptionGroup var global: GlobalOptions

  func validate() throws {
    if maxShardSize != nil, format.isSharded { throw ValidationError("--max-shard-size goes with --format hf and gguf: other formats write a file for each shard.") }
    if modelParallel == nil, format.isSharded { throw ValidationError("--mp says how many shards to write.") }
    if format == .gguf, destination.path.extension == "gguf", !Directory.exists(destination.path) {
      throw ValidationError("DST is a folder, in which the .gguf is made, with a receipt beside it: name one.")
    }
  }

  func run() throws {
    let start = steadySeconds()
    let plan = try ReshardPlan(Checkpoint.open(at: source.find(global), openOptions).ignoring(ignoredKeys.names), planOptions)
    for note in plan.notes where !global.quiet { Console.note("note: \(note)") }
    let options = ReshardPlan.WriteOptions(
      replacing: force, digests: Set(digest), checklist: checklist, tool: Drover.configuration.version, sourceOptions: sourceOptions)
    if dryRun {
      if json { try outputJSON(Report(plan, options)) } else { show(plan, options) }
      return
    }
    let display = ProgressDisplay("reshard", mode: global.progressMode)
    let items = plan.files.map { display.add($0.name, total: $0.byteCount) }
    let sizes = plan.files.map(\.byteCount)
    let isStopped = StopFlag()
    Interruption.onSignal { isStopped.raise() }
    Console.outliveReaders()
    let written: [ReshardPlan.WrittenFile]
    do {
      written = try plan.write(
        to: destination.path, options,
        progress: { file, bytes in
          display.update(items[file], done: bytes)
          if bytes == sizes[file] { display.finish(items[file], "written") }
        }, note: { Console.note("note: \($0)") }, isCancelled: { isStopped.isRaised })
    } catch {
      display.close()
      throw error
    }
    display.close()
    let seconds = steadySeconds() - start
    if json {
      try outputJSON(Report(plan, options, written: written, seconds: seconds, peakMemory: peakResidentBytes()))
    } else if !global.quiet {
      let bytes = written.reduce(0) { $0 + $1.bytes }
      Console.outputLine("\(destination): \(plan.summary), \(Format.bytes(bytes)) in \(Format.duration(seconds)) (\(Format.rate(Double(bytes) / seconds)))")
    }
  }

  /// For the receipt.
  private var sourceOptions: [String: String] {
    var given: [String: String] = [:]
    given["kv-heads"] = checkpoint.keyValueHeads.map(String.init)
    given["ignore-key"] = ignoredKeys.names.isEmpty ? nil : ignoredKeys.names.joined(separator: ",")
    given["keep-extra"] = keepExtra ? "true" : nil
    return given
  }

  private var openOptions: Checkpoint.OpenOptions {
    var options = checkpoint.forOpening
    options.keepsExtra = keepExtra
    return options
  }

  private var planOptions: ReshardPlan.Options {
    var options = ReshardPlan.Options(modelParallel: modelParallel ?? 1, format: format)
    options.dtypes = dtype.rules
    if let maxShardSize { options.maxShardBytes = maxShardSize.bytes }
    return options
  }

  private func show(_ plan: ReshardPlan, _ options: ReshardPlan.WriteOptions) {
    for file in plan.files { Console.outputLine("\(destination)/\(file.name)  \(Format.bytes(file.byteCount))") }
    Console.outputLine("\(plan.summary): \(Format.bytes(plan.byteCount)) in all, with at most \(Format.bytes(plan.peakMemory(options))) of memory")
  }

  /// The JSON document; its keys are a promise.
  private struct Report: Encodable {
    struct Plan: Encodable {
      struct File: Encodable {
        let path: String
        let bytes: Int
      }

      let sourceFormat, format: String
      let sourceModelParallel, modelParallel: Int
      let bytes, peakMemory: Int
      let files: [File]
      let notes: [String]
    }

    struct File: Encodable {
      let path: String
      let bytes: Int
      /// null unless they were asked for.
      let md5, sha256: String?

      enum Key: CodingKey { case path, bytes, md5, sha256 }

      func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Key.self)
        try object.encode(path, forKey: .path)
        try object.encode(bytes, forKey: .bytes)
        try object.encode(md5, forKey: .md5)
        try object.encode(sha256, forKey: .sha256)
      }
    }

    let plan: Plan
    let files: [File]?
    let seconds: Double?
    let peakMemory: Int?

    init(
      _ plan: ReshardPlan, _ options: ReshardPlan.WriteOptions, written: [ReshardPlan.WrittenFile]? = nil, seconds: Double? = nil,
      peakMemory: Int? = nil
    ) {
      self.plan = Plan(
        sourceFormat: plan.source.format.rawValue, format: plan.options.format.rawValue, sourceModelParallel: plan.source.modelParallel,
        modelParallel: plan.options.modelParallel, bytes: plan.byteCount, peakMemory: plan.peakMemory(options),
        files: plan.files.map { .init(path: $0.name, bytes: $0.byteCount) }, notes: plan.notes)
      files = written?.map { File(path: $0.name, bytes: $0.bytes, md5: $0.digests[.md5]?.digest.hex, sha256: $0.digests[.sha256]?.digest.hex) }
      self.seconds = seconds
      self.peakMemory = peakMemory
    }
  }
}

/// `--dtype`: one type, or rules by name.
struct DTypeChoice: ExpressibleByArgument, CustomStringConvertible {
  let rules: DTypeRules

  init(rules: DTypeRules) { self.rules = rules }

  init?(argument: String) {
    var rules: [DTypeRules.Rule] = []
    for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
      let pieces = part.split(separator: "=", omittingEmptySubsequences: false)
      guard pieces.count == 2 || pieces.count == 1 && !argument.contains(","), let word = pieces.last, let dtype = Self.dtype(String(word)) else { return nil }
      let pattern = pieces.count == 2 ? String(pieces[0]) : "*"
      guard !pattern.isEmpty else { return nil }
      rules.append(DTypeRules.Rule(pattern, dtype))
    }
    // To keep all is to have no rule.
    self.rules = DTypeRules(rules.count == 1 && rules[0].pattern == "*" && rules[0].dtype == nil ? [] : rules)
  }

  /// nil for what is no type; nil within for `keep`.
  private static func dtype(_ word: String) -> DTypeMix?? { word == "keep" ? .some(nil) : DTypeMix(rawValue: word.lowercased()).map { .some($0) } }

  var description: String { rules.rules.isEmpty ? "keep" : rules.text }
}

extension Checkpoint.Format: ExpressibleByArgument {}
extension HashAlgorithm: ExpressibleByArgument {}

extension ReshardPlan {
  fileprivate var summary: String {
    "\(source.format.rawValue) of \(source.modelParallel) \(source.modelParallel == 1 ? "shard" : "shards") to \(options.format.rawValue) of \(options.modelParallel)"
  }
}
