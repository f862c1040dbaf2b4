import ArgumentParser
import Integrity
import Platform
import Synchronization
import SystemPackage
import Terminal

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Hold files against their checksums.",
    discussion: """
      PATH is a model folder, a folder of several, a checklist (Meta's checklist.chk, or what md5sum and sha256sum write), or a drover-receipt.json; - is a \
      list on standard input, with names as this folder has them. \
      Files that no list speaks of are named, but are no failure.

      What the hub's own tools keep (~/.cache/huggingface/hub) and what ollama keeps (~/.ollama/models) needs no list: files there are called by their SHA-256, or \
      by git's name for them. Their folders, what lies in them, and folders that hold some are understood; links are followed to their own blobs and nowhere else.

      EXAMPLES
        drover verify llama-2-7b
        drover verify models llama-2-7b/checklist.chk --json
        ssh store md5sum '*.pth' | drover verify -
        drover verify ~/.cache/huggingface/hub ~/.ollama/models
        drover verify hf:meta-llama/Llama-3.1-8B-Instruct ollama:llama3.2:1b

      A file that a receipt knows is checked on all cores, and what is damaged in it is named by its bytes, and by its tensor where drover wrote it.

      In the JSON document a path that isn't UTF-8 has its bytes, in hexadecimal digits, under pathBytes; path shows what can be shown.

      Exits with 0 when all agree, 65 when a file differs, 66 when one is missing.
      """)

  @OptionGroup var global: GlobalOptions

  @Flag(help: "Report as one JSON document.")
  var json = false

  @Argument(help: "Folders, checklists, receipts, or what another program keeps: its folder, hf:ORG/NAME, ollama:NAME.")
  var paths: [ModelArgument]

  func run() throws {
    let verification = try Verification(of: paths.map { try $0.findForVerifying() })
    let progress = ProgressReport(mode: global.progressMode)
    let start = steadySeconds()
    let isStopped = StopFlag()
    Interruption.onSignal { isStopped.raise() }
    let (findings, wrongReceipts) = verification.run(observer: progress, isCancelled: { isStopped.isRaised })
    let seconds = steadySeconds() - start
    progress.close(findings)
    let made = findings.filter { $0.status != .unreadable(.canceled) }
    if made.count < findings.count {
      // No JSON: a document of only some files couldn't be told from a whole one.
      if !json { VerifyReport(findings: made.filter { $0.status != .ok }).describe(verbose: false, quiet: true) }
      let bad = made.count { $0.status != .ok }
      throw CommandError(.interrupted, "interrupted: \(made.count) of \(findings.count) files were checked, and \(bad == 0 ? "none" : "\(bad)") failed")
    }
    let report = VerifyReport(findings: findings, wrongReceipts: wrongReceipts, unlisted: verification.unlisted, problems: verification.problems)
    for problem in report.problems { Console.error(problem.description) }
    if json {
      try report.outputDocument()
    } else {
      report.describe(verbose: global.verbose, quiet: global.quiet)
      if !global.quiet, !findings.isEmpty { Console.outputLine("\(report.summary(seconds: seconds))") }
    }
    if !global.quiet { noteUnhonouredKeys(of: findings.map(\.path) + verification.unlisted) }
    if let code = report.exit { throw ExitCode(code) }
  }
}

/// Bars while the files are read; how each ended, the report says.
private final class ProgressReport: VerificationObserver {
  private let display: ProgressDisplay
  private let mode: ProgressMode
  private let items = Mutex<[(path: FilePath, number: Int)]>([])

  init(mode: ProgressMode) {
    self.mode = mode
    display = ProgressDisplay("verify", mode: mode)
  }

  func willRead(_ files: [(path: FilePath, bytes: Int?)]) {
    items.withLock { items in items = files.map { ($0.path, display.add($0.path.string, total: $0.bytes ?? 0)) } }
  }

  func didRead(file: Int, bytes: Int) { display.update(items.withLock { $0[file].number }, done: bytes) }

  func close(_ findings: [Verification.Finding]) {
    if mode == .json {
      let statuses = Dictionary(findings.map { ($0.path, $0.status) }) { first, _ in first }
      for item in items.withLock({ $0 }) {
        guard let status = statuses[item.path], status != .unreadable(.canceled) else { continue }
        display.finish(item.number, status.word, failed: status != .ok)
      }
    }
    display.close()
  }
}
