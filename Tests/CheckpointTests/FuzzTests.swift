import Checkpoint
import Foundation
import Integrity
import SystemPackage
import TestSupport
import Testing

/// Valid files, damaged at random: they open or are refused, and nothing traps. The seeds are fixed, so a failure can be repeated.
@Suite struct FuzzTests {
  /// Opens damaged copies, and where they open goes on to plan and write.
  private func fuzz(_ original: [UInt8], name: String, rounds: Int) throws {
    try withTemporaryFolder { folder in
      try Self.params.write(toFile: folder + "/params.json", atomically: false, encoding: .utf8)
      let path = FilePath("\(folder)/\(name)")
      var random = Splitmix(seed: 20_260_101)
      var refused = 0
      for _ in 0..<rounds {
        try Data(mutated(original, &random)).write(to: URL(filePath: path.string))
        do {
          let checkpoint = try Checkpoint.open(at: path)
          _ = try checkpoint.vocabulary()
          let plan = try ReshardPlan(checkpoint, .init(modelParallel: 2, dtype: .f32))
          if plan.byteCount < 1 << 20 { _ = try plan.write(to: FilePath(folder + "/out"), .init(replacing: true, digests: [], threads: 1)) }
        } catch {
          refused += 1
        }
      }
      #expect(refused > rounds / 10)
    }
  }

  static let params = #"{"dim": 8, "n_heads": 4, "n_layers": 1, "hidden_dim": 16, "norm_eps": 1e-5, "vocab_size": 32}"#

  /// A whole model of one layer.
  static let shapes: [(String, [Int])] = [
    ("tok_embeddings.weight", [32, 8]), ("norm.weight", [8]), ("output.weight", [32, 8]), ("layers.0.attention.wq.weight", [8, 8]),
    ("layers.0.attention.wk.weight", [8, 8]), ("layers.0.attention.wv.weight", [8, 8]), ("layers.0.attention.wo.weight", [8, 8]),
    ("layers.0.feed_forward.w1.weight", [16, 8]), ("layers.0.feed_forward.w2.weight", [8, 16]), ("layers.0.feed_forward.w3.weight", [16, 8]),
    ("layers.0.attention_norm.weight", [8]), ("layers.0.ffn_norm.weight", [8]),
  ]

  private static let zip: FakeZip = {
    let tensors = shapes.map { name, shape in
      (name, Pickle.tensor(shape, shape.count == 1 ? [1] : [shape[1], 1], elements: 256))
    }
    return FakeZip(pickle: Pickle.dictionary(tensors), storage: .zeros(1024))
  }()

  static let pth = zip.bytes

  static let legacy: [UInt8] = {
    let tensors = shapes.map { name, shape in (name, Pickle.tensor(shape, shape.count == 1 ? [1] : [shape[1], 1], elements: 256, view: .text("N"))) }
    var file = FakeLegacy(object: Pickle.dictionary(tensors))
    file.storages = [(256, .zeros(1024))]
    return file.bytes
  }()

  private static let safetensorsFile: [UInt8] = {
    var offset = 0
    let entries = shapes.map { name, shape in
      let bytes = shape.reduce(4, *)
      defer { offset += bytes }
      return #""\#(name)":{"dtype":"F32","shape":\#(shape),"data_offsets":[\#(offset),\#(offset + bytes)]}"#
    }
    return safetensors("{\(entries.joined(separator: ","))}", data: offset)
  }()

  @Test func pth() throws { try fuzz(Self.pth, name: "consolidated.00.pth", rounds: 4000) }
  @Test func legacyTorch() throws { try fuzz(Self.legacy, name: "consolidated.00.pth", rounds: 4000) }
  @Test func safetensorsHeader() throws { try fuzz(Self.safetensorsFile, name: "consolidated.00.safetensors", rounds: 2000) }
  @Test func gguf() throws { try fuzz(FakeGGUF().bytes, name: "model.gguf", rounds: 4000) }
  @Test func params() throws {
    try withTemporaryFolder { folder in
      try Data(Self.pth).write(to: URL(filePath: folder + "/consolidated.00.pth"))
      let original = Array(
        #"{"dim": 8, "n_heads": 4, "n_kv_heads": 4, "n_layers": 1, "hidden_dim": 16, "norm_eps": 1e-5, "vocab_size": 32, "rope_theta": 10000.0, "use_scaled_rope": true}"#
          .utf8)
      var random = Splitmix(seed: 7)
      for _ in 0..<2000 {
        try Data(mutated(original, &random)).write(to: URL(filePath: folder + "/params.json"))
        guard let checkpoint = try? Checkpoint.open(at: FilePath(folder)) else { continue }
        _ = try? ReshardPlan(checkpoint, .init(modelParallel: 2))
      }
    }
  }

