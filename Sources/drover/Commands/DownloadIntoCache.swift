import Arrival
import Integrity
import Platform
import SystemPackage
import Terminal
import Transfer

/// `drover download hf:ORG/NAME --hf-cache`.
extension DownloadCommand {
  func runIntoCache(_ names: [HubName], _ request: TransferRequest) throws {
    ProcessSecrets.lockMemory()
    let settings = try HubSettings(ProcessSecrets.environment, allowsHTTP: transfer.server.allowHttp)
    guard let cache = settings.cache else { throw HubError.noCache }
    let client = HubClient(settings, authorities: request.authorities, retry: request.retry)
    var outcome = DownloadOutcome(files: [], report: TransferReport(), failure: nil, missing: [])
    var failure: (any Error)?
    var (commits, snapshots): ([String], [FilePath]) = ([], [])
    // What all of them hold is known before the first is fetched.
    let wanted = try names.map { try settings.isOffline ? client.cached($0, transfer.hub.selection, in: cache) : client.wanted($0, transfer.hub.selection) }
    for (repository, files) in wanted {
      let download = try CacheDownload(repository, files, in: cache, request)
      let part: DownloadOutcome
      if settings.isOffline {
        part = DownloadOutcome(files: download.request.files.map(\.path), report: try look(download), failure: nil, missing: [])
      } else {
        let session = DownloadSession(global: global, confirms: !transfer.yes && !json, readLink: nil)
        part = session.run(download.request, over: [settings.link])
      }
      outcome = outcome.joined(part.renamed(download.names))
      commits.append(repository.commit)
      snapshots.append(download.snapshot)
      failure = part.failure.map { hubError($0, names, settings) }
      if failure == nil, !settings.isOffline { do { try download.link() } catch { failure = error } }
      if failure != nil { break }
    }
    if failure == nil, !global.quiet { noteUnhonouredKeys(of: outcome.report.files.map { FilePath(cache.string + "/" + $0.path) }) }
    if json { try outputJSON(DownloadReport(outcome, revision: commits.count == 1 ? commits[0] : nil, failure: failure)) }
    if let failure { throw failure }
    if json { return }
    tell(outcome.report)
    for snapshot in snapshots { Console.outputLine("\(snapshot)") }
  }

  private func look(_ download: CacheDownload) throws -> TransferReport {
    let display = ProgressDisplay("verify", mode: global.progressMode)
    defer { display.close() }
    let items = download.request.files.map { display.add($0.path, total: nil) }
    let isStopped = StopFlag()
    Interruption.onSignal { isStopped.raise() }
    let report = try download.present(progress: { display.update(items[$0], done: $1) }, isCancelled: { isStopped.isRaised })
    for item in items { display.finish(item, "here already, verified") }
    return report
  }
}
