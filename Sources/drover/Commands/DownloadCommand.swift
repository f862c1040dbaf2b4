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
      and git's names that the hub has of it. The token comes from HF_TOKEN, else from what `hf auth login` has left; HF_ENDPOINT names a mirror.

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
        drover download https://example.org/model.gguf --sha256 0b1c…
        drover download 70B --dry-run
      """)

  @Argument(help: ArgumentHelp("Releases, as `drover catalog` lists them, or hf:ORG/NAME; commas may separate them too. Or links to one file. With --manifest: all that the file has.", valueName: "models"))
  var models: [String] = []

  @Option(help: ArgumentHelp("The signed link, in single quotes.", valueName: "link"))
  var url: TextArgument?

  @Option(help: ArgumentHelp("What the file behind a link must hash to, 64 hexadecimal digits.", valueName: "hex"))
  var sha256: String?

  @Option(name: .shortAndLong, help: ArgumentHelp("The folder to download into.", valueName: "dir"), completion: .directory)
  var output = PathArgument(".")

  @Option(parsing: .unconditional, help: ArgumentHelp("Connections at a time. Otherwise as many as help.", valueName: "n"))
  var connections: Int?

  @Option(parsing: .unconditional, help: ArgumentHelp("Most bytes a second, such as 50M.", valueName: "rate"))
  var limitRate: ByteCount?

  @Flag(name: .shortAndLong, help: "Don't ask before starting. Another link is still asked for when this one ends.")
  var yes = false

  @Flag(help: "Keep a file whose checksum differs, as NAME.corrupt.")
  var keepCorrupt = false

  @Flag(help: "Fetch no weights and write nothing: say what would be fetched, what is here, and what it takes.")
  var dryRun = false

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var hub: HubOptions
  @OptionGroup var server: ServerOptions
  @OptionGroup var global: GlobalOptions

  func validate() throws {
    if models.isEmpty, server.manifest == nil { throw ValidationError("Name the releases to download; `drover catalog` lists them.") }
    if let connections, !(1...64).contains(connections) { throw ValidationError("--connections takes 1 to 64.") }
    if let limitRate, limitRate.bytes < 1 { throw ValidationError("--limit-rate takes at least 1 byte a second.") }
  }

  func run() throws {
    try ProcessStart.checkAddressSpace()
    let request = TransferRequest(
      files: [], folder: output.path, connections: connections, bytesPerSecond: limitRate?.bytes, authorities: server.cacert?.path, retry: server.retry,
      keepsCorrupt: keepCorrupt)
    let source = try source(request)
    for sentence in source.download.notes { note("\(sentence)") }
    if dryRun { return try foretell(source) }
    let session = DownloadSession(global: global, confirms: !yes && !json, readLink: json ? nil : source.readLink)
    let outcome = session.run(source.download, over: source.links)
    let report = outcome.report
    var failure: (any Error)? = outcome.failure
    if outcome.failure?.exit != .interrupted {
      do { try session.write(source.download.receipts(report, tool: Drover.configuration.version, options: given)) } catch {
        if let failure = outcome.failure { Console.error(failure.description) }
        failure = error
      }
    }
    if failure == nil, !global.quiet { noteUnhonouredKeys(of: report.files.map { output.path.appending($0.path) }) }
    if json { try outputJSON(DownloadReport(outcome, revision: source.revision, failure: failure)) }
    if let failure { throw failure }
    if json { return }
    let fetched = report.files.count { $0.status != .present }
    let unlisted = report.files.count { !$0.isVerified && !$0.path.hasSuffix(".chk") }
    let verified = unlisted == 0 ? "all verified" : "all verified but \(unlisted) that nothing vouches for"
    Console.outputLine("\(report.files.count) \(report.files.count == 1 ? "file" : "files"), \(Format.bytes(report.bytes)): \(fetched) fetched, \(report.files.count - fetched) were here; \(verified), in \(Format.duration(report.seconds))")
  }

  private func foretell(_ source: Source) throws {
    exitOnInterruption()
    let forecast = try Forecast(source.download.request, over: source.links)
    let report = ForecastReport(forecast, source.download.memory(forecast), into: output.description, revision: source.revision)
    if json { try outputJSON(report) } else { report.show() }
    // The first failure is the message that the program ends with.
    for failure in forecast.files.compactMap(\.failure).dropFirst() { Console.error(ProcessSecrets.redact(failure.description)) }
    if let failure = forecast.failure { throw failure }
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
  }

  private func source(_ request: TransferRequest) throws -> Source {
    let file = try FileInput(models, sha256: sha256, server, global)
    let repositories = file == nil ? try HubInput.names(in: models).map { try HubInput($0, hub, server, request, global) } : nil
    if repositories == nil, hub.isGiven { throw CommandError(.usage, "--include and --exclude choose files of a repository of the hub (hf:ORG/NAME)") }
    if let file {
      guard url == nil, server.manifest == nil else { throw CommandError(.usage, "a link to one file takes neither --url nor --manifest; its mirrors stand beside it") }
      let download = try ReleaseDownload(file: file.name, from: file.hosts, digest: file.digest, request)
      return Source(download: download, links: file.links, readLink: file.reader(allowsHTTP: server.allowHttp))
    }
    guard let repositories else { return try releases(request) }
    guard server.manifest == nil, url == nil else { throw CommandError(.usage, "a repository of the hub takes neither --manifest nor --url; HF_ENDPOINT names a mirror") }
    return Source(download: repositories.download, links: [repositories.link], revision: repositories.commits.count == 1 ? repositories.commits[0] : nil)
  }

  /// Releases over a signed link, or from the mirrors that their manifest names.
  private func releases(_ request: TransferRequest) throws -> Source {
    let catalog = try server.catalog()
    let matches = models.isEmpty ? nil : try catalog.matches(models.joined(separator: ","))
    for match in matches ?? [] where !match.alternatives.isEmpty {
      note("taking \(match.release.id) (\(match.release.family)); other models of that size: \(match.alternatives.map(\.id).joined(separator: ", "))")
    }
    let releases = matches?.map(\.release) ?? catalog.releases
    let check: LinkInput.Check = { link throws(WrongLinkError) in try catalog.checkLink(to: link.host, opens: releases) }
    let mirrors = try LinkInput.mirrors(of: releases, allowsHTTP: server.allowHttp, global)
    // What is in the environment is for a server of its own; a manifest with mirrors says where its files are.
    let given = mirrors.isEmpty || url != nil ? [try LinkInput.template(url?.text, allowsHTTP: server.allowHttp, global)] : []
    for link in given + mirrors { try check(link) }
    return Source(download: try ReleaseDownload(releases, request), links: given + mirrors, readLink: LinkInput.reader(allowsHTTP: server.allowHttp, check))
  }

  /// The options for the receipt: what shaped the download, without the link and without places on this machine.
  private var given: [String: String] {
    var given: [String: String] = [:]
    // Links are nobody's business.
    given["models"] = models.isEmpty || models.contains(where: SignedLink.resembles) ? nil : models.joined(separator: ",")
    given["sha256"] = sha256
    given["manifest"] = server.manifest?.path.lastComponent?.string
    given["include"] = hub.include.isEmpty ? nil : hub.include.joined(separator: ",")
    given["exclude"] = hub.exclude.isEmpty ? nil : hub.exclude.joined(separator: ",")
    given["connections"] = connections.map(String.init)
    given["limit-rate"] = limitRate.map { String($0.bytes) }
    return given
  }

  private func note(_ text: TerminalText) { if !global.quiet { Console.note("note: \(text)") } }
}

/// A number of bytes on the command line.
struct ByteCount: ExpressibleByArgument {
  let bytes: Int

  init?(argument: String) {
    guard let bytes = Format.parseBytes(argument) else { return nil }
    self.bytes = bytes
  }
}