  /// A file of which the readers get what they ask for and nothing else: a page that nobody required can't be read.
  private struct Elsewhere: RangeSource {
    let content: [UInt8]
    var count: Int { content.count }
    func bytes(in range: Range<Int>) -> [UInt8] { Array(content[range]) }
  }

  /// The same readers, on files that are only partly here. The seeds are so long that most of them never comes.
  @Test(arguments: ["pth", "legacy", "safetensors", "gguf"]) func headersThatAreElsewhere(_ kind: String) throws {
    let padding = 400_000
    let original: [UInt8]
    switch kind {
    case "pth":
      let tensors = Self.shapes.map { name, shape in (name, Pickle.tensor(shape, shape.count == 1 ? [1] : [shape[1], 1], elements: 256)) }
      var zip = FakeZip(pickle: Pickle.dictionary(tensors), storage: .zeros(1024))
      zip.entries.insert(.init(name: "a/data/1", content: .zeros(padding)), at: 0)
      original = zip.bytes
    case "gguf": original = FakeGGUF(dataBytes: padding).bytes
    case "legacy": original = Self.legacy
    default: original = Self.safetensorsFile
    }
    func outline(_ bytes: [UInt8]) throws -> CheckpointOutline {
      try CheckpointOutline.read(file: Elsewhere(content: bytes), name: FilePath("a." + kind)) { name in
        name == "params.json" ? Elsewhere(content: Array(#"{"dim": 8, "n_heads": 4, "n_layers": 1, "hidden_dim": 16, "vocab_size": 32}"#.utf8)) : nil
      }
    }
    let tensors = try outline(original).tensors
    // In that .pth the output is the embedding's own storage, so the embeddings are tied.
    let expected = Self.shapes.filter { kind != "pth" && kind != "legacy" || $0.0 != "output.weight" }
    #expect(Set(tensors.map(\.name.text)) == Set(expected.map(\.0)))
    for (name, shape) in expected { #expect(tensors.first { $0.name.text == name }?.shape == shape) }
    var random = Splitmix(seed: 11)
    var refused = 0
    // Damage where headers are: anywhere else nothing looks.
    let head = original.count > padding ? 2000 : original.count
    for round in 0..<1500 {
      let bytes =
        round % 2 == 0 && original.count > padding
        ? Array(original.dropLast(2000)) + mutated(Array(original.suffix(2000)), &random) : mutated(Array(original.prefix(head)), &random) + original.dropFirst(head)
      if (try? outline(bytes)) == nil { refused += 1 }
    }
    #expect(refused > 100)
  }

  /// Where an entry's content starts is computed from where the next entry does, so nothing may lie between that torch doesn't write.
  @Test func gapInAZipThatIsElsewhere() {
    var zip = FakeZip(pickle: Pickle.one(Pickle.tensor([16], [1])), storage: .zeros(70_000))
    zip.entries[1].size = 64
    let error = #expect(throws: CheckpointError.self) {
      try CheckpointOutline.read(file: Elsewhere(content: zip.bytes), name: "a.pth") { _ in nil }
    }
    #expect(error?.reason == .unsupported && error?.description.contains("a/data/0 isn't followed by the next") == true, "\(String(describing: error))")
  }

  /// Every truncation of every kind of file is refused.
  @Test func truncations() throws {
    for (name, bytes) in [("consolidated.00.pth", Self.pth), ("consolidated.00.pth", Self.legacy), ("consolidated.00.safetensors", Self.safetensorsFile), ("model.gguf", FakeGGUF(dataBytes: 4704).bytes)] {
      #expect(try HostileTests.opens(bytes, as: name) == nil, "\(name) is valid")
      for count in stride(from: 0, to: bytes.count, by: 7) {
        #expect(try HostileTests.opens(Array(bytes.prefix(count)), as: name) != nil, "\(name) cut to \(count) bytes")
      }
    }
  }
}
