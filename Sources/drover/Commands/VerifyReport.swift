import Integrity
import SystemPackage
import Terminal

/// What came of a verification, for a person and as a document.
struct VerifyReport {
  let findings: [Verification.Finding]
  var wrongReceipts: Verification.WrongReceipts = [:]
  var unlisted: [FilePath] = []
  var problems: [VerificationError] = []

  /// nil when all agree. Bad data weighs most, then what is missing.
  var exit: DroverExit? {
    let exits = problems.map(\.exit) + findings.compactMap(\.status.exit) + (wrongReceipts.isEmpty ? [] : [.badData])
    return [.badData, .noInput, .failure].first(where: exits.contains) ?? exits.first
  }

  // MARK: Document

  private struct Document: Encodable {
    let files: [File]
  }

  /// One path. null stands where nothing is known: of a file that weights tell about, there is no digest of the whole.
  private struct File: Encodable {
    struct Damage: Encodable {
      let offset, bytes: Int
      let tensor: String?

      enum Key: CodingKey { case offset, bytes, tensor }

      func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Key.self)
        try object.encode(offset, forKey: .offset)
        try object.encode(bytes, forKey: .bytes)
        try object.encode(tensor, forKey: .tensor)
      }
    }

    let path: FilePath
    let status: String
    var algorithm, expected, actual: String?
    var damaged: [Damage]?

    enum Key: CodingKey { case path, pathBytes, algorithm, expected, actual, status, damaged }

    func encode(to encoder: any Encoder) throws {
      var object = encoder.container(keyedBy: Key.self)
      try object.encode(path.string, forKey: .path)
      try object.encode(path.bytesUnlessText, forKey: .pathBytes)
      try object.encode(algorithm, forKey: .algorithm)
      try object.encode(expected, forKey: .expected)
      try object.encode(actual, forKey: .actual)
      try object.encode(status, forKey: .status)
      try object.encode(damaged, forKey: .damaged)
    }
  }

  func outputDocument() throws {
    let files = findings.map { finding in
      File(
        path: finding.path, status: finding.status.word, algorithm: finding.blob == nil ? finding.algorithm.rawValue : "git-sha1",
        expected: finding.blob?.expected.hex ?? finding.expected?.hex, actual: finding.blob == nil ? finding.actual?.hex : finding.blob?.actual?.hex, damaged: finding.damaged?.map { .init(offset: $0.offset, bytes: $0.bytes, tensor: $0.tensor) })
    }
    let receipts = wrongReceipts.keys.sorted { $0.string < $1.string }.map { File(path: $0, status: Verification.Status.mismatch.word) }
    // By their bytes: two names that aren't text may be shown alike.
    let known = Set(findings.map(\.path)).union(wrongReceipts.keys)
    let others = problems.filter { !known.contains($0.path) }.map { File(path: $0.path, status: $0.status.word) }
    try outputJSON(Document(files: files + receipts + others + unlisted.map { File(path: $0, status: "unlisted") }))
  }

  // MARK: Text

  func describe(verbose: Bool, quiet: Bool) {
    let style = Style.standardOutput
    for finding in findings {
      let name = finding.path
      switch finding.status {
      case .ok:
        if !quiet { Console.outputLine("\(style("ok", .green))        \(name)") }
      case .mismatch:
        Console.outputLine("\(style("mismatch", .red))  \(name)")
        describe(finding, verbose: verbose)
      case .missing:
        Console.outputLine("\(style("missing", .red))   \(name)")
        describeStore(finding)
      case .unreadable(.resourceBusy): Console.outputLine("\(style("unreadable", .red))  \(name): it changed while it was read; is somebody writing to it?")
      case .unreadable(.notSupported): Console.outputLine("\(style("unreadable", .red))  \(name): it has no size of its own, so what it holds may differ each time")
      case .unreadable(let error): Console.outputLine("\(style("unreadable", .red))  \(name): \(error)")
      }
    }
    for (receipt, files) in wrongReceipts.sorted(by: { $0.key.string < $1.key.string }) {
      Console.outputLine("\(style("mismatch", .red))  \(receipt)")
      let names = files.map(\.string).joined(separator: ", ")
      Console.outputLine("          it is damaged itself: the states that it has of \(names) are wrong, and the digest is right")
    }
    guard !quiet else { return }
    let shown = verbose ? unlisted.count : min(unlisted.count, 10)
    for path in unlisted.prefix(shown) { Console.outputLine("\(style(path.isUnfinished ? "unfinished" : "unlisted", .yellow))  \(path)") }
    if shown < unlisted.count { Console.outputLine("          and \(unlisted.count - shown) more that no list speaks of (--verbose names them)") }
  }

  private func describe(_ finding: Verification.Finding, verbose: Bool) {
    for dispute in finding.disputes { Console.outputLine("          \(dispute.digest)  says \(dispute.source)") }
    if finding.disputes.isEmpty, let expected = finding.expected, finding.actual != nil { Console.outputLine("          expected \(expected)") }
    if let actual = finding.actual { Console.outputLine("          actual   \(actual)  (\(Format.bytes(finding.bytes)))") }
    if let blob = finding.blob {
      Console.outputLine("          expected \(blob.expected)")
      if let actual = blob.actual { Console.outputLine("          actual   \(actual)  (git's name for it, \(Format.bytes(finding.bytes)))") }
    }
    describeStore(finding)
    if let length = finding.claims.lazy.compactMap(\.bytes).first(where: { $0 != finding.bytes }) {
      Console.outputLine("          it has \(Format.count(finding.bytes)) bytes, and should have \(Format.count(length))")
    }
    let damaged = finding.damaged ?? []
    let shown = verbose ? damaged.count : min(damaged.count, 10)
    for damage in damaged.prefix(shown) {
      Console.outputLine("          damaged  within \(damage.bytes) bytes at \(damage.offset)\(damage.tensor.map { ": \($0)" } ?? "")")
    }
    if shown < damaged.count { Console.outputLine("          and in \(damaged.count - shown) more places (--verbose names them)") }
  }

  /// Whose it is, of a store's file: its own name doesn't say.
  private func describeStore(_ finding: Verification.Finding) {
    var sources: [FilePath] = []
    for case .stored in finding.claims.map(\.content) { sources = finding.claims.map(\.source) }
    for source in sources.prefix(4) { Console.outputLine("          of       \(source)") }
  }

  func summary(seconds: Double) -> String {
    let bytes = findings.reduce(0) { $0 + $1.bytes }
    let bad = findings.count { $0.status != .ok }
    let rate = seconds > 0 ? ", \(Format.rate(Double(bytes) / seconds))" : ""
    let what = "\(Format.count(findings.count)) \(findings.count == 1 ? "file" : "files"), \(Format.bytes(bytes)) in \(Format.duration(seconds))\(rate)"
    if bad > 0 { return "\(bad) of \(findings.count) files failed: \(what)." }
    return problems.isEmpty && wrongReceipts.isEmpty ? "All agree: \(what)." : "All files that could be checked agree: \(what)."
  }
}

extension FilePath {
  /// Whether it is a download that hasn't ended, by the names that the hub's tools, ollama and drover give to such.
  fileprivate var isUnfinished: Bool {
    guard let name = lastComponent?.string else { return false }
    return [".incomplete", ".part", ".part.journal"].contains { name.hasSuffix($0) } || name.hasPrefix("sha256-") && name.contains("-partial")
  }
}

extension Verification.Status {
  var word: String {
    switch self {
    case .ok: "ok"
    case .mismatch: "mismatch"
    case .missing: "missing"
    case .unreadable: "unreadable"
    }
  }

  fileprivate var exit: DroverExit? {
    switch self {
    case .ok: nil
    case .mismatch: .badData
    case .missing: .noInput
    case .unreadable: .failure
    }
  }
}
