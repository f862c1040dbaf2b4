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

  @OptionGroup var output: OutputOptions

  @Flag(help: "Print one JSON document.")
  var json = false

  @OptionGroup var global: GlobalOptions

  func validate() throws { try output.validate(destination) }

  func run() throws {
    let start = steadySeconds()
    let plan = try ReshardPlan(Checkpoint.open(at: source.find(global), output.opening).ignoring(output.ignoredKeys.names), output.plan)
    for note in plan.notes where !global.quiet { Console.note("note: \(note)") }
    let options = ReshardPlan.WriteOptions(
      replacing: output.force, digests: Set(output.digest), checklist: output.checklist, tool: Drover.configuration.version, sourceOptions: output.sourceOptions)
    let memory = plan.peakMemory(options)
    if output.dryRun {
      if json { try outputJSON(ReshardReport(plan, memory: memory)) } else { plan.show(destination, memory: memory) }
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
      try outputJSON(ReshardReport(plan, memory: memory, written: written, seconds: seconds, peakMemory: peakResidentBytes()))
    } else if !global.quiet {
      let bytes = written.reduce(0) { $0 + $1.bytes }
      Console.outputLine("\(destination): \(plan.summary), \(Format.bytes(bytes)) in \(Format.duration(seconds)) (\(Format.rate(Double(bytes) / seconds)))")
    }
  }
}
