import Checkpoint
import Foundation
import Integrity
import SystemPackage
import Tokenization

/// A parser of untrusted bytes, with the name its corpus has.
///
/// A parser may throw. It may not crash, hang, or hand out a tensor that lies outside its file.
private enum Target: String {
  case pth, safetensors, gguf, hf, params, tokenizer, tokenizerJSON, checklist

  /// The files around the fuzzed one that make a whole checkpoint.
  private static let tinyParams =
    #"{"dim": 8, "n_layers": 1, "n_heads": 2, "n_kv_heads": 1, "multiple_of": 8, "norm_eps": 1e-5, "vocab_size": 16}"#

  func run(_ bytes: UnsafeRawBufferPointer, in folder: String) throws {
    func write(_ name: String) throws -> FilePath {
      let path = folder + "/" + name
      try Data(bytes).write(to: URL(filePath: path))
      return FilePath(path)
    }
    switch self {
    case .pth:
      _ = try write("consolidated.00.pth")
      try Data(Self.tinyParams.utf8).write(to: URL(filePath: folder + "/params.json"))
      try check(Checkpoint.open(at: FilePath(folder)))
    case .safetensors:
      _ = try write("consolidated.00.safetensors")
      try Data(Self.tinyParams.utf8).write(to: URL(filePath: folder + "/params.json"))
      try check(Checkpoint.open(at: FilePath(folder)))
    case .params:
      // Weights that agree with no description but the demo model's: what is stated must still be read, and refused.
      try Data(contentsOf: URL(filePath: "Sources/CDemoModel/model/consolidated.00.pth")).write(to: URL(filePath: folder + "/consolidated.00.pth"))
      _ = try write("params.json")
      try check(Checkpoint.open(at: FilePath(folder)))
    case .hf:
      _ = try write("config.json")
      try check(Checkpoint.open(at: FilePath(folder)))
    case .gguf: try check(Checkpoint.open(at: write("model.gguf")))
    case .tokenizer: roundTrip(try Vocabulary.load(write("tokenizer.model")))
    case .tokenizerJSON: roundTrip(try Vocabulary.load(write("tokenizer.json")))
    case .checklist: _ = try Checklist(parsing: Array(bytes), path: "checklist.chk")
    }
  }

  /// Every element of every part must lie in its file.
  private func check(_ checkpoint: Checkpoint) {
    for tensor in checkpoint.tensors {
      for part in tensor.parts where !part.rows.isEmpty && !part.columns.isEmpty {
        let blocks = part.columns.count / tensor.dtype.blockElements
        let (down, a) = part.rowStride.multipliedReportingOverflow(by: part.rows.count - 1)
        let (across, b) = part.columnStride.multipliedReportingOverflow(by: blocks - 1)
        let last = part.offset + max(0, down) + max(0, across) + tensor.dtype.blockBytes
        precondition(!a && !b && part.offset >= 0 && last <= checkpoint.files[part.file].count, "\(tensor.name) lies outside its file")
      }
    }
  }

  /// What a tokenizer makes of a text it must be able to take apart and put together again.
  private func roundTrip(_ vocabulary: Vocabulary) {
    let tokenizer = vocabulary.makeTokenizer()
    for text in ["", " Hello  world 123 \u{1F600}\n", "<s>[INST]</s>\0\u{FFFD}"] {
      for id in tokenizer.encode(text, bos: true, eos: true, parsingSpecials: true) { precondition(id >= 0 && id < vocabulary.count) }
      _ = tokenizer.decode(tokenizer.encode(text))
    }
  }
}

private let target = ProcessInfo.processInfo.environment["DROVER_FUZZ"].flatMap(Target.init)
private let folder: String = {
  let folder = "/dev/shm/drover-fuzz-\(getpid())"
  try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  return folder
}()

/// One input; libFuzzer's archive refers to it by this name.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  try? target?.run(UnsafeRawBufferPointer(start: data, count: count), in: folder)
  return 0
}

/// libFuzzer's loop, which the package manager's own `main` must start: https://llvm.org/docs/LibFuzzer.html
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ count: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

@main
private enum Fuzz {
  static func main() {
    guard target != nil else { fatalError("DROVER_FUZZ names no parser") }
    var count = CommandLine.argc
    var arguments = CommandLine.unsafeArgv
    exit(runDriver(&count, &arguments) { fuzzOneInput($0, $1) })
  }
}
