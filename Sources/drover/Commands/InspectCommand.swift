import ArgumentParser
import Arrival
import Catalog
import Checkpoint
import Integrity
import SystemPackage
import Terminal
import Transfer

/// `drover inspect`: what a checkpoint is, from its headers alone.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what a checkpoint holds: format, layout, hyperparameters, tensors.",
    discussion: """
      Reads headers only, whatever the size of the weights, and runs nothing that a pickle might contain. Of what is on a server only the headers are \
      fetched: some 260 kB a shard. A signed link opens a whole release, which --model names; without one on the command line it comes from \
      DROVER_URL or is asked for. A link to one file shows that file.

      EXAMPLES
        drover inspect llama-2-7b
        drover inspect model.gguf --tensors
        drover inspect llama-2-70b --json | jq .params
        drover inspect --model 70B-chat
        drover inspect https://huggingface.co/org/m/resolve/main/model.safetensors
      """)

  @Argument(help: ArgumentHelp("A folder with .pth, safetensors or Hugging Face files, one such file, a GGUF file, or a link in single quotes.", valueName: "path|link"))
  var path: InspectSource?

  @Option(help: ArgumentHelp("The release that a signed link opens, as `drover catalog` lists it.", valueName: "model"))
  var model: String?

  @Flag(help: "List every tensor.")
  var tensors = false

  @Flag(help: "Print one JSON document.")
  var json = false

  @OptionGroup var checkpoint: CheckpointOptions
  @OptionGroup var server: ServerOptions
  @OptionGroup var global: GlobalOptions

  private var localPath: FilePath? { if case .path(let path)? = path { path } else { nil } }
  private var link: String? { if case .link(let link)? = path { link } else { nil } }

  func validate() throws {
    if path == nil, model == nil, server.manifest == nil { throw ValidationError("Name a checkpoint's path, or give a link to one.") }
    if localPath != nil, model != nil || server.manifest != nil || server.cacert != nil { throw ValidationError("--model, --manifest and --cacert go with a link.") }
  }

  func run() throws {
    let remote = localPath == nil ? try inspectRemote() : nil
    let outline = try remote?.outline ?? CheckpointOutline.read(at: localPath ?? "", checkpoint.forOpening)
    for note in outline.notes where !global.quiet { Console.note("note: \(note)") }
    if json { return try outputJSON(Report(outline, remote)) }
    printSummary(outline)
    if tensors { printTensors(outline) }
    if let remote {
      let requests = "\(remote.requests) request\(remote.requests == 1 ? "" : "s")"
      Console.outputLine(Style.standardOutput("fetched \(Format.bytes(remote.fetchedBytes)) in \(requests)", .dim))
    }
  }

  private func inspectRemote() throws -> RemoteCheckpoint {
    let file = try link.flatMap { text throws(LinkError) in try SignedLink.examineFile(text, allowsHTTP: server.allowHttp) }
    if let file {
      guard model == nil, server.manifest == nil else { throw CommandError(.usage, "a link to one file needs no --model; the link to a release has a * in it") }
      LinkInput.tell(file.notes, global)
      exitOnInterruption()
      return try RemoteCheckpoint(file, authorities: server.cacert?.path, retry: server.retry)
    }
    let release = try release()
    let link = try LinkInput.template(link, allowsHTTP: server.allowHttp, global)
    exitOnInterruption()
    return try RemoteCheckpoint(release, link, authorities: server.cacert?.path, retry: server.retry)
  }

  private func release() throws -> Release {
    let catalog = try server.catalog()
    if let model { return try catalog.release(named: model).release }
    guard server.manifest != nil, let only = catalog.releases.first, catalog.releases.count == 1 else {
      throw CommandError(.usage, "the link opens whole releases: say with --model which one to look at; `drover catalog` lists them")
    }
    return only
  }

  private func printSummary(_ outline: CheckpointOutline) {
    let style = Style.standardOutput
    func line(_ name: TerminalText, _ value: String) { Console.outputLine("\(style(name.padded(to: 16), .dim))\(value)") }
    line("format", outline.format.rawValue)
    line("model parallel", "\(outline.modelParallel)")
    line("parameters", "\(Format.count(outline.parameterCount)) in \(outline.dominantDType.rawValue)")
    switch outline.params {
    case .complete(let params):
      line("layers", "\(params.layers)")
      line("width", "\(params.dim), feed-forward \(params.hiddenDim)")
      line("heads", "\(params.heads) of \(params.headDim), \(params.kvHeads) for keys and values")
      line("vocabulary", "\(params.vocabularySize)\(params.tiedEmbeddings ? ", embeddings tied" : "")")
      line("rope", "theta \(params.ropeTheta)\(params.ropeScaling.map { ", scaled by \($0.factor)" } ?? "")")
    case .shapes(let dim, let layers, let hiddenDim, let vocabularySize):
      line("layers", "\(layers)")
      if let dim { line("width", "\(dim)\(hiddenDim.map { ", feed-forward \($0)" } ?? "")") }
      if let vocabularySize { line("vocabulary", "\(vocabularySize)") }
    }
  }

  private func printTensors(_ outline: CheckpointOutline) {
    let width = outline.tensors.map { TerminalText($0.name.text).width }.max() ?? 0
    for tensor in outline.tensors {
      let shape = tensor.shape.map(String.init).joined(separator: " × ")
      Console.outputLine("\(TerminalText(tensor.name.text).padded(to: width + 2))\(TerminalText(tensor.dtype.rawValue).padded(to: 6))\(TerminalText(shape).padded(to: 18))\(tensor.split.label)")
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
    let params: CheckpointOutline.Params
    let tensors: [Tensor]
    let notes: [String]
    /// Only of what is on a server.
    let fetchedBytes: Int?
    let requests: Int?

    init(_ outline: CheckpointOutline, _ remote: RemoteCheckpoint?) {
      format = outline.format.rawValue
      modelParallel = outline.modelParallel
      dtype = outline.dominantDType.rawValue
      parameters = outline.parameterCount
      params = outline.params
      tensors = outline.tensors.map {
        Tensor(name: $0.name.text, shape: $0.shape, dtype: $0.dtype.rawValue, split: $0.split.label, parts: $0.parts)
      }
      notes = outline.notes
      fetchedBytes = remote?.fetchedBytes
      requests = remote?.requests
    }
  }
}

extension LogicalTensor.Split {
  fileprivate var label: String {
    switch self {
    case .whole: "whole"
    case .axis(let axis): "axis \(axis)"
    }
  }
}

/// What is inspected.
enum InspectSource: ExpressibleByArgument {
  case path(FilePath)
  case link(String)

  init?(argument: String) {
    if let text = TextArgument(argument: argument)?.text, SignedLink.resembles(text) {
      self = .link(text)
      return
    }
    guard let path = PathArgument(argument: argument) else { return nil }
    self = .path(path.path)
  }

  static var defaultCompletionKind: CompletionKind { .file() }
}
