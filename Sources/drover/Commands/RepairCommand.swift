import ArgumentParser
import Arrival
import Catalog
import Checkpoint
import Integrity
import Platform
import SystemPackage
import Terminal
import Transfer

struct RepairCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "repair",
    abstract: "Fetches again what is damaged in a download, and nothing else.",
    discussion: """
      PATH is verified first, on all cores. Of a file whose receipt has the states of its hash, the pieces of 16 MiB that are damaged are fetched; of others the \
      whole file. The new file is made beside the old one, held against its publisher's digest from the first byte to the last, and takes its name when it is right: \
      whatever happens, there is the old file or the new one.

      Where it came from, its receipt says: a release, whose signed link comes from --url, else from DROVER_URL, else is asked for; or a repository of the hub at a commit. In \
      the hub's cache each file says by its name what it should be, and a new one takes its place. In ollama's store too, but nothing there says where it came from: \
      with --url LINK one damaged blob is fetched again over a link to its content.

      EXAMPLES
        drover repair models/llama-2-7b
        drover repair models/Llama-3.1-8B-Instruct hf:meta-llama/Llama-3.1-8B-Instruct
        drover repair hf:meta-llama/Llama-3.1-8B-Instruct
        drover repair ~/.cache/huggingface/hub
        drover repair ~/.ollama/models/blobs/sha256-1a2b… --url https://example.org/model.gguf

      Exits with 0 when all is right in the end.
      """)

  @Argument(help: "A downloaded model's folder, a folder of several, hf:ORG/NAME in the hub's cache, or a store or a blob of ollama's.")
  var path: ModelArgument

  @Argument(help: ArgumentHelp("The repository that it came from, where no receipt says so.", valueName: "hf:ORG/NAME"))
  var repository: TextArgument?

  @Option(help: ArgumentHelp("The signed link, or the link to a blob's content, in single quotes.", valueName: "link"))
  var url: TextArgument?

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var server: ServerOptions
  @OptionGroup var global: GlobalOptions

  func run() throws {
    try ProcessStart.checkAddressSpace()
    let isStopped = StopFlag()
    Interruption.onSignal { isStopped.raise() }
    let plan = try RepairPlan(path.findForVerifying(), isCancelled: { isStopped.isRaised })
    for problem in plan.problems { Console.error(problem.description) }
    for receipt in plan.wrongReceipts { Console.note("note: \(receipt) is damaged itself, and the files that show it are right; `drover download` writes a new one when it is removed") }
    plan.forgetJournals()
    var outcome = DownloadOutcome(files: [], report: TransferReport(), failure: nil, missing: [])
    var left = plan.unfetchable
    if let url, plan.models.isEmpty, let mended = try mend(left, over: url.text) { (outcome, left) = (mended, []) }
    for file in left { Console.error("\(file.path): \(file.advice)") }
    var commits: [String] = []
    for model in plan.models {
      let (request, link, commit, check) = try request(for: model)
      let session = DownloadSession(global: global, confirms: false, readLink: json || commit != nil ? nil : LinkInput.reader(allowsHTTP: server.allowHttp, check))
      let part = session.run(request, over: [link], task: "repair")
      model.forgetJournals(part.report)
      outcome = outcome.joined(part)
      if let commit { commits.append(commit) }
      if part.failure?.exit == .interrupted { break }
    }
    // The bytes that it took, rather than those that the files have.
    var report = outcome.report
    report.bytes = report.files.reduce(0) { $0 + $1.fetched }
    outcome = DownloadOutcome(files: outcome.files, report: report, failure: outcome.failure, missing: outcome.missing)
    if json { try outputJSON(DownloadReport(outcome, revision: commits.count == 1 ? commits[0] : nil, failure: outcome.failure)) }
    if let failure = outcome.failure { throw failure }
    if !left.isEmpty { throw ExitCode(.usage) }
    if !plan.problems.isEmpty || !plan.wrongReceipts.isEmpty { throw ExitCode(plan.problems.first?.exit ?? .badData) }
    guard !json else { return }
    if report.files.isEmpty { return Console.outputLine("nothing is damaged: \(plan.checked) \(plan.checked == 1 ? "file agrees" : "files agree") with what lists and receipts say") }
    Console.outputLine("\(report.files.count) of \(plan.checked) files repaired and verified: \(Format.bytes(report.bytes)) fetched, in \(Format.duration(report.seconds))")
  }

  /// Fetches the one file of a store that is damaged over a link to its content, which its name says.
  /// - Returns: nil where there is no such file.
  private func mend(_ files: [RepairPlan.Unfetchable], over text: String) throws -> DownloadOutcome? {
    let request = TransferRequest(files: [], folder: ".", authorities: server.cacert?.path, retry: server.retry)
    guard let file = files.first, let request = file.request(request) else { return nil }
    guard files.count == 1 else {
      let names = files.map { "\($0.path)" }.joined(separator: ", ")
      throw CommandError(.usage, "a link opens one file, and \(files.count) are damaged: repair them one after the other, by their names: \(names)")
    }
    ProcessSecrets.lockMemory()
    let link = try SignedLink.examineDownload(text, allowsHTTP: server.allowHttp).file
    LinkInput.tell(link.notes, global)
    let outcome = DownloadSession(global: global, confirms: false, readLink: nil).run(request, over: [link.link], task: "repair")
    if outcome.failure == nil { FinishedFile.forgetJournal(of: file.path) }
    return outcome
  }

  /// What to fetch for a model, and over which link.
  private func request(for model: RepairPlan.Model) throws -> (TransferRequest, SignedLink, commit: String?, LinkInput.Check) {
    let request = TransferRequest(files: [], folder: model.folder, authorities: server.cacert?.path, retry: server.retry)
    if model.isMade {
      var options = model.options
      options["models"] = nil
      let given = options.sorted { $0.key < $1.key }.map { "--\($0.key) \($0.value)" }.joined(separator: " ")
      let again = if case .checkpoint(let source)? = model.origin { "reshard \(source)" } else { "pull \(model.options["models"] ?? "MODEL")" }
      throw CommandError(.usage, "\(model.folder) was written by drover, not fetched: make it anew with `drover \(again) \(model.folder) \(given) --force`")
    }
    if let name = try hubName(model) {
      ProcessSecrets.lockMemory()
      let settings = try HubSettings(ProcessSecrets.environment, allowsHTTP: server.allowHttp)
      let repository = try HubClient(settings, authorities: server.cacert?.path, retry: server.retry).repository(name)
      return (try model.request(repository, request), settings.link, repository.commit, { _ in })
    }
    if case .hosts(let hosts)? = model.origin {
      throw CommandError(.usage, "\(model.folder): its files came each over a link of its own, from \(hosts.joined(separator: ", ")): move what is damaged away, and fetch it again with `drover download LINK`")
    }
    let catalog = try server.catalog()
    let release: Release
    if case .release(let id)? = model.origin { release = try catalog.release(named: id).release } else {
      guard let known = catalog.release(ofCheckpointAt: model.folder) else {
        throw CommandError(.usage, "\(model.folder): no receipt says where it came from, and no release has a folder of that name; name its repository (hf:ORG/NAME), or its manifest with --manifest")
      }
      release = known
    }
    let check: LinkInput.Check = { link throws(WrongLinkError) in try catalog.checkLink(to: link.host, opens: [release]) }
    let link = try LinkInput.template(url?.text, allowsHTTP: server.allowHttp, global)
    try check(link)
    return (try model.request(release, link, request), link, nil, check)
  }

  private func hubName(_ model: RepairPlan.Model) throws -> HubName? {
    let given = try repository.flatMap { text throws(HubError) in try HubName(text.text) }
    if repository != nil, given == nil { throw CommandError(.usage, "a repository of the hub has the form hf:ORG/NAME") }
    guard case .repository(let name, let commit)? = model.origin else { return given }
    // Of another repository, or at another revision, only if somebody says so.
    if let given, given.repository != name || given.revision != "main" { return given }
    return try HubName("\(HubName.prefix)\(name)@\(commit)")
  }
}
