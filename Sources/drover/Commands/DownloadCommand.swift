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
      and git's names that the hub has of it. The token comes from HF_TOKEN, else from what `hf auth login` has left; HF_ENDPOINT names a mirror.

      EXAMPLES
        drover download 7B
        drover download 7B,70B-chat --output models
        DROVER_URL=$(cat link) drover download llama-3.1-8b --limit-rate 50M --yes
        drover download my-model --manifest my-model.json
        drover download hf:meta-llama/Llama-3.1-8B-Instruct
        drover download hf:meta-llama/Llama-3.1-8B-Instruct@main --include 'original/*'
      """)

  @Argument(help: ArgumentHelp("Releases, as `drover catalog` lists them, or hf:ORG/NAME; commas may separate them too. With --manifest: all that the file has.", valueName: "models"))
  var models: [String] = []

  @Option(name: .shortAndLong, help: ArgumentHelp("The folder to download into.", valueName: "dir"), completion: .directory)
  var output = PathArgument(".")

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
    let server = transfer.server
    var request = transfer.request(into: output.path)
    request.keepsCorrupt = keepCorrupt
    let repositories = try HubInput.names(in: models).map { try HubInput($0, transfer.hub, server, request) }
    if repositories == nil, transfer.hub.isGiven { throw CommandError(.usage, "--include and --exclude choose files of a repository of the hub (hf:ORG/NAME)") }
    if repositories != nil, server.manifest != nil || transfer.url != nil { throw CommandError(.usage, "a repository of the hub takes neither --manifest nor --url; HF_ENDPOINT names a mirror") }
    let (download, link, check) = try repositories.map { (try ReleaseDownload($0.wanted, request), $0.link, LinkInput.opensAll) } ?? releases(request)
    for sentence in download.notes { note("\(sentence)") }
    let session = DownloadSession(global: global, confirms: !transfer.yes && !json, asksForLinks: !json && repositories == nil, allowsHTTP: server.allowHttp, check: check)
    let outcome = session.run(download, link: link)
    let report = outcome.report
    var failure: (any Error)? = outcome.failure
    if outcome.failure?.exit != .interrupted {
      do { try session.write(download.receipts(report, tool: Drover.configuration.version, options: transfer.given(models))) } catch {
        if let failure = outcome.failure { Console.error(failure.description) }
        failure = error
      }
    }
    if failure == nil, !global.quiet { noteUnhonouredKeys(of: report.files.map { output.path.appending($0.path) }) }
    if json { try outputJSON(DownloadReport(outcome, revision: repositories.flatMap { $0.commits.count == 1 ? $0.commits[0] : nil }, failure: failure)) }
    if let failure { throw failure }
    if json { return }
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

  private func note(_ text: TerminalText) { if !global.quiet { Console.note("note: \(text)") } }
}
