import Checkpoint
import Foundation
import Integrity
import SystemPackage
import Templates
import Tokenization

/// A parser of untrusted bytes, with the name its corpus has.
///
/// A parser may throw. It may not crash, hang, or hand out a tensor that lies outside its file; and what opens must be safe to plan and to hash.
private enum Target: String {
  case pth, legacy, safetensors, gguf, hf, params, tokenizer, tokenizerJSON, checklist, receipt, remote, template, ollama, hubTree
  /// Whole folders: what one shard says is held against what the others do.
  case pthShards, safetensorsShards, hfShards, ggufParts, tokenizerFolder, scaled, dcp, litgpt

  /// The files that an input is. Of several, each is in it as its number here, its length in three bytes (little-endian), and its bytes.
  ///
  /// What must lie beside them comes from the seeds' `around` folder.
  var files: [String] {
    switch self {
    case .pth, .legacy: ["consolidated.00.pth"]
    case .safetensors: ["consolidated.00.safetensors"]
    case .gguf: ["model.gguf"]
    case .hf: ["config.json"]
    case .params: ["params.json"]
    case .tokenizer: ["tokenizer.model"]
    case .tokenizerJSON: ["tokenizer.json"]
    case .checklist: ["checklist.chk"]
    case .receipt: [Receipt.fileName]
    case .remote, .template, .ollama, .hubTree: []
    case .pthShards: ["params.json"] + (0..<4).map { "consolidated.0\($0).pth" }
    case .dcp: ["params.json", ".metadata", "__0_0.distcp"]
    case .scaled: ["params.json", "consolidated.00.pth", "fp8_scales_0.pt"]
    case .litgpt: ["model_config.yaml"]
    case .safetensorsShards: ["params.json"] + (0..<4).map { "consolidated.0\($0).safetensors" }
    case .ggufParts: (1..<4).map { "model-0000\($0)-of-00003.gguf" }
    case .hfShards: ["config.json", "model.safetensors.index.json"] + (1..<4).map { "model-0000\($0)-of-00003.safetensors" }
    case .tokenizerFolder: ["tokenizer.json", "tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"]
    }
  }

