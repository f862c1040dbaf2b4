import Checkpoint
import Foundation
import SystemPackage
import TestSupport
import Testing

/// A GGUF in several files is one model, whichever of them is named; parts that don't make one are told by name.
@Suite struct SplitGGUFTests {
  private static func name(_ part: Int, _ count: Int = 3) -> String { "model-0000\(part)-of-0000\(count).gguf" }

  /// As the `gguf` library splits one, without tensors in the first part too, against the same model in one file.
  @Test(.needs(.python), arguments: [false, true]) func partsAreTheWhole(firstIsSmall: Bool) throws {
    try withTemporaryFolder { folder in
      try python(
        """
        import os, sys, numpy as np
        from gguf import GGUFWriter
        root, small = sys.argv[1], sys.argv[2] == "true"
        rng = np.random.default_rng(1)
        dim, hidden, vocab, layers = 32, 48, 64, 2
        shapes = {"token_embd": (vocab, dim), "output_norm": (dim,), "output": (vocab, dim)}
        for l in range(layers):
            shapes |= {f"blk.{l}.{n}": s for n, s in {"attn_norm": (dim,), "attn_q": (dim, dim), "attn_k": (dim // 2, dim), "attn_v": (dim // 2, dim), "attn_output": (dim, dim),
                       "ffn_norm": (dim,), "ffn_gate": (hidden, dim), "ffn_up": (hidden, dim), "ffn_down": (dim, hidden)}.items()}
        values = {n: rng.standard_normal(s).astype(np.float32) for n, s in shapes.items()}
        for place, options in [("whole", {}), ("parts", dict(split_max_tensors=6, small_first_shard=small))]:
            os.makedirs(f"{root}/{place}")
            w = GGUFWriter(f"{root}/{place}/model.gguf", "llama", **options)
            w.add_embedding_length(dim); w.add_block_count(layers); w.add_feed_forward_length(hidden); w.add_head_count(4); w.add_head_count_kv(2)
            w.add_layer_norm_rms_eps(1e-5); w.add_vocab_size(vocab); w.add_context_length(64)
            for n, v in values.items(): w.add_tensor(n + ".weight", v)
            w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
        assert len(os.listdir(root + "/parts")) == (5 if small else 4), os.listdir(root + "/parts")
        """, folder, "\(firstIsSmall)")
      let whole = try Checkpoint.open(at: FilePath(folder + "/whole"))
      let fingerprint = try whole.fingerprint()
      let parts = try FileManager.default.contentsOfDirectory(atPath: folder + "/parts")
      for path in [""] + parts {
        let checkpoint = try Checkpoint.open(at: FilePath("\(folder)/parts/\(path)"))
        #expect(checkpoint.params == whole.params && checkpoint.files.count == parts.count)
        #expect(try checkpoint.fingerprint() == fingerprint, "\(path)")
        #expect(try CheckpointOutline.read(at: FilePath("\(folder)/parts/\(path)")).tensors.map(\.name) == whole.tensors.map(\.name))
      }
    }
  }

  /// Parts on a server lie beside the one that a link opens.
  @Test func partsElsewhere() throws {
    struct Elsewhere: RangeSource {
      let content: [UInt8]
      var count: Int { content.count }
      func bytes(in range: Range<Int>) -> [UInt8] { Array(content[range]) }
    }
    let parts = Dictionary(uniqueKeysWithValues: FakeGGUF.parts(3).enumerated().map { (Self.name($0 + 1), Elsewhere(content: $1.bytes)) })
    for (name, part) in parts {
      let outline = try CheckpointOutline.read(file: part, name: FilePath(name)) { parts[$0] }
      #expect(outline.tensors.count == FakeGGUF.model.count)
      let error = #expect(throws: CheckpointError.self) { try CheckpointOutline.read(file: part, name: FilePath(name)) { _ in nil } }
      #expect(error?.description.contains("a part is missing") == true)
    }
  }

  /// Files of a folder, and what is wrong with them.
  struct Case: Sendable, CustomTestStringConvertible {
    let testDescription: String
    var files: [String: [UInt8]] = [:]
    /// Must be in the message when the folder is opened.
    let words: [String]

    init(_ name: String, _ words: String..., damage: (inout [String: FakeGGUF]) -> Void) {
      var parts = Dictionary(uniqueKeysWithValues: FakeGGUF.parts(3).enumerated().map { (SplitGGUFTests.name($0 + 1), $1) })
      damage(&parts)
      (testDescription, files, self.words) = (name, parts.mapValues(\.bytes), words)
    }

    init(_ name: String, _ words: String..., part: Int, bytes: ([UInt8]) -> [UInt8]) {
      self.init(name) { _ in }
      let name = SplitGGUFTests.name(part)
      files[name] = files[name].map(bytes)
      self = Case(testDescription: testDescription, files: files, words: words)
    }

    private init(testDescription: String, files: [String: [UInt8]], words: [String]) {
      (self.testDescription, self.files, self.words) = (testDescription, files, words)
    }
  }

  private static func u16(_ value: Int) -> Bytes { .u32(2) + .u16(value) }

