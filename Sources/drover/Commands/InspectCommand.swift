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
      fetched: some 260 kB a shard. A repository in the hub's cache on this machine is hf:ORG/NAME, a model of ollama's ollama:NAME. A signed link opens a whole release, which --model names; without one on the command line it comes from \
      DROVER_URL or is asked for. A link to one file shows that file.

      EXAMPLES
        drover inspect llama-2-7b
        drover inspect model.gguf --tensors
        drover inspect hf:meta-llama/Llama-3.1-8B-Instruct
        drover inspect ollama:llama3.2:1b
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

  private var local: ModelArgument? { if case .path(let path)? = path { path } else { nil } }
  private var link: String? { if case .link(let link)? = path { link } else { nil } }

  func validate() throws {
    if path == nil, model == nil, server.manifest == nil { throw ValidationError("Name a checkpoint's path, or give a link to one.") }
    if local != nil, model != nil || server.isGiven {
      throw ValidationError("--model, --manifest, --cacert, --allow-http, --retries and --retry-time go with a link.")
    }
  }

  func run() throws {
    let remote = local == nil ? try inspectRemote() : nil
    let contents = try remote?.contents ?? Inspection.read(at: local?.find(global) ?? "", checkpoint.forOpening)
    let report = InspectReport(contents, remote)
    for note in report.notes where !global.quiet { Console.note("note: \(note)") }
    if json { return try outputJSON(report) }
    switch contents {
    case .llama(let outline): printSummary(outline)
    case .other(let listing): printSummary(listing)
    }
    if let licence = report.license { printLine("licence", licence) }
    if !report.legal.isEmpty { printLine("read first", report.legal.joined(separator: ", ")) }
    if tensors { printTensors(report) }
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
    let catalog = try server.catalog()
    let release = try release(catalog)
    let link = try LinkInput.template(link, allowsHTTP: server.allowHttp, global)
    try catalog.checkLink(to: link.host, opens: [release])
    exitOnInterruption()
    return try RemoteCheckpoint(release, link, authorities: server.cacert?.path, retry: server.retry)
  }

  private func release(_ catalog: Catalog) throws -> Release {
    if let model { return try catalog.release(named: model).release }
    guard server.manifest != nil, let only = catalog.releases.first, catalog.releases.count == 1 else {
      throw CommandError(.usage, "the link opens whole releases: say with --model which one to look at; `drover catalog` lists them")
    }
    return only
  }

  private func printLine(_ name: TerminalText, _ value: String) { Console.outputLine("\(Style.standardOutput(name.padded(to: 16), .dim))\(value)") }

  private func printSummary(_ outline: CheckpointOutline) {
    printLine("format", outline.format.rawValue)
    printLine("model parallel", "\(outline.modelParallel)")
    printLine("parameters", "\(Format.count(outline.parameterCount)) in \(outline.dominantDType.rawValue)")
    switch outline.params {
    case .complete(let params):
      printLine("layers", "\(params.layers)")
      printLine("width", "\(params.dim), feed-forward \(params.hiddenDim)")
      printLine("heads", "\(params.heads) of \(params.headDim), \(params.kvHeads) for keys and values")
      printLine("vocabulary", "\(params.vocabularySize)\(params.tiedEmbeddings ? ", embeddings tied" : "")")
      printLine("rope", "theta \(params.ropeTheta)\(params.ropeScaling.map { ", scaled by \($0.factor)" } ?? "")")
    case .shapes(let dim, let layers, let hiddenDim, let vocabularySize):
      printLine("layers", "\(layers)")
      if let dim { printLine("width", "\(dim)\(hiddenDim.map { ", feed-forward \($0)" } ?? "")") }
      if let vocabularySize { printLine("vocabulary", "\(vocabularySize)") }
    }
  }

  private func printSummary(_ listing: HeaderListing) {
    printLine("format", listing.format)
    printLine("model parallel", "\(listing.modelParallel)")
    printLine("tensors", "\(listing.tensors.count) names, \(Format.count(listing.elementCount)) elements in all files\(listing.dominantDType.map { ", mostly \($0)" } ?? "")")
    printLine("architecture", "not a Llama text model: headers only")
  }

  private func printTensors(_ report: InspectReport) {
    let width = report.tensors.map { TerminalText($0.name).width }.max() ?? 0
    for tensor in report.tensors {
      let shape = tensor.shape?.map(String.init).joined(separator: " × ") ?? "?"
      Console.outputLine("\(TerminalText(tensor.name).padded(to: width + 2))\(TerminalText(tensor.dtype ?? "?").padded(to: 6))\(TerminalText(shape).padded(to: 18))\(tensor.split)")
    }
  }
}

/// What is inspected.
enum InspectSource: ExpressibleByArgument {
  case path(ModelArgument)
  case link(String)

  init?(argument: String) {
    if let text = TextArgument(argument: argument)?.text, SignedLink.resembles(text) {
      self = .link(text)
      return
    }
    guard let model = ModelArgument(argument: argument) else { return nil }
    self = .path(model)
  }

  static var defaultCompletionKind: CompletionKind { .file() }
}