  func run(_ bytes: UnsafeRawBufferPointer, in folder: String) throws {
    if self == .remote {
      _ = try CheckpointOutline.read(file: Elsewhere(content: Array(bytes)), name: "input") { _ in Elsewhere(content: Array(#"{"n_heads": 4}"#.utf8)) }
      return
    }
    if self == .template { return try render(String(decoding: bytes, as: UTF8.self)) }
    if self == .ollama { return _ = try OllamaStore.Manifest(parsing: Array(bytes), path: "manifest") }
    if self == .hubTree { return _ = CachedRepository.parse(tree: Array(bytes)) }
    try write(bytes, to: folder)
    let path = FilePath(folder + "/" + files[0])
    switch self {
    case .pth, .legacy, .safetensors, .params, .hf, .pthShards, .safetensorsShards, .hfShards, .ggufParts, .scaled, .dcp, .litgpt: try check(Checkpoint.open(at: FilePath(folder)))
    case .gguf:
      let checkpoint = try Checkpoint.open(at: path)
      try check(checkpoint)
      if let vocabulary = try checkpoint.vocabulary() { roundTrip(vocabulary) }
    case .tokenizer, .tokenizerJSON, .tokenizerFolder: roundTrip(try Vocabulary.load(path))
    case .checklist: _ = try Checklist(parsing: Array(bytes), path: path)
    case .receipt: _ = try Receipt(parsing: Array(bytes), path: path)
    case .remote, .template, .ollama, .hubTree: break
    }
  }

  private func write(_ bytes: UnsafeRawBufferPointer, to folder: String) throws {
    func file(_ number: Int) -> URL { URL(filePath: folder + "/" + files[number]) }
    guard files.count > 1 else { return try Data(bytes).write(to: file(0)) }
    for number in files.indices { try? FileManager.default.removeItem(at: file(number)) }
    var at = 0
    while bytes.count - at > 4 {
      let number = Int(bytes[at]) % files.count
      let length = Int(bytes[at + 1]) | Int(bytes[at + 2]) << 8 | Int(bytes[at + 3]) << 16
      at += 4
      let end = min(bytes.count, at + length)
      try Data(bytes[at..<end]).write(to: file(number))
      at = end
    }
  }

  /// Every element of every part must lie in its file, and no more may be claimed than is there.
  private func check(_ checkpoint: Checkpoint) throws {
    let size = checkpoint.files.reduce(0) { $0 + $1.count }
    precondition(checkpoint.fingerprintBytes <= 2 * size, "\(checkpoint.fingerprintBytes) bytes of tensors are claimed out of \(size)")

    for tensor in checkpoint.tensors {
      for part in tensor.parts where !part.rows.isEmpty && !part.columns.isEmpty {
        let blocks = part.columns.count / tensor.dtype.blockElements
        let (down, a) = part.rowStride.multipliedReportingOverflow(by: part.rows.count - 1)
        let (across, b) = part.columnStride.multipliedReportingOverflow(by: blocks - 1)
        let last = part.offset + max(0, down) + max(0, across) + (part.coding == nil ? tensor.dtype.blockBytes : 1)
        precondition(!a && !b && part.offset >= 0 && last <= checkpoint.files[part.file].count, "\(tensor.name) lies outside its file")
      }
    }
    for ranks in [1, 2] { _ = try? ReshardPlan(checkpoint, .init(modelParallel: ranks, dtype: .f32)) }
    _ = try checkpoint.fingerprint()
  }

  /// A template, on dialogs that real ones meet.
  private func render(_ source: String) throws {
    let template = try Template(source)
    func message(_ role: String, _ content: TemplateInput) -> TemplateInput { .object([(Text("role"), .text(Text(role))), (Text("content"), content)]) }
    let dialogs: [[TemplateInput]] = [
      [], [message("user", .text(Text(" a\u{1F600} ")))], [message("system", .text(Text(""))), message("user", .text(Text("b"))), message("assistant", .text(Text("c\n"))), message("user", .null)],
    ]
    for dialog in dialogs {
      let inputs: [String: TemplateInput] = [
        "messages": .list(dialog), "bos_token": .text(Text("<s>")), "eos_token": .text(Text("</s>")), "add_generation_prompt": .boolean(true),
      ]
      _ = try? template.render(inputs, now: Moment(seconds: 0, isUTC: true), limits: Limits(steps: 100_000, output: 100_000))
    }
  }

  /// What a tokenizer makes of a text it must be able to take apart and put together again.
  private func roundTrip(_ vocabulary: Vocabulary) {
    let tokenizer = vocabulary.makeTokenizer()
    for text in ["", " Hello  world 123 \u{1F600}\n", "<s>[INST]</s>\0\u{FFFD}"] {
      for id in (try? tokenizer.encode(text, bos: true, eos: true, parsingSpecials: true)) ?? [] { precondition(id >= 0 && id < vocabulary.count) }
      _ = (try? tokenizer.encode(text)).map { tokenizer.decode($0) }
    }
  }
}

/// The input as a file on a server; of a GGUF with as much data behind it as never comes unasked.
private struct Elsewhere: RangeSource {
  let content: [UInt8]

  var count: Int { content.count + (content.starts(with: "GGUF".utf8) ? 1 << 20 : 0) }

  func bytes(in range: Range<Int>) -> [UInt8] { range.map { $0 < content.count ? content[$0] : 0 } }
}

private let target = ProcessInfo.processInfo.environment["DROVER_FUZZ"].flatMap(Target.init)
private let folder: String = {
  let folder = "/dev/shm/drover-fuzz-\(getpid())"
  let around = ".build-fuzz/seeds/around/\(target?.rawValue ?? "")"
  if FileManager.default.fileExists(atPath: around) {
    try? FileManager.default.copyItem(atPath: around, toPath: folder)
  } else {
    try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  }
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
