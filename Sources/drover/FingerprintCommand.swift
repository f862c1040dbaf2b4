import ArgumentParser
import Checkpoint
import Integrity
import Synchronization
import SystemPackage
import Terminal

struct FingerprintCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fingerprint",
    abstract: "Compute what is the same for the same weights, in any layout or format.",
    discussion: """
      A tensor's fingerprint is the SHA-256 of its dtype, its shape and its whole row-major bytes in Meta's order; the checkpoint's is that of all
      tensors' by name. Two checkpoints with the same fingerprint hold the same weights, however they are cut, named or wrapped.

      EXAMPLES
        drover fingerprint llama-2-7b
        drover fingerprint Llama-2-7b-hf --tensors
        diff <(drover fingerprint a --tensors) <(drover fingerprint b --tensors)
      """)

  @Argument(help: "A folder with .pth, safetensors or Hugging Face files, or a GGUF file.", completion: .file())
  var path: String

  @Flag(help: "Print the fingerprint of every tensor too.")
  var tensors = false

  @Flag(help: "Print one JSON document.")
  var json = false

  @OptionGroup var global: GlobalOptions

  func run() throws {
    let checkpoint = try Checkpoint.open(at: FilePath(path))
    let fingerprint = try measure(checkpoint)
    if json {
      try outputJSON(Report(checkpoint: fingerprint.whole.hex, tensors: fingerprint.tensors.mapValues(\.hex)))
      return
    }
    if tensors {
      for (name, digest) in fingerprint.tensors.sorted(by: { $0.key < $1.key }) { Console.outputLine("\(digest)  \(name)") }
    }
    Console.outputLine(tensors ? "\(fingerprint.whole)  (checkpoint)" : fingerprint.whole.hex)
  }

  private func measure(_ checkpoint: Checkpoint) throws -> CheckpointFingerprint {
    let display = ProgressDisplay("fingerprint", mode: global.progressMode)
    defer { display.close() }
    let item = display.add(path, total: checkpoint.fingerprintBytes)
    let done = Mutex(0)
    return try checkpoint.fingerprint { bytes in
      done.withLock { done in
        done += bytes
        display.update(item, done: done)
      }
    }
  }

  /// The JSON document; its keys are a promise.
  private struct Report: Encodable {
    let checkpoint: String
    let tensors: [String: String]
  }
}
