import ArgumentParser
import Checkpoint
import Integrity
import Platform
import SystemPackage

/// Which checkpoint is made of another one, for the commands that make one.
struct OutputOptions: ParsableArguments {
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

  @OptionGroup var checkpoint: CheckpointOptions
  @OptionGroup var ignoredKeys: IgnoredKeys

  func validate() throws {
    if maxShardSize != nil, format.isSharded { throw ValidationError("--max-shard-size goes with --format hf and gguf: other formats write a file for each shard.") }
    if modelParallel == nil, format.isSharded { throw ValidationError("--mp says how many shards to write.") }
  }

  /// Checks the name of the folder to make.
  func validate(_ destination: PathArgument) throws {
    if format == .gguf, destination.path.extension == "gguf", !Directory.exists(destination.path) {
      throw ValidationError("DST is a folder, in which the .gguf is made, with a receipt beside it: name one.")
    }
  }

  /// For the receipt: what says how the source was read.
  var sourceOptions: [String: String] {
    var given: [String: String] = [:]
    given["kv-heads"] = checkpoint.keyValueHeads.map(String.init)
    given["ignore-key"] = ignoredKeys.names.isEmpty ? nil : ignoredKeys.names.joined(separator: ",")
    given["keep-extra"] = keepExtra ? "true" : nil
    return given
  }

  var opening: Checkpoint.OpenOptions {
    var options = checkpoint.forOpening
    options.keepsExtra = keepExtra
    return options
  }

  var plan: ReshardPlan.Options {
    var options = ReshardPlan.Options(modelParallel: modelParallel ?? 1, format: format)
    options.dtypes = dtype.rules
    if let maxShardSize { options.maxShardBytes = maxShardSize.bytes }
    return options
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
