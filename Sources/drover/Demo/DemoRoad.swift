import Checkpoint
import Inference
import Integrity
import Platform
import Synchronization
import SystemPackage
import Terminal
import Tokenization
import Transfer

/// The steps of the demonstration; each prints what it does.
struct DemoRoad {
  let folder: FilePath
  /// Whether only the summary is shown.
  let isQuiet: Bool

  private static let prompts = ["Once upon a time", "The wolf said to the king"]
  private let style = Style.standardOutput

  /// How the checkpoint is recut; the first is how it arrives.
  private static let layouts: [(format: Checkpoint.Format, shards: Int)] = [(.pth, 2), (.safetensors, 1), (.pth, 4), (.safetensors, 2)]

  func walk() async throws {
    tellLine(style("drover demo", .bold) + "  The whole road on loopback, with a model of 1.2 million parameters.")
    var summary = Table(["step", "", "time"], alignments: [.left, .left, .right])
    func step(_ name: TerminalText, _ body: () async throws -> String) async throws {
      tellLine("\n" + style(name, .bold, .cyan))
      let start = steadySeconds()
      let result = try await body()
      summary.add(name, "\(result)", "\(Format.duration(steadySeconds() - start))")
    }
    try await step("Download") { try await download() }
    try await step("Verify") { try verify() }
    try await step("Reshard") { try reshard() }
    try await step("Prove") { try prove() }
    try await step("Complete") { try complete() }
    Console.outputLine("\n" + summary.render(style))
    Console.output(
      """
      Now with real weights:
        export DROVER_URL='the link that Meta mailed you'
        drover download 7B-chat && drover chat llama-2-7b-chat

      """)
  }

  // MARK: Steps

  private func download() async throws -> String {
    let server = try DemoServer()
    try await server.start()
    let total = DemoServer.files.reduce(0) { $0 + $1.bytes.count }
    // Enough for the first shard and half of the second.
    let first = await server.signLink(endingAfter: total * 3 / 4)
    let second = await server.signLink()
    say("a link to 127.0.0.1 that a loopback server signed; it will end in mid-file, as links do")
    let request = TransferRequest(
      files: DemoServer.files.map { .init(path: "\(DemoServer.folder)/\($0.name)", remote: "\(DemoServer.folder)/\($0.name)") },
      folder: folder, connections: 1)
    let links = Mutex(1)
    let download = Download(
      request, link: try SignedLink.examine(first).link,
      observe: { event in
        switch event {
        case .finished(let file, let status, let isVerified):
          let name = DemoServer.files[file].name
          tellLine("  \(style("✓", .green)) \(name)  \(style("\(status.rawValue)\(isVerified ? ", MD5 agrees" : "")", .dim))")
        default: break
        }
      },
      newLink: { _ in
        guard links.withLock({ $0 += 1; return $0 <= 2 }) else { return nil }
        tellLine("  \(style("!", .yellow)) the link has ended; a second one goes on from the same byte")
        return try? SignedLink.examine(second).link
      })
    let report: TransferReport
    do {
      report = try await download.run()
    } catch {
      await server.stop()
      throw error
    }
    await server.stop()
    return "\(report.files.count) files, \(Format.bytes(report.files.reduce(0) { $0 + $1.bytes })), over \(links.withLock { $0 }) links"
  }

  private func verify() throws -> String {
    let findings = Verification(of: [original]).run().findings
    for finding in findings {
      guard finding.status == .ok else { throw CommandError(.failure, "\(finding.path) doesn't agree with its checklist") }
    }
    let bytes = findings.reduce(0) { $0 + $1.bytes }
    say("\(findings.count) files read back from disk, all as checklist.chk has them")
    return "\(findings.count) files, \(Format.bytes(bytes)), all agree"
  }

  private func reshard() throws -> String {
    let source = try Checkpoint.open(at: original)
    for layout in Self.layouts.dropFirst() {
      let plan = try ReshardPlan(source, .init(modelParallel: layout.shards, format: layout.format))
      let written = try plan.write(to: path(of: layout), .init(checklist: true))
      let count = "\(layout.shards) \(layout.shards == 1 ? "shard" : "shards")"
      tellLine("  \(style("✓", .green)) 2 shards of pth → \(count) of \(layout.format.rawValue)  \(style("\(Format.bytes(written.reduce(0) { $0 + $1.bytes }))", .dim))")
    }
    return "2 shards to 1, 2 and 4, in two formats"
  }

  private func prove() throws -> String {
    let text = Self.prompts.joined(separator: " ") + " that he would go into the forest and find the princess, who had been asleep for a hundred years."
    var reference: [Float?] = []
    for layout in Self.layouts {
      let model = try load(layout)
      let logprobs = try Generator(model.transformer, stopTokens: []).logprobs(of: try model.encode(prompt: text))
      if reference.isEmpty { reference = logprobs }
      guard logprobs == reference else { throw CommandError(.failure, "\(path(of: layout)) gives other log-probabilities than what was downloaded") }
    }
    say("\(reference.count) log-probabilities of a text, from each of the \(Self.layouts.count) checkpoints: the same to the last bit")
    return "\(Self.layouts.count) checkpoints, one model"
  }

  private func complete() throws -> String {
    let model = try load(Self.layouts[1])
    let generator = Generator(model.transformer, stopTokens: model.stopTokens)
    var rate = 0.0
    for prompt in Self.prompts {
      tell("  \(style("\(prompt)", .bold))")
      var lines = LineWrapper(indent: 2, width: 98, column: 2 + prompt.count)
      var decoder = StreamingDecoder(model.tokenizer, continuing: true)
      let result = try generator.generate([try model.encode(prompt: prompt)], GenerationOptions(maxGenLen: 60, temperature: 0)) { _, event in
        switch event {
        case .token(let id): tell(TerminalText(speech: lines.wrap(decoder.append(id))))
        case .end: tellLine(TerminalText(speech: lines.wrap(decoder.finish()) + lines.finish() + "…"))
        }
      }
      rate = max(rate, result.timings.decodeTokensPerSecond)
    }
    return "\(Self.prompts.count) × 60 tokens, \(Format.count(Int(rate))) tokens/s"
  }

  // MARK: What the steps share

  private var original: FilePath { path(of: Self.layouts[0]) }

  private func path(of layout: (format: Checkpoint.Format, shards: Int)) -> FilePath {
    layout == Self.layouts[0] ? folder.appending(DemoServer.folder) : folder.appending("\(DemoServer.folder)-mp\(layout.shards)-\(layout.format.rawValue)")
  }

  private func load(_ layout: (format: Checkpoint.Format, shards: Int)) throws -> LanguageModel {
    try LanguageModel(at: path(of: layout), maxBatchSize: 1, maxSequenceLength: 256)
  }

  private func say(_ text: TerminalText) { tellLine("  " + text) }

  private func tellLine(_ text: TerminalText) { tell(text + "\n") }

  private func tell(_ text: TerminalText) {
    if !isQuiet { Console.output(text) }
  }
}
