import ArgumentParser
import Arrival
import Catalog
import Integrity
import SystemPackage
import Terminal
import Transfer

struct DownloadCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "download",
    abstract: "Downloads and verifies releases over a signed link, from Hugging Face's hub, or one file behind a link; goes on where an earlier run ended.",
    discussion: """
      The link comes from --url, else from DROVER_URL, else it is asked for without echo. The last two are better: until drover has hidden it, a link on \
      the command line can be seen by other users, and it stays in the shell's history. It is never stored, logged or shown.

      A repository of the hub is hf:ORG/NAME, with @REVISION for a branch, a tag or a commit. What runs the model is fetched, and verified against the SHA-256 \
      and git's names that the hub has of it. The token comes from HF_TOKEN, else from what `hf auth login` has left; HF_ENDPOINT names a mirror. With --hf-cache \
      files come into the cache that the hub's own tools keep. What that has already isn't fetched again, but copied where a folder is to have it; with HF_HUB_OFFLINE nothing is fetched.

      A link to one file, such as a GGUF, lands under the name that its path ends in. Several links are mirrors of it, asked in turn. --sha256 says what it must be; \
      without it nothing vouches for the file. A link with a * in it opens releases: it is Meta's, and goes into --url.

      --dry-run asks for the first bytes of each file at most, and says how much there is to fetch, what is here, whether the disk has room, and how much memory \
      the model will take to run.

      EXAMPLES
        drover download 7B
        drover download 7B,70B-chat --output models
        DROVER_URL=$(cat link) drover download llama-3.1-8b --limit-rate 50M --yes
        drover download my-model --manifest my-model.json
        drover download hf:meta-llama/Llama-3.1-8B-Instruct
        drover download hf:meta-llama/Llama-3.1-8B-Instruct@main --include 'original/*'
        drover download hf:meta-llama/Llama-3.1-8B-Instruct --hf-cache
        drover download https://example.org/model.gguf --sha256 0b1c…
        drover download 70B --dry-run
      """)

  @Argument(
    help: ArgumentHelp(
      "Releases, as `drover catalog` lists them, or hf:ORG/NAME; commas may separate them too. Or links to one file. With --manifest: all that the file has.",
      valueName: "models"))
  var models: [String] = []

  @Option(help: ArgumentHelp("What the file behind a link must hash to, 64 hexadecimal digits.", valueName: "hex"))
  var sha256: String?

  @Option(name: .shortAndLong, help: ArgumentHelp("The folder to download into, if it isn't this one.", valueName: "dir"), completion: .directory)
  var output: PathArgument?

  @Flag(help: "Put a hub's repository into the cache of the hub's own tools (HF_HUB_CACHE, else hub in HF_HOME), where transformers, vLLM and llama.cpp find it.")
  var hfCache = false

  @Flag(help: "Keep a file whose checksum differs, as NAME.corrupt.")
  var keepCorrupt = false

  @Flag(help: "Fetch no weights and write nothing: say what would be fetched, what is here, and what it takes.")
  var dryRun = false

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var transfer: TransferOptions
  @OptionGroup var global: GlobalOptions

  func validate() throws {
    if models.isEmpty, transfer.server.manifest == nil { throw ValidationError("Name the releases to download; `drover catalog` lists them.") }
  }

  func run() throws {
    try ProcessStart.checkAddressSpace()
    var request = transfer.request(into: output?.path ?? ".")
    request.keepsCorrupt = keepCorrupt
    let file = try FileInput(models, sha256: sha256, transfer.server, global)
    let names = file == nil ? try HubInput.names(in: models) : nil
    try check(file, names)
    if hfCache, let names { return try runIntoCache(names, request) }
    let source = try source(file, names, request)
    for sentence in source.download.notes { note("\(sentence)") }
    if dryRun { return try foretell(source) }
    let session = DownloadSession(global: global, confirms: !transfer.yes && !json, readLink: json ? nil : source.readLink)
    let outcome = session.run(source.download, over: source.links)
    let report = outcome.report
    var failure: (any Error)? = outcome.failure.map { source.inItsWords($0) }
    if outcome.failure?.exit != .interrupted {
      do { try session.write(source.download.receipts(report, tool: Drover.configuration.version, options: given)) } catch {
        if let failure { Console.error("\(failure)") }
        failure = error
      }
    }
    if failure == nil, !global.quiet { noteUnhonouredKeys(of: report.files.map { request.folder.appending($0.path) }) }
    if json { try outputJSON(DownloadReport(outcome, revision: source.revision, failure: failure)) }
    if let failure { throw failure }
    if json { return }
    tell(report)
  }

  /// Refuses options that are for something else than what is asked for.
  private func check(_ file: FileInput?, _ names: [HubName]?) throws {
    let (server, hub) = (transfer.server, transfer.hub)
    if names == nil, hub.isGiven || hfCache { throw CommandError(.usage, "--include, --exclude and --hf-cache are for a repository of the hub (hf:ORG/NAME)") }
    let isElsewhere = transfer.url != nil || server.manifest != nil
    if names != nil, isElsewhere { throw CommandError(.usage, "a repository of the hub takes neither --manifest nor --url; HF_ENDPOINT names a mirror") }
    if file != nil, isElsewhere { throw CommandError(.usage, "a link to one file takes neither --url nor --manifest; its mirrors stand beside it") }
    if hfCache, output != nil { throw CommandError(.usage, "--hf-cache says where files go, and so does --output; the cache's folder is named by HF_HUB_CACHE") }
    if hfCache, dryRun { throw CommandError(.usage, "--dry-run looks at what a folder has, not at the hub's cache: leave --hf-cache out") }
  }

  private func foretell(_ source: Source) throws {
    exitOnInterruption()
    let forecast = try Forecast(source.download.request, over: source.links)
    let report = ForecastReport(forecast, source.download.memory(forecast), into: output?.description ?? ".", revision: source.revision)
    if json { try outputJSON(report) } else { report.show() }
    // The first failure is the message that the program ends with.
    for failure in forecast.files.compactMap(\.failure).dropFirst() { Console.error(ProcessSecrets.redact(failure.description)) }
    if let failure = forecast.failure { throw source.inItsWords(failure) }
  }

  /// The line at the end.
  func tell(_ report: TransferReport) {
    let here = report.files.count { $0.status == .present }
    let copied = report.files.count { $0.status == .copied }
    let kept = (copied > 0 ? "\(copied) copied from the hub's cache, " : "") + "\(here) were here"
    let unlisted = report.files.count { !$0.isVerified && !$0.path.hasSuffix(".chk") }
    let verified = unlisted == 0 ? "all verified" : "all verified but \(unlisted) that nothing vouches for"
    let files = "\(report.files.count) \(report.files.count == 1 ? "file" : "files"), \(Format.bytes(report.bytes))"
    Console.outputLine("\(files): \(report.files.count - here - copied) fetched, \(kept); \(verified), in \(Format.duration(report.seconds))")
  }

  /// What is downloaded, and from where.
  private struct Source {
    let download: ReleaseDownload
    /// To servers that have the same files, in the order in which they are asked.
    let links: [SignedLink]
    /// Reads another link when the only one has ended; nil where there is none to ask for.
    var readLink: (@Sendable (String) throws -> (link: SignedLink, notes: [String]))?
    /// The commit, where one repository of the hub was asked for.
    var revision: String?
    /// What the engine says, which knows of signed links, in the words of where the files are.
    var inItsWords: (TransferError) -> any Error = { $0 }
  }

  private func source(_ file: FileInput?, _ names: [HubName]?, _ request: TransferRequest) throws -> Source {
    let server = transfer.server
    if let file {
      let download = try ReleaseDownload(file: file.name, from: file.hosts, digest: file.digest, request)
      return Source(download: download, links: file.links, readLink: file.reader(allowsHTTP: server.allowHttp))
    }
    guard let names else {
      let (releases, links, check) = try LinkInput.releases(models, transfer, global)
      return Source(download: try ReleaseDownload(releases, request), links: links, readLink: LinkInput.reader(allowsHTTP: server.allowHttp, check))
    }
    let repositories = try HubInput(names, transfer.hub, server, request, takesCache: true)
    let settings = repositories.settings
    return Source(
      download: try ReleaseDownload(repositories.wanted, request, cache: settings.cache, isOffline: settings.isOffline), links: [repositories.link],
      revision: repositories.commits.count == 1 ? repositories.commits[0] : nil, inItsWords: { hubError($0, names, settings) })
  }

  /// The options for the receipt. Links are nobody's business.
  private var given: [String: String] {
    var given = transfer.given(models.contains(where: SignedLink.resembles) ? [] : models)
    given["sha256"] = sha256
    return given
  }

  func note(_ text: TerminalText) { if !global.quiet { Console.note("note: \(text)") } }
}