  static let cases = [
    Case("the first is missing", name(1), "isn't there, but \(name(2)) is, which is part 2 of 3", "a part is missing") { $0[name(1)] = nil },
    Case("the second is missing", name(2), "isn't there, but \(name(1)) is", "a part is missing") { $0[name(2)] = nil },
    Case("only the last is there", name(1), "isn't there, but \(name(3)) is") { ($0[name(1)], $0[name(2)]) = (nil, nil) },
    Case("two under each other's names", name(2), "says split.no is 2 and split.count 3", "make it 1 and 3") { ($0[name(2)], $0[name(3)]) = ($0[name(3)], $0[name(2)]) },
    Case("the first twice", name(3), "says split.no is 0") { $0[name(3)] = $0[name(1)] },
    Case("a part of another split", name(2), "split.count 4") { $0[name(2)]?.set("split.count", to: u16(4)) },
    Case("the first is of another split", name(1), "is part 1 of 2", "should be called so") { $0[name(1)]?.set("split.count", to: u16(2)) },
    Case("a part says that it is whole", name(2), "split.count 1") { $0[name(2)]?.set("split.count", to: u16(1)) },
    Case("a number beyond the count", name(1), "one of 3 parts", "split.no is 3") { $0[name(1)]?.set("split.no", to: u16(3)) },
    Case("a number below 0", name(1), "one of 3 parts", "split.no is -1") { $0[name(1)]?.set("split.no", to: Bytes.u32(5) + .u32(-1)) },
    Case("no number", name(1), "not which: split.no is missing") { $0[name(1)]?.keys.removeAll { $0.0 == "split.no" } },
    Case("no number in another", name(3), "says split.no is nothing") { $0[name(3)]?.keys.removeAll { $0.0 == "split.no" } },
    Case("a negative count", name(1), "split.count -1") { $0[name(1)]?.set("split.count", to: Bytes.u32(5) + .u32(-1)) },
    Case("a count of another type", name(1), "says split.count is") { $0[name(1)]?.set("split.count", to: FakeGGUF.text("3")) },
    Case("another model's number of tensors", name(2), "split.tensors.count is 13", name(1), "different models") {
      $0[name(2)]?.set("split.tensors.count", to: Bytes.u32(5) + .u32(13))
    },
    Case("a tensor is missing", name(1), "12 tensors", "have 11") { $0[name(2)]?.tensors.removeLast() },
    Case("a tensor is in two", name(3), "has the tensor output_norm.weight as ", name(2)) {
      $0[name(3)]?.tensors[0].name = "output_norm.weight"
      $0[name(3)]?.tensors[0].shape = [8]
    },
    Case("another model's name", name(2), "general.name is", "different models") { $0[name(2)]?.keys.append(("general.name", FakeGGUF.text("other"))) },
    Case("other tokens", name(2), "tokenizer.ggml.tokens", "different models") { parts in
      for (part, token) in [(1, "a"), (2, "b")] {
        parts[name(part)]?.keys.append(("tokenizer.ggml.tokens", Bytes.u32(9) + .u32(8) + .u64(1) + FakeGGUF.string(token)))
      }
    },
    Case("a part that no name tells", "whole.gguf", "is part 2 of 3", "should be called so") { parts in parts = ["whole.gguf": parts[name(2)] ?? FakeGGUF()] },
    Case("a part is a web page", name(2), "web page", part: 2) { _ in Array("<!DOCTYPE html><html>".utf8) },
    Case("a part is cut off", name(3), "cut off", part: 3) { $0.dropLast(100) },
  ]

  @Test(arguments: cases) func partsThatMakeNoModel(_ test: Case) throws {
    try withTemporaryFolder { folder in
      for (name, bytes) in test.files { try Data(bytes).write(to: URL(filePath: "\(folder)/\(name)")) }
      for path in [""] + test.files.keys {
        let error = #expect(throws: CheckpointError.self, "\(path)") { try Checkpoint.open(at: FilePath("\(folder)/\(path)")) }
        #expect(error?.reason == .corrupt || error?.reason == .unsupported && test.words.contains("says split.count is"), "\(path): \(String(describing: error))")
        if path.isEmpty { for word in test.words { #expect(error?.description.contains(word) == true, "\(String(describing: error))") } }
      }
    }
  }

  @Test func goodPartsOpen() throws {
    try withTemporaryFolder { folder in
      for (index, part) in FakeGGUF.parts(3).enumerated() { try Data(part.bytes).write(to: URL(filePath: "\(folder)/\(Self.name(index + 1))")) }
      #expect(try Checkpoint.open(at: FilePath(folder)).tensors.count == FakeGGUF.model.count)
      try Data(FakeGGUF().bytes).write(to: URL(filePath: folder + "/another.gguf"))
      let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(at: FilePath(folder)) }
      #expect(error?.reason == .refused && error?.description.contains("name the one that is meant") == true)
      try FileManager.default.moveItem(atPath: folder + "/another.gguf", toPath: "\(folder)/\(Self.name(1, 2))")
      let two = #expect(throws: CheckpointError.self) { try Checkpoint.open(at: FilePath(folder)) }
      #expect(two?.reason == .corrupt && two?.description.contains("in different numbers, \(Self.name(1, 2)) and \(Self.name(3))") == true)
      #expect(try Checkpoint.open(at: FilePath("\(folder)/\(Self.name(2))")).files.count == 3)
    }
  }
}
