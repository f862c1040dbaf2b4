import ArgumentParser
import Arrival
import Catalog
import Checkpoint
import Integrity
import Platform
import SystemPackage
import Terminal
import Transfer

/// `drover pull`: download, verify and reshard in one pass.
struct PullCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pull",
    abstract: "Downloads a release and writes it as another checkpoint, in one pass: the source is never stored.",
    discussion: """
      What `drover download` and then `drover reshard` would make, byte for byte, with room for the output alone. Weights are verified, converted and written from the memory that \
      they came into; DST appears when every file's digest has agreed with its publisher's and all is synced, or not at all. What can't be done is refused before a weight is \
      fetched. A digest that differs throws away what came of that file, and fetches it again, once.

      A pull that is interrupted, by whatever, goes on when the same command is run again, whichever link it has: what was converted isn't fetched again. Until then what it has made lies \
      hidden beside DST; --discard throws it away and begins anew. Run once more, it says that DST is here already.

      EXAMPLES
        drover pull 70B-chat 70b-mp2 --mp 2 --format safetensors
        drover pull llama-2-7b llama-2-7b-q4 --format gguf --dtype q4_k_m
        drover pull 8B-Instruct out --format hf --dry-run
        drover pull hf:meta-llama/Llama-3.1-8B-Instruct out --mp 1
      """)

  @Argument(help: ArgumentHelp("A release, as `drover catalog` lists them, or hf:ORG/NAME. With --manifest: the name of one of its releases.", valueName: "model"))
  var model: String

  @Argument(help: "The folder to make.", completion: .directory)
  var destination: PathArgument

  @Flag(help: "Take files that no publisher's digest vouches for.")
  var unverified = false

  @Flag(help: "Throw away what an interrupted pull to DST has made, and begin anew.")
  var discard = false

  @Flag(help: "Print one JSON document.")
  var json = false

  @OptionGroup var transfer: TransferOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var global: GlobalOptions

  func validate() throws { try output.validate(destination) }

  func run() throws {
    try ProcessStart.checkAddressSpace()
    let start = steadySeconds()
    let source = try input()
    let options = ReshardPlan.WriteOptions(
      replacing: output.force, digests: Set(output.digest), checklist: output.checklist, tool: Drover.configuration.version, sourceOptions: output.sourceOptions.merging(transfer.given([model])) { own, _ in own })
    let given = self.given(source.source, options)
    let note: @Sendable (String) -> Void = { [quiet = global.quiet] text in if !quiet { Console.note("note: \(text)") } }
    // What is to be replaced is made anew, unless a pull was killed when it had just done that.
    if !discard, !output.force || PullFolder.isLeftBehind(for: destination.path), let receipt = source.source.receipt(at: destination.path), self.given(source.source, receipt) == given {
      PullFolder.tidy(for: destination.path, note: note)
      if json { return try outputJSON(ReshardReport(receipt, seconds: steadySeconds() - start)) }
      if !global.quiet { Console.outputLine("\(destination): here already, as this command makes it; `drover verify` checks every byte") }
      return
    }
    do throws(CheckpointError) { try ReshardPlan.checkPlace(destination.path, replacing: output.force) } catch {
      PullFolder.tidy(for: destination.path, note: note)
      throw error
    }
    let folder: PullFolder
    do throws(TransferError) { folder = try PullFolder(for: destination.path) } catch {
      guard case .busyFolder = error else { throw error }
      throw CommandError(.cannotCreate, "\(destination): another drover is pulling to it now; let it finish, or choose another folder")
    }
    defer { folder.removeUnlessKept() }
    if discard { try folder.discard(note: note) }
    try folder.check(given)
    let settings = Pull.Settings(plan: output.plan, opening: output.opening, ignoredKeys: output.ignoredKeys.names, takesUnverified: unverified)
    let isStopped = StopFlag()
    Interruption.onSignal { isStopped.raise() }
    var isSecond = false
    while true {
      do {
        let pull = try prepared(source, in: folder, settings, isStopped)
        if !isSecond { pull.plan.notes.forEach(note) }
        if output.dryRun { return try show(pull, options) }
        let outcome = try pulled(pull, source, in: folder, options, given, isConfirmed: isSecond, note, isStopped)
        return try report(pull, outcome, options, seconds: steadySeconds() - start)
      } catch where !isSecond && Pull.isWorthAnother(error) {
        Console.note("\(ProcessSecrets.redact("\(error)"))")
        Console.note("note: what came of that file is thrown away, and it is fetched again, once")
        isSecond = true
      } catch TransferError.declined {
        throw CommandError(.interrupted, "not started")
      }
    }
  }

  // MARK: Steps

  private struct Input {
    let source: PullSource
    let link: SignedLink
    /// Reads another link when this one has ended; nil where there is none to ask for.
    var readLink: (@Sendable (String) throws -> (link: SignedLink, notes: [String]))?
  }

  private func input() throws -> Input {
    if let names = try HubInput.names(in: [model]) {
      guard transfer.server.manifest == nil, transfer.url == nil else { throw CommandError(.usage, "a repository of the hub takes neither --manifest nor --url; HF_ENDPOINT names a mirror") }
      guard names.count == 1 else { throw CommandError(.usage, "one model is pulled at a time: name one") }
      let hub = try HubInput(names, transfer.hub, transfer.server, transfer.request(into: ""))
      return Input(source: try PullSource(hub.wanted[0].0, files: hub.wanted[0].files), link: hub.link)
    }
    if transfer.hub.isGiven { throw CommandError(.usage, "--include and --exclude choose files of a repository of the hub (hf:ORG/NAME)") }
    // Before anybody is asked for a link.
    guard try transfer.server.catalog().matches(model).count == 1 else { throw CommandError(.usage, "one model is pulled at a time: name one") }
    let (releases, links, check) = try LinkInput.releases([model], transfer, global)
    guard let link = links.first else { throw CommandError(.usage, "no link: give it in DROVER_URL or on the command line") }
    return Input(source: PullSource(releases[0]), link: link, readLink: LinkInput.reader(allowsHTTP: transfer.server.allowHttp, check))
  }

  private func session(_ input: Input, confirms: Bool) -> DownloadSession {
    DownloadSession(global: global, confirms: confirms, readLink: json ? nil : input.readLink)
  }

  /// Fetches what describes the model, reads the headers of its weights, and makes the plan.
  private func prepared(_ input: Input, in folder: PullFolder, _ settings: Pull.Settings, _ isStopped: StopFlag) throws -> Pull {
    let request = transfer.request(into: "")
    let companions = session(input, confirms: false).run(Pull.companions(of: input.source, in: folder, request), over: [input.link], task: "prepare")
    if let failure = companions.failure { throw failure }
    return try Pull(input.source, in: folder, companions.report, input.link, request, settings, tool: Drover.configuration.version, isCancelled: { isStopped.isRaised })
  }

  /// What another run must be given too to go on with this one.
  private func given(_ source: PullSource, _ options: ReshardPlan.WriteOptions) -> [String: String] {
    given(source, output.plan.given.merging(options.sourceOptions) { own, _ in own }, options.digests, hasChecklist: options.checklist)
  }

  /// What the pull was given that a receipt is of.
  private func given(_ source: PullSource, _ receipt: Receipt) -> [String: String] {
    let weights = receipt.files.first { $0.content != nil }
    let digests = [HashAlgorithm.md5: weights?.md5, .sha256: weights?.sha256].compactMapValues(\.self).keys
    return given(source, receipt.options, Set(digests), hasChecklist: receipt.files.contains { $0.path == "checklist.chk" })
  }

  private func given(_ source: PullSource, _ options: [String: String], _ digests: Set<HashAlgorithm>, hasChecklist: Bool) -> [String: String] {
    var given = options.filter { !TransferOptions.ways.contains($0.key) }
    given["model"] = source.identity
    given["digest"] = digests.isEmpty ? nil : digests.map(\.rawValue).sorted().joined(separator: ",")
    given["checklist"] = hasChecklist ? "true" : nil
    return given
  }

  private func pulled(
    _ pull: Pull, _ input: Input, in folder: PullFolder, _ options: ReshardPlan.WriteOptions, _ given: [String: String], isConfirmed: Bool,
    _ note: @escaping @Sendable (String) -> Void, _ isStopped: StopFlag
  ) throws -> Pull.Outcome {
    let session = session(input, confirms: !transfer.yes && !json && !isConfirmed)
    return try pull.run(
      to: destination.path, in: folder, options, given: given,
      download: { request, passing, began in
        let outcome = session.run(request, over: [input.link], passing: passing, task: "pull", began: began)
        return (outcome.report, outcome.failure)
      }, note: note, isCancelled: { isStopped.isRaised })
  }

  private func show(_ pull: Pull, _ options: ReshardPlan.WriteOptions) throws {
    if json { return try outputJSON(ReshardReport(pull.plan, memory: pull.peakMemory(options))) }
    pull.plan.show(destination, memory: pull.peakMemory(options))
    let bytes = pull.plan.source.files.reduce(0) { $0 + $1.count }
    Console.outputLine("\(Format.bytes(bytes)) to fetch in \(pull.request.files.count) \(pull.request.files.count == 1 ? "file" : "files"), none of which is stored")
  }

  private func report(_ pull: Pull, _ outcome: Pull.Outcome, _ options: ReshardPlan.WriteOptions, seconds: Double) throws {
    if json {
      return try outputJSON(
        ReshardReport(pull.plan, memory: pull.peakMemory(options), written: outcome.written, seconds: seconds, peakMemory: peakResidentBytes(), source: .init(outcome.sources)))
    }
    guard !global.quiet else { return }
    let (fetched, written) = (outcome.sources.reduce(0) { $0 + $1.bytes }, outcome.written.reduce(0) { $0 + $1.bytes })
    let unlisted = outcome.sources.count { !$0.isVerified && !$0.path.hasSuffix(".chk") }
    let verified = unlisted == 0 ? "all verified" : "all verified but \(unlisted) that nothing vouches for"
    Console.outputLine("\(destination): \(pull.plan.summary), \(Format.bytes(written)) of \(Format.bytes(fetched)) fetched; \(verified), in \(Format.duration(seconds))")
  }
}
