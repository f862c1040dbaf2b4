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
    abstract: "Downloads and verifies releases over a signed link, or from Hugging Face's hub; goes on where an earlier run ended.",
    discussion: """
      The link comes from --url, else from DROVER_URL, else it is asked for without echo. The last two are better: until drover has hidden it, a link on \
      the command line can be seen by other users, and it stays in the shell's history. It is never stored, logged or shown.

      A repository of the hub is hf:ORG/NAME, with @REVISION for a branch, a tag or a commit. What runs the model is fetched, and verified against the SHA-256 \
      and git's names that the hub has of it. The token comes from HF_TOKEN, else from what `hf auth login` has left; HF_ENDPOINT names a mirror. With --hf-cache \
      files come into the cache that the hub's own tools keep; what is there already isn't fetched again, and with HF_HUB_OFFLINE nothing is.

      EXAMPLES
        drover download 7B
        drover download 7B,70B-chat --output models
        DROVER_URL=$(cat link) drover download llama-3.1-8b --limit-rate 50M --yes
        drover download my-model --manifest my-model.json
        drover download hf:meta-llama/Llama-3.1-8B-Instruct
        drover download hf:meta-llama/Llama-3.1-8B-Instruct@main --include 'original/*'
        drover download hf:meta-llama/Llama-3.1-8B-Instruct --hf-cache
      """)

  @Argument(help: ArgumentHelp("Releases, as `drover catalog` lists them, or hf:ORG/NAME; commas may separate them too. With --manifest: all that the file has.", valueName: "models"))
  var models: [String] = []

  @Option(name: .shortAndLong, help: ArgumentHelp("The folder to download into, if it isn't this one.", valueName: "dir"), completion: .directory)
  var output: PathArgument?

  @Flag(help: "Keep a file whose checksum differs, as NAME.corrupt.")
  var keepCorrupt = false

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var transfer: TransferOptions
  @OptionGroup var global: GlobalOptions

  func validate() throws {
    if models.isEmpty, transfer.server.manifest == nil { throw ValidationError("Name the releases to download; `drover catalog` lists them.") }
  }

  func run() throws {
    try ProcessStart.checkAddressSpace()
    let (server, hub) = (transfer.server, transfer.hub)
    var request = transfer.request(into: output?.path ?? ".")
    request.keepsCorrupt = keepCorrupt
    let names = try HubInput.names(in: models)
    if names == nil, hub.isGiven { throw CommandError(.usage, "--include, --exclude and --hf-cache are for a repository of the hub (hf:ORG/NAME)") }
    if names != nil, server.manifest != nil || transfer.url != nil { throw CommandError(.usage, "a repository of the hub takes neither --manifest nor --url; HF_ENDPOINT names a mirror") }
    if hub.hfCache, output != nil { throw CommandError(.usage, "--hf-cache says where files go, and so does --output; the cache's folder is named by HF_HUB_CACHE") }
    if hub.hfCache, let names { return try runIntoCache(names, request) }
    let repositories = try names.map { try HubInput($0, hub, server, request) }
    let (download, link, check) = try repositories.map { (try ReleaseDownload($0.wanted, request), $0.link, LinkInput.opensAll) } ?? releases(request)
    for sentence in download.notes { note("\(sentence)") }
    let session = DownloadSession(global: global, confirms: !transfer.yes && !json, asksForLinks: !json && repositories == nil, allowsHTTP: server.allowHttp, check: check)
    let outcome = session.run(download, link: link)
    let report = outcome.report
    var failure: (any Error)? = outcome.failure
    if let names, let settings = repositories?.settings, let error = outcome.failure { failure = hubError(error, names, settings) }
    if outcome.failure?.exit != .interrupted {
      do { try session.write(download.receipts(report, tool: Drover.configuration.version, options: transfer.given(models))) } catch {
        if let failure { Console.error("\(failure)") }
        failure = error
      }
    }
    if failure == nil, !global.quiet { noteUnhonouredKeys(of: report.files.map { request.folder.appending($0.path) }) }
    if json { try outputJSON(DownloadReport(outcome, revision: repositories.flatMap { $0.commits.count == 1 ? $0.commits[0] : nil }, failure: failure)) }
    if let failure { throw failure }
    if json { return }
    tell(report)
  }

  /// The line at the end.
  func tell(_ report: TransferReport) {
    let fetched = report.files.count { $0.status != .present }
    let unlisted = report.files.count { !$0.isVerified && !$0.path.hasSuffix(".chk") }
    let verified = unlisted == 0 ? "all verified" : "all verified but \(unlisted) that nothing vouches for"
    Console.outputLine("\(report.files.count) \(report.files.count == 1 ? "file" : "files"), \(Format.bytes(report.bytes)): \(fetched) fetched, \(report.files.count - fetched) were here; \(verified), in \(Format.duration(report.seconds))")
  }

  /// The download of releases over a signed link, and the check that another link opens them too.
  private func releases(_ request: TransferRequest) throws -> (ReleaseDownload, SignedLink, LinkInput.Check) {
    let (releases, link, check) = try LinkInput.releases(models, transfer, global)
    return (try ReleaseDownload(releases, request), link, check)
  }

  func note(_ text: TerminalText) { if !global.quiet { Console.note("note: \(text)") } }
}
