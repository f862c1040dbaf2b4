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
      PATH is a model folder, a folder of several, a checklist (Meta's checklist.chk, or what md5sum and sha256sum write), or a drover-receipt.json. \
      Files that no list speaks of are named, but are no failure.

      EXAMPLES
        drover verify llama-2-7b
        drover verify models llama-2-7b/checklist.chk --json

      Exits with 0 when all agree, 65 when a file differs, 66 when one is missing.
      """)

  @OptionGroup var global: GlobalOptions

  @Flag(help: "Report as one JSON document.")
  var json = false

  @Argument(help: "Folders, checklists or receipts.", completion: .file())
  var paths: [String]

  func run() throws {
    let verification = try Verification(of: paths.map { FilePath($0) })
    let progress = ProgressReport(mode: global.progressMode)
    let start = steadySeconds()
    let isStopped = StopFlag()
    Interruption.onSignal { isStopped.raise() }
    let findings = verification.run(observer: progress, isCancelled: { isStopped.isRaised })
    let seconds = steadySeconds() - start
    progress.close(findings)
    let made = findings.filter { $0.status != .unreadable(.canceled) }
    if made.count < findings.count {
      // No JSON: a document of only some files couldn't be told from a whole one.
      if !json { Report(findings: made.filter { $0.status != .ok }, unlisted: []).describe(verbose: false, quiet: true) }
      let bad = made.count { $0.status != .ok }
      throw CommandError(.interrupted, "interrupted: \(made.count) of \(findings.count) checks were made, and \(bad == 0 ? "none" : "\(bad)") failed")
    }
    let report = Report(findings: findings, unlisted: verification.unlisted)
    if json {
      try report.outputDocument()
    } else {
      report.describe(verbose: global.verbose, quiet: global.quiet)
      if !global.quiet { Console.outputLine(report.summary(seconds: seconds)) }
    }
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
      // Of what several lists say, the first that doesn't hold.
      let statuses = Dictionary(findings.map { ($0.claim.path, $0.status) }) { first, next in first == .ok ? next : first }
      for item in items.withLock({ $0 }) {
        guard let status = statuses[item.path], status != .unreadable(.canceled) else { continue }
        display.finish(item.number, status.word, failed: status != .ok)
      }
    }
    display.close()
  }
}

private struct Report {
  let findings: [Verification.Finding]
  let unlisted: [FilePath]

  /// nil when all agree.
  var exit: DroverExit? {
    if findings.contains(where: { $0.status == .mismatch }) { return .badData }
    if findings.contains(where: { $0.status == .missing }) { return .noInput }
    return findings.allSatisfy { $0.status == .ok } ? nil : .failure
  }

  func outputDocument() throws {
    struct Document: Encodable {
      struct File: Encodable {
        let path, algorithm, expected: String
        /// null where the file wasn't read.
        let actual: String?
        let status: String

        enum Key: CodingKey { case path, algorithm, expected, actual, status }

        func encode(to encoder: any Encoder) throws {
          var object = encoder.container(keyedBy: Key.self)
          try object.encode(path, forKey: .path)
          try object.encode(algorithm, forKey: .algorithm)
          try object.encode(expected, forKey: .expected)
          try object.encode(actual, forKey: .actual)
          try object.encode(status, forKey: .status)
        }
      }
      let files: [File]
      let unlisted: [String]
    }
    try outputJSON(Document(
      files: findings.map { finding in
        .init(
          path: finding.claim.path.string, algorithm: finding.claim.digest.algorithm.rawValue, expected: finding.claim.digest.hex,
          actual: finding.actual?.hex, status: finding.status.word)
      },
      unlisted: unlisted.map(\.string)))
  }

  func describe(verbose: Bool, quiet: Bool) {
    let style = Style.standardOutput
    for finding in distinct {
      let name = Format.name(finding.claim.path.string)
      switch finding.status {
      case .ok:
        if !quiet { Console.outputLine("\(style("ok", .green))        \(name)") }
      case .mismatch:
        Console.outputLine("\(style("mismatch", .red))  \(name)")
        Console.outputLine("          expected \(finding.claim.digest)")
        Console.outputLine("          actual   \(finding.actual?.hex ?? "-")  (\(Format.bytes(finding.bytes)))")
      case .missing: Console.outputLine("\(style("missing", .red))   \(name)")
      case .unreadable(.resourceBusy): Console.outputLine("\(style("unreadable", .red))  \(name): it changed while it was read; is somebody writing to it?")
      case .unreadable(let error): Console.outputLine("\(style("unreadable", .red))  \(name): \(error)")
      }
    }
    guard !quiet else { return }
    let shown = verbose ? unlisted.count : min(unlisted.count, 10)
    for path in unlisted.prefix(shown) { Console.outputLine("\(style("unlisted", .yellow))  \(Format.name(path.string))") }
    if shown < unlisted.count { Console.outputLine("          and \(unlisted.count - shown) more that no list speaks of (--verbose names them)") }
  }

  /// The findings, without those that say once more what came of a file.
  private var distinct: [Verification.Finding] {
    let disputed = Dictionary(grouping: findings, by: \.claim.path).filter { _, findings in findings.contains { $0.status != findings[0].status } }
    var seen: Set<FilePath> = []
    return findings.filter { seen.insert($0.claim.path).inserted || disputed[$0.claim.path] != nil }
  }

  func summary(seconds: Double) -> String {
    let files = Dictionary(findings.map { ($0.claim.path, $0.bytes) }) { first, _ in first }
    let bytes = files.values.reduce(0, +)
    let bad = findings.filter { $0.status != .ok }.count
    let rate = seconds > 0 ? ", \(Format.rate(Double(bytes) / seconds))" : ""
    let what = "\(Format.count(files.count)) \(files.count == 1 ? "file" : "files"), \(Format.bytes(bytes)) in \(Format.duration(seconds))\(rate)"
    return bad == 0 ? "All agree: \(what)." : "\(bad) of \(findings.count) checks failed: \(what)."
  }
}

extension Verification.Status {
  fileprivate var word: String {
    switch self {
    case .ok: "ok"
    case .mismatch: "mismatch"
    case .missing: "missing"
    case .unreadable: "unreadable"
    }
  }
}
