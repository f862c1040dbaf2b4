import ArgumentParser
import Checkpoint
import Integrity
import Platform
import Synchronization
import SystemPackage
import Terminal

struct FingerprintCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fingerprint",
    abstract: "Compute what is the same for the same weights, in any layout or format, and compare it.",
    discussion: """
      A tensor's fingerprint is the SHA-256 of its dtype, its shape and its whole row-major bytes in Meta's order; the checkpoint's is that of all \
      tensors' by name. Two checkpoints with the same fingerprint hold the same weights, however they are cut, named or wrapped.

      With several PATHs, each is compared with the first, and tensors that differ are named. A drover-receipt.json stands for the weights it was \
      written for, which needn't be here.

      EXAMPLES
        drover fingerprint llama-2-7b
        drover fingerprint llama-2-7b Llama-2-7b-hf
        drover fingerprint published/drover-receipt.json my-model.gguf
        drover fingerprint Llama-2-7b-hf --tensors

      Exits with 0 when there is nothing to compare or all are the same, 65 when they are not.
      """)

  @Argument(help: "Folders with .pth, safetensors or Hugging Face files, GGUF files, receipts, hf:ORG/NAME in the hub's cache, or ollama:NAME.")
  var paths: [ModelArgument]

  @Flag(help: "Print the fingerprint of every tensor too.")
  var tensors = false

  @Flag(help: "Print one JSON document.")
  var json = false

  @OptionGroup var checkpoint: CheckpointOptions
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let sources = try paths.map { try Source($0.find(global), checkpoint.forOpening) }
    for note in sources.flatMap(\.notes) where !global.quiet { Console.note("note: \(note)") }
    let display = ProgressDisplay("fingerprint", mode: global.progressMode)
    let isStopped = StopFlag()
    Interruption.onSignal { isStopped.raise() }
    let fingerprints: [CheckpointFingerprint]
    do {
      defer { display.close() }
      let items = zip(paths, sources).map { display.add($0.description, total: $1.bytes) }
      fingerprints = try zip(sources, items).map { source, item in
        let fingerprint = try source.fingerprint(display, item, isStopped)
        if global.progressMode == .json { display.finish(item, "read") }
        return fingerprint
      }
    }
    let comparisons = zip(paths, fingerprints).dropFirst().map { Comparison(path: $0, differences: $1.differences(from: fingerprints[0])) }
    if json {
      try outputDocument(fingerprints, comparisons)
    } else {
      describe(fingerprints, comparisons)
    }
    if comparisons.contains(where: { !$0.differences.isEmpty }) { throw ExitCode(.badData) }
  }

  /// Weights, or a receipt that speaks for them.
  private enum Source {
    case checkpoint(Checkpoint)
    case receipt(CheckpointFingerprint)

    init(_ path: FilePath, _ options: Checkpoint.OpenOptions) throws {
      guard path.extension == "json" || InputFile.isStream(path) else {
        self = .checkpoint(try Checkpoint.open(at: path, options))
        return
      }
      let receipt: Receipt
      do throws(ReceiptError) { receipt = try Receipt(contentsOf: path) } catch {
        guard InputFile.isStream(path), error.holdsSomethingElse else { throw error }
        throw CommandError(
          .badData,
          "\(path): holds no receipt of drover, and weights can't be taken out of a pipe, since they are read at any place: save them to a file first, and name that")
      }
      guard let stated = receipt.fingerprint else {
        throw CommandError(.badData, "\(path): this receipt has no fingerprint; compute it from the weights")
      }
      self = .receipt(stated)
    }

    /// What a description says and drover doesn't honour: weights may be the same, and the models others.
    var notes: [String] {
      switch self {
      case .checkpoint(let checkpoint): checkpoint.unhonoured.map(\.note)
      case .receipt: []
      }
    }

    var bytes: Int {
      switch self {
      case .checkpoint(let checkpoint): checkpoint.fingerprintBytes
      case .receipt: 0
      }
    }

    func fingerprint(_ display: ProgressDisplay, _ item: Int, _ isStopped: StopFlag) throws -> CheckpointFingerprint {
      switch self {
      case .receipt(let fingerprint): return fingerprint
      case .checkpoint(let checkpoint):
        let done = Atomic(0)
        return try checkpoint.fingerprint(
          progress: { display.update(item, done: done.add($0, ordering: .relaxed).newValue) }, isCancelled: { isStopped.isRaised })
      }
    }
  }

  private struct Comparison {
    let path: ModelArgument
    /// Names of the tensors that are not as in the first.
    let differences: [String]
  }

  private func describe(_ fingerprints: [CheckpointFingerprint], _ comparisons: [Comparison]) {
    for (path, fingerprint) in zip(paths, fingerprints) {
      if tensors {
        for (name, digest) in fingerprint.tensors.sorted(by: { $0.key < $1.key }) { Console.outputLine("\(digest)  \(name)") }
      }
      let name = paths.count > 1 ? "  \(path)" : tensors ? "  (checkpoint)" : ""
      Console.outputLine("\(fingerprint.whole.hex)\(name)")
    }
    for (comparison, fingerprint) in zip(comparisons, fingerprints.dropFirst()) {
      let differences = comparison.differences
      guard !differences.isEmpty else {
        if !global.quiet { Console.outputLine("\(comparison.path): the same weights as \(paths[0])") }
        continue
      }
      let all = Set(fingerprint.tensors.keys).union(fingerprints[0].tensors.keys).count
      Console.outputLine("\(comparison.path): not the same weights as \(paths[0]): \(differences.count) of \(all) tensors differ")
      let shown = global.verbose ? differences.count : min(differences.count, 10)
      for name in differences.prefix(shown) {
        let isHere = fingerprint.tensors[name] != nil
        let note = isHere == (fingerprints[0].tensors[name] != nil) ? "" : "  (only in \(isHere ? comparison.path : paths[0]))"
        Console.outputLine("  \(name)\(note)")
      }
      if shown < differences.count { Console.outputLine("  and \(differences.count - shown) more (--verbose names them)") }
    }
  }

  private func outputDocument(_ fingerprints: [CheckpointFingerprint], _ comparisons: [Comparison]) throws {
    let first = Report(fingerprints[0])
    if comparisons.isEmpty { return try outputJSON(first) }
    try outputJSON(
      ComparisonReport(
        checkpoint: first.checkpoint, tensors: first.tensors,
        others: zip(comparisons, fingerprints.dropFirst()).map { comparison, fingerprint in
          .init(
            path: comparison.path.description, pathBytes: comparison.path.path.bytesUnlessText, same: comparison.differences.isEmpty, differences: comparison.differences, checkpoint: fingerprint.whole.hex,
            tensors: fingerprint.tensors.mapValues(\.hex))
        }))
  }

  /// The JSON document of one path; its keys are a promise.
  private struct Report: Encodable {
    let checkpoint: String
    let tensors: [String: String]

    init(_ fingerprint: CheckpointFingerprint) {
      checkpoint = fingerprint.whole.hex
      tensors = fingerprint.tensors.mapValues(\.hex)
    }
  }

  /// That of several: the first's, and how the others compare.
  private struct ComparisonReport: Encodable {
    struct Other: Encodable {
      let path: String
      /// Only of a path that isn't UTF-8.
      let pathBytes: String?
      let same: Bool
      let differences: [String]
      let checkpoint: String
      let tensors: [String: String]
    }

    let checkpoint: String
    let tensors: [String: String]
    let others: [Other]
  }
}
