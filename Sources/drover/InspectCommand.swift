import ArgumentParser
import Checkpoint
import SystemPackage
import Terminal

/// `drover inspect`: what a checkpoint is, from its headers alone.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what a checkpoint holds: format, layout, hyperparameters, tensors.",
    discussion: """
      Reads headers only, whatever the size of the weights, and runs nothing that a pickle might contain.

      EXAMPLES
        drover inspect llama-2-7b
        drover inspect model.gguf --tensors
        drover inspect llama-2-70b --json | jq .params
      """)

  @Argument(help: "A folder with .pth, safetensors or Hugging Face files, or a GGUF file.")
  var path: String

  @Flag(help: "List every tensor.")
  var tensors = false

  @Flag(help: "Print one JSON document.")
  var json = false

  @OptionGroup var global: GlobalOptions

  func run() throws {
    let checkpoint = try Checkpoint.open(at: FilePath(path))
    for note in checkpoint.companions.notes where !global.quiet { Console.note("note: \(note)") }
    if json {
      try outputJSON(Report(checkpoint))
    } else {
      printSummary(checkpoint)
      if tensors { printTensors(checkpoint) }
    }
  }

  private func printSummary(_ checkpoint: Checkpoint) {
    let params = checkpoint.params
    let style = Style.standardOutput
    func line(_ name: String, _ value: String) { Console.outputLine("\(style(name.padding(to: 16), .dim))\(value)") }
    line("format", checkpoint.format.rawValue)
    line("model parallel", "\(checkpoint.modelParallel)")
    line("parameters", "\(Format.count(checkpoint.parameterCount)) in \(checkpoint.dominantDType.rawValue)")
    line("layers", "\(params.layers)")
    line("width", "\(params.dim), feed-forward \(params.hiddenDim)")
    line("heads", "\(params.heads) of \(params.headDim), \(params.kvHeads) for keys and values")
    line("vocabulary", "\(params.vocabularySize)\(params.tiedEmbeddings ? ", embeddings tied" : "")")
    line("rope", "theta \(params.ropeTheta)\(params.ropeScaling.map { ", scaled by \($0.factor)" } ?? "")")
  }

  private func printTensors(_ checkpoint: Checkpoint) {
    let width = checkpoint.tensors.map(\.name.count).max() ?? 0
    for tensor in checkpoint.tensors {
      let shape = tensor.shape.map(String.init).joined(separator: " × ")
      Console.outputLine("\(tensor.name.padding(to: width + 2))\(tensor.dtype.rawValue.padding(to: 6))\(shape.padding(to: 18))\(tensor.split.label)")
    }
  }

  /// The JSON document; its keys are a promise.
  private struct Report: Encodable {
    struct Tensor: Encodable {
      let name: String
      let shape: [Int]
      let dtype: String
      let split: String
      let parts: Int
    }

    let format: String
    let modelParallel: Int
    let dtype: String
    let parameters: Int
    let params: ModelParams
    let tensors: [Tensor]
    let notes: [String]

    init(_ checkpoint: Checkpoint) {
      format = checkpoint.format.rawValue
      modelParallel = checkpoint.modelParallel
      dtype = checkpoint.dominantDType.rawValue
      parameters = checkpoint.parameterCount
      params = checkpoint.params
      tensors = checkpoint.tensors.map {
        Tensor(name: $0.name, shape: $0.shape, dtype: $0.dtype.rawValue, split: $0.split.label, parts: $0.parts.count)
      }
      notes = checkpoint.companions.notes
    }
  }
}

extension LogicalTensor.Split {
  fileprivate var label: String {
    switch self {
    case .replicated: "replicated"
    case .axis(let axis): "axis \(axis)"
    }
  }
}

extension String {
  fileprivate func padding(to width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
}

extension CheckpointError: ExitCoded {
  var exit: DroverExit {
    switch reason {
    case .missing: .noInput
    case .corrupt, .unsafe, .unsupported: .badData
    case .refused: .usage
    case .output: .cannotCreate
    case .io: .failure
    case .cancelled: .interrupted
    }
  }
}
