import Checkpoint
import Foundation
import SystemPackage
import TestSupport
import Testing

/// Files that lie get an error that says where and why. Nothing runs, nothing traps.
@Suite struct HostileTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: [UInt8]
    let reason: CheckpointError.Reason
    /// Must be in the message.
    let words: String
    var testDescription: String { name }

    init(_ name: String, _ bytes: [UInt8], _ words: String) { self.init(name, bytes, .corrupt, words) }

    init(_ name: String, _ bytes: [UInt8], _ reason: CheckpointError.Reason, _ words: String) {
      self.name = name
      self.bytes = bytes
      self.reason = reason
      self.words = words
    }
  }

  static func opens(_ bytes: [UInt8], as name: String) throws -> CheckpointError? {
    try withTemporaryFolder { folder in
      let params = #"{"dim": 8, "n_heads": 4, "n_layers": 1, "hidden_dim": 16, "norm_eps": 1e-5, "vocab_size": 32}"#
      try params.write(toFile: folder + "/params.json", atomically: false, encoding: .utf8)
      try Data(bytes).write(to: URL(filePath: "\(folder)/\(name)"))
      do {
        _ = try Checkpoint.open(at: FilePath(name.hasSuffix(".gguf") ? "\(folder)/\(name)" : folder))
        return nil
      } catch let error as CheckpointError {
        return error
      }
    }
  }

  private static func expect(_ test: Case, as name: String, namesByte: Bool = true) throws {
    let error = try #require(try opens(test.bytes, as: name), "was opened")
    #expect(error.reason == test.reason, "\(error)")
    #expect(error.description.contains(test.words), "\(error)")
    guard namesByte else { return }
    #expect(error.description.contains(name), "names no file: \(error)")
    #expect(error.byte != nil, "names no byte: \(error)")
  }

  // MARK: zip

  static let good = FakeZip(pickle: Pickle.one(Pickle.tensor([16], [1])))

  static func zip(_ change: (inout FakeZip) -> Void) -> [UInt8] {
    var zip = good
    change(&zip)
    return zip.bytes
  }

  static let zips: [Case] = [
    Case("empty", [], "no zip directory"),
    Case("short", [1, 2, 3], "no zip directory"),
    Case("HTML", Array("<!DOCTYPE html><html>".utf8), "HTML"),
    Case("Git LFS pointer", Array("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n".utf8), "Git LFS pointer, not the file itself, which has 7 bytes"),
    Case("a pickle", [0x80, 0x02, 0x8A, 0x0A] + [UInt8](repeating: 0, count: 100), "no zip directory"),
    Case("cut off", Array(good.bytes.prefix(200)), "cut off"),
    Case("cut within the end", Array(good.bytes.dropLast(1)), "no zip directory"),
    Case("more behind it", good.bytes + [0], "no zip directory"),
    Case("count too large", zip { $0.count = 4000 }, "4000 entries"),
    Case("count too small", zip { $0.count = 2 }, "follow the last entry"),
    Case("directory beyond the file", zip { $0.directoryOffset = 1 << 30 }, "doesn't fit"),
    Case("directory larger than the file", zip { $0.directorySize = 0x7FFF_FFFF }, "doesn't fit"),
    Case("entry larger than the file", zip { $0.entries[1].size = 1 << 30 }, "only"),
    Case("entry that starts beyond the data", zip { $0.entries[1].offset = 1 << 30 }, "outside"),
    Case("entry that starts in the directory", zip { $0.entries[1].offset = $0.bytes.count - 40 }, "outside"),
    Case("entry at the wrong place", zip { $0.entries[1].offset = 3 }, "isn't the start"),
    Case("sizes that differ", zip { $0.entries[1].packedSize = 63 }, "two sizes"),
    Case("compressed", zip { $0.entries[1].method = 8 }, .unsupported, "compressed"),
    Case("encrypted", zip { $0.entries[1].flags = 1 }, .unsupported, "encrypted"),
    Case("two names", zip { $0.entries[1].localName = "a/data/1" }, "called a/data/1 here"),
    Case("one name twice", zip { $0.entries.append($0.entries[1]) }, "two entries"),
    Case("one entry in another", zip { $0.entries[0].size = $0.entries[0].content.data.count + 40 }, "overlap"),
    Case("zip64 size of 2^63", zip {
      $0.entries[1].size = 0xFFFF_FFFF
      $0.entries[1].extra = .u16(1) + .u16(16) + .u64(1 << 63) + .u64(1 << 63)
    }, "more than any file"),
    Case("zip64 size of 2^63-1", zip {
      $0.entries[1].size = 0xFFFF_FFFF
      $0.entries[1].extra = .u16(1) + .u16(16) + .u64(1 << 63 - 1) + .u64(1 << 63 - 1)
    }, "only"),
    Case("zip64 field missing", zip {
      $0.entries[1].size = 0xFFFF_FFFF
      $0.entries[1].extra = .u16(1) + .u16(4) + .u32(0)
    }, "zip64"),
    Case("extra field beyond its entry", zip { $0.entries[1].extra = .u16(1) + .u16(400) }, "extra field"),
    Case("no pickle", zip { $0.entries.removeFirst() }, "data.pkl"),
    Case("two pickles", zip { $0.entries.append(.init(name: "b/data.pkl", content: .text("."))) }, "data.pkl"),
    Case("big-endian", zip { $0.entries.append(.init(name: "a/byteorder", content: .text("big"))) }, .unsupported, "big-endian"),
  ]

  @Test(arguments: zips) func zip(_ test: Case) throws { try Self.expect(test, as: "consolidated.00.pth") }

  // MARK: config.json

  /// What is of another model, or no description of any, isn't opened. What changes the mathematics is in `ConfigurationTests`.
  @Test(arguments: [
    (#""model_type": "mixtral""#, .unsupported, "mixtral"), (#""architectures": ["LlamaForCausalLM"]"#, .unsupported, "none given"),
    (#""model_type": "llama", "rms_norm_eps": -1"#, .corrupt, "rms_norm_eps"), (#""model_type": "llama", "hidden_size": "8""#, .corrupt, "hidden_size"),
    (#""model_type": "llama", "rope_scaling": {"rope_type": "llama3", "low_freq_factor": 1, "high_freq_factor": 4}"#, .corrupt, "rope_scaling.factor"),
    (#""model_type": "llama", "rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4}"#, .corrupt, "high_freq_factor"),
  ] as [(String, CheckpointError.Reason, String)])
  func configurations(_ members: String, reason: CheckpointError.Reason, words: String) throws {
    try withTemporaryFolder { folder in
      try #"{\#(members), "num_attention_heads": 4, "eos_token_id": [1, 2], "bos_token_id": null}"#.write(
        toFile: folder + "/config.json", atomically: false, encoding: .utf8)
      try Data(safetensors("{}", data: 0)).write(to: URL(filePath: folder + "/model.safetensors"))
      let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(at: FilePath(folder)) }
      #expect(error?.reason == reason && error?.description.contains(words) == true, "\(String(describing: error))")
    }
  }

  // MARK: pickle

  static func pickle(_ name: String, _ pickle: Bytes, _ reason: CheckpointError.Reason, _ words: String) -> Case {
    Case(name, FakeZip(pickle: pickle).bytes, reason, words)
  }

  static func pickle(_ name: String, _ bytes: Bytes, _ words: String) -> Case { pickle(name, bytes, .corrupt, words) }

  static let pickles: [Case] = [
    pickle("os.system", Pickle.start + "cos\nsystem\n(" + Pickle.text("touch /tmp/owned") + "tR.", .unsafe, "os.system"),
    pickle("os.system by STACK_GLOBAL", Pickle.start + Pickle.text("os") + Pickle.text("system") + [0x93] + ")R.", .unsafe, "os.system"),
    pickle("builtins.eval", Pickle.start + "cbuiltins\neval\n(" + Pickle.text("1") + "tR.", .unsafe, "builtins.eval"),
    pickle("torch.load within", Pickle.start + "ctorch.storage\n_load_from_bytes\n)R.", .unsafe, "torch.storage._load_from_bytes"),
    pickle("NEWOBJ of a string", Pickle.start + Pickle.text("x") + ")" + [0x81] + ".", .unsafe, "calls"),
    pickle("NEWOBJ of a process", Pickle.start + "csubprocess\nPopen\n)" + [0x81] + ".", .unsafe, "subprocess.Popen"),
    pickle("NEWOBJ_EX", Pickle.start + "N)}" + [0x92] + ".", .unsafe, "0x92"),
    pickle("INST", Pickle.start + "(ios\nsystem\n.", .unsafe, "0x69"),
    pickle("OBJ", Pickle.start + "(o.", .unsafe, "0x6f"),
    pickle("persistent id as text", Pickle.start + "P0\n.", .unsupported, "protocol 0"),
    pickle("persistent id that is a number", Pickle.start + "K\u{1}Q.", "says of none which"),
    pickle("no opcode", Pickle.start + [0xFF] + ".", "0xff isn't an opcode"),
    pickle("extension", Pickle.start + [0x82, 1] + ".", .unsafe, "0x82"),
    pickle("call of a string", Pickle.start + Pickle.text("x") + ")R.", .unsafe, "calls"),
    pickle("call of a storage class", Pickle.one(.text("ctorch\nFloatStorage\n)R")), .unsupported, "is made by torch.FloatStorage"),
    pickle("OrderedDict of something", Pickle.start + "ccollections\nOrderedDict\n(K\u{1}tR.", "isn't a dictionary"),
    pickle("state of a tensor", Pickle.start + Pickle.tensor([16], [1]) + "}b.", .unsupported, "changes the state"),
    pickle("state of a string", Pickle.start + Pickle.text("x") + "}b.", .unsafe, "state"),
    pickle("memo that leaves out numbers", Pickle.start + "}r" + .u32(1 << 30) + ".", "stores memo 1073741824, where 0 is due"),
    pickle("protocol 6", [0x80, 6, UInt8(ascii: ".")], .unsupported, "protocol 6"),
    pickle("empty", [], "opcode"),
    pickle("without end", Pickle.start + "}", "opcode"),
    pickle("empty stack", Pickle.start + ".", "empty stack"),
    pickle("no mark", Pickle.start + "t.", "no mark"),
    pickle("below the mark", Pickle.start + "}(" + [0x85] + ".", "empty stack"),
    pickle("memo never stored", Pickle.start + "h\u{7}.", "memo 7"),
    pickle("string longer than the pickle", Pickle.start + "X" + .u32(0x7FFF_FFFF) + "a.", "cut off"),
    pickle("string of 2^64-1 bytes", Pickle.start + [0x8D] + .u64(.max) + "a.", "more than any file"),
    pickle("string that isn't UTF-8", Pickle.start + "}X" + .u32(2) + [0xFF, 0xFE] + Pickle.tensor([16], [1]) + "s.", "UTF-8"),
    pickle("name of 2,000 bytes", Pickle.dictionary([(String(repeating: "x", count: 2000), Pickle.tensor([16], [1]))]), "has 2000 bytes"),
    pickle("long integer", Pickle.start + [0x8A, 9] + .zeros(9) + ".", .unsupported, "9 bytes"),
    pickle("endless global", Pickle.start + "c" + Bytes([UInt8](repeating: 65, count: 9000)), "255"),
    pickle("odd dictionary", Pickle.start + "}(K\u{1}u.", "without a value"),
    pickle("items into a number", Pickle.start + "K\u{1}K\u{2}K\u{3}s.", "isn't a list"),
    pickle("list in itself", Pickle.start + "]q\u{0}h\u{0}a.", "isn't a dictionary"),
    pickle("nested a million times", Pickle.start + "N" + Bytes([UInt8](repeating: 0x85, count: 1_000_000)) + ".", "isn't a dictionary"),
    pickle("a million marks", Pickle.start + Bytes([UInt8](repeating: 0x28, count: 1_000_000)) + "t.", "isn't a dictionary"),
    pickle("a number", Pickle.start + "K\u{1}.", "isn't a dictionary"),
    pickle("key that isn't a string", Pickle.start + "}(K\u{1}" + Pickle.tensor([16], [1]) + "u.", "key"),
    pickle("value that isn't a tensor", Pickle.dictionary([("norm.weight", [0x88])]), "isn't a tensor"),
    pickle("call without arguments", Pickle.dictionary([("norm.weight", .text("ctorch._utils\n_rebuild_tensor_v2\n)R"))]), "isn't a tensor"),
    pickle("beyond the storage", Pickle.one(Pickle.tensor([17], [1])), "beyond its storage"),
    pickle("offset beyond the storage", Pickle.one(Pickle.tensor([1], [1], offset: 16)), "beyond its storage"),
    pickle("negative offset", Pickle.one(Pickle.tensor([1], [1], offset: -1)), "offset -1"),
    pickle("negative stride", Pickle.one(Pickle.tensor([16], [-1])), "strides [-1]"),
    pickle("negative dimension", Pickle.one(Pickle.tensor([-16], [1])), "shape [-16]"),
    pickle("scalar", Pickle.one(Pickle.tensor([], [])), .unsupported, "shape []"),
    pickle("dimension of zero", Pickle.one(Pickle.tensor([0], [1])), .unsupported, "shape [0]"),
    pickle("three dimensions", Pickle.one(Pickle.tensor([2, 2, 2], [4, 2, 1])), .unsupported, "shape [2, 2, 2]"),
    pickle("strides too many", Pickle.one(Pickle.tensor([16], [1, 1])), "strides [1, 1]"),
    pickle("overflow in the stride", Pickle.one(Pickle.tensor([16], [.max])), "beyond its storage"),
    pickle("overflow in the shape", Pickle.one(Pickle.tensor([.max, .max], [0, 0])), "larger than its storage"),
    pickle("strides of 0", Pickle.one(Pickle.tensor([1 << 24, 1 << 24], [0, 0])), "larger than its storage of 64 bytes"),
    pickle("one stride of 0", Pickle.one(Pickle.tensor([2, 16], [0, 1])), "larger than its storage of 64 bytes"),
    pickle("rows that overlap", Pickle.one(Pickle.tensor([9, 8], [1, 1])), "larger than its storage of 64 bytes"),
    Case(
      "five tensors in one storage",
      FakeZip(
        pickle: Pickle.dictionary((0..<5).map { ("layers.\($0).ffn_norm.weight", Pickle.tensor([1024], [1], elements: 1024)) }), storage: .zeros(4096)
      ).bytes, "several share their bytes"),
    pickle("negative bit", Pickle.one(Pickle.tensor([16], [1], metadata: .text("}") + Pickle.text("neg") + [0x88] + "s")), .unsupported, #"bit "neg" set"#),
    pickle("conjugate bit", Pickle.one(Pickle.tensor([16], [1], metadata: .text("}") + Pickle.text("conj") + [0x88] + "s")), .unsupported, #"bit "conj" set"#),
    pickle("no bit", Pickle.one(Pickle.tensor([16], [1], metadata: .text("}") + Pickle.text("neg") + [0x89] + "s")), "no whole layer"),
    pickle("bits that are a number", Pickle.one(Pickle.tensor([16], [1], metadata: .text("K\u{1}"))), "isn't a tensor that torch would write"),
    pickle("stride of a dimension of one", Pickle.one(Pickle.tensor([1, 16], [.max, 1])), "no whole layer"),
    pickle("storage larger than its entry", Pickle.one(Pickle.tensor([16], [1], elements: 17)), "should have 17 elements"),
    pickle("storage of 2^62 elements", Pickle.one(Pickle.tensor([16], [1], elements: 1 << 62)), "elements"),
    pickle("storage of less than none", Pickle.one(Pickle.tensor([16], [1], elements: -1)), "-1 elements"),
    pickle("storage that isn't there", Pickle.one(Pickle.tensor([16], [1], key: "../../etc/passwd")), "doesn't have"),
    pickle("int64", Pickle.one(Pickle.tensor([8], [1], storage: "LongStorage", elements: 8)), .unsupported, "LongStorage"),
    pickle("int8 without scales", Pickle.one(Pickle.tensor([64], [1], storage: "CharStorage", elements: 64)), .unsupported, "CharStorage"),
    pickle("int8 beyond the storage", Pickle.one(Pickle.tensor([65], [1], storage: "CharStorage", elements: 64)), "beyond its storage of 64"),
    pickle("int8 that share their bytes", Pickle.one(Pickle.tensor([64, 64], [0, 1], storage: "CharStorage", elements: 64)), "larger than its storage of 64 bytes"),
    pickle("name of another model", Pickle.dictionary([("vision.weight", Pickle.tensor([16], [1]))]), .unsupported, "vision.weight"),
    pickle("layer of 2^63-1", Pickle.dictionary([("layers.9223372036854775807.ffn_norm.weight", Pickle.tensor([16], [1]))]), "no whole layer"),
    pickle("layer with a sign", Pickle.dictionary([("layers.+1.ffn_norm.weight", Pickle.tensor([16], [1]))]), .unsupported, "layers.+1"),
  ]

  @Test(arguments: pickles) func pickle(_ test: Case) throws {
    let error = try #require(try Self.opens(test.bytes, as: "consolidated.00.pth"), "was opened")
    #expect(error.reason == test.reason, "\(error)")
    #expect(error.description.contains(test.words), "\(error)")
    #expect(!FileManager.default.fileExists(atPath: "/tmp/owned"))
  }

  // MARK: torch before 1.6

  static func legacy(_ change: (inout FakeLegacy) -> Void) -> [UInt8] {
    var file = FakeLegacy()
    change(&file)
    return file.bytes
  }

  /// A stretch of a storage.
  private static func view(_ first: Int, _ count: Int) -> Bytes { .text("(") + Pickle.text("v") + Pickle.integer(first) + Pickle.integer(count) + "t" }

  private static func tensor(_ shape: [Int] = [16], storage: String = "FloatStorage", elements: Int = 16, view: Bytes = .text("N")) -> Bytes {
    Pickle.one(Pickle.tensor(shape, [1], storage: storage, elements: elements, view: view))
  }

  static let legacies: [Case] = [
    Case("magic cut off", Array(FakeLegacy().bytes.prefix(13)), "opcode"),
    Case("another version", legacy { $0.version = Pickle.start + "M" + .u16(1002) + "." }, .unsupported, "version 1001"),
    Case("a version that is no number", legacy { $0.version = Pickle.start + "N." }, .unsupported, "version 1001"),
    Case("big-endian", legacy { $0.machine = Pickle.start + "}" + Pickle.text("little_endian") + [0x89] + "s." }, .unsupported, "big-endian"),
    Case("no order of bytes", legacy { $0.machine = Pickle.start + "}." }, "order of bytes"),
    Case("a machine of a million keys", legacy { $0.machine = Pickle.start + Bytes([UInt8](repeating: 0x7D, count: 10000)) + "." }, "opcode"),
    Case("os.system", legacy { $0.object = Pickle.start + "cos\nsystem\n(" + Pickle.text("touch /tmp/owned") + "tR." }, .unsafe, "os.system"),
    Case("os.system in the keys", legacy { $0.keys = Pickle.start + "cos\nsystem\n)R." }, .unsafe, "os.system"),
    Case("os.system before the object", legacy { $0.machine = Pickle.start + "cos\nsystem\n)R." }, .unsafe, "os.system"),
    Case("no dictionary", legacy { $0.object = Pickle.start + "]." }, "which nothing in it refers to"),
    Case("keys that are no list", legacy { $0.keys = Pickle.start + "}." }, "no list of storages"),
    Case("a key that is a number", legacy { $0.keys = Pickle.start + "]K\u{1}a." }, "isn't a short string"),
    Case("a key of 2,000 bytes", legacy { $0.keys = Pickle.start + "]" + Pickle.text(String(repeating: "x", count: 2000)) + "a." }, "isn't a short string"),
    Case("a storage that nobody has", legacy { $0.keys = Pickle.start + "](" + Pickle.text("0") + Pickle.text("1") + "e." }, "storage 1, which nothing"),
    Case("a storage twice", legacy {
      $0.keys = Pickle.start + "](" + Pickle.text("0") + Pickle.text("0") + "e."
      $0.storages += $0.storages
    }, "storage 0 twice"),
    Case("no storage", legacy { ($0.keys, $0.storages) = (Pickle.start + "].", []) }, "which the file doesn't have"),
    Case("another count", legacy { $0.storages[0].count = 15 }, "has 15 elements, and the pickle says 16"),
    Case("a count of 2^63", legacy { $0.storages[0].count = 1 << 63 }, "more than any file"),
    Case("cut off", legacy { $0.storages[0].content = .zeros(63) }, "cut off"),
    Case("cut within a count", Array(FakeLegacy().bytes.dropLast(68)), "cut off"),
    Case("more behind it", legacy { $0.tail = .zeros(1) }, "1 bytes behind its last storage"),
    Case("elements of 2^62", legacy { $0.object = tensor(elements: 1 << 62) }, "cut off"),
    Case("elements of less than none", legacy { $0.object = tensor(elements: -1) }, "cut off"),
    Case("elements of another width", legacy { $0.object = tensor([8], storage: "DoubleStorage") }, "cut off"),
    Case("a zip's storage", legacy { $0.object = tensor(view: Bytes()) }, "no storage that torch would write"),
    Case("a stretch of it", legacy { $0.object = tensor([8], view: view(8, 8)) }, "no whole layer"),
    Case("a stretch beyond it", legacy { $0.object = tensor([8], view: view(8, 9)) }, "isn't within it"),
    Case("a stretch before it", legacy { $0.object = tensor([8], view: view(-1, 8)) }, "isn't within it"),
    Case("a stretch that overflows", legacy { $0.object = tensor([8], view: view(1 << 61, 1 << 61)) }, "isn't within it"),
    Case("a stretch that is a number", legacy { $0.object = tensor([8], view: .text("K\u{1}")) }, "isn't within it"),
    Case("more than a stretch", legacy { $0.object = tensor(view: view(8, 8)) }, "beyond its storage of 8"),
    Case("beyond the storage", legacy { $0.object = tensor([17]) }, "beyond its storage"),
  ]

  @Test(arguments: legacies) func legacy(_ test: Case) throws {
    try Self.expect(test, as: "consolidated.00.pth", namesByte: test.words != "no whole layer")
    #expect(!FileManager.default.fileExists(atPath: "/tmp/owned"))
  }

  // MARK: safetensors

  private static func entry(_ dtype: String = "F32", _ shape: String = "[4]", _ offsets: String = "[0,16]") -> String {
    #"{"norm.weight":{"dtype":"\#(dtype)","shape":\#(shape),"data_offsets":\#(offsets)}}"#
  }

  static let safetensorsFiles: [Case] = [
    Case("empty", [], "header's length"),
    Case("seven bytes", [1, 2, 3, 4, 5, 6, 7], "header's length"),
    Case("HTML", Array("<html><body>log in</body></html>".utf8), "HTML"),
    Case("Git LFS pointer", Array("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n".utf8), "Git LFS pointer"),
    Case("header of 2^63", safetensors(entry(), data: 16, length: 1 << 63), "more than any file"),
    Case("header of 2^40", safetensors(entry(), data: 16, length: 1 << 40), "too much"),
    Case("header longer than the file", safetensors(entry(), data: 16, length: 4096), "cut off"),
    Case("header of nothing", safetensors("", data: 0), "isn't JSON"),
    Case("a list", safetensors("[]", data: 0), "isn't JSON"),
    Case("not JSON", safetensors("{nope", data: 0), "JSON"),
    Case("deep JSON", safetensors(#"{"a":"# + String(repeating: "[", count: 200_000), data: 0), "JSON"),
    Case("offsets backwards", safetensors(entry("F32", "[4]", "[16,0]"), data: 16), "data offsets"),
    Case("negative offsets", safetensors(entry("F32", "[4]", "[-16,0]"), data: 16), "no data offset where one should be"),
    Case("one offset", safetensors(entry("F32", "[4]", "[0]"), data: 16), "data offsets"),
    Case("huge offset", safetensors(entry("F32", "[4]", "[0,99999999999999999999]"), data: 16), "JSON"),
    Case("beyond the data", safetensors(entry("F32", "[8]", "[0,32]"), data: 16), "cut off"),
    Case("hole at the start", safetensors(entry("F32", "[2]", "[8,16]"), data: 16), "no gap"),
    Case("bytes behind", safetensors(entry(), data: 17), "behind its last"),
    Case("shape that disagrees", safetensors(entry("F32", "[5]"), data: 16), "doesn't take"),
    Case("shape that overflows", safetensors(entry("F32", "[4611686018427387904,4]"), data: 16), "doesn't take"),
    Case("negative shape", safetensors(entry("F32", "[-4]"), data: 16), "no dimension where one should be"),
    Case("empty", safetensors(entry("F32", "[0]", "[0,0]"), data: 0), .unsupported, "shape [0]"),
    Case("no dimension", safetensors(entry("F32", "[]", "[0,4]"), data: 4), .unsupported, "shape []"),
    Case("int64", safetensors(entry("I64", "[2]"), data: 16), .unsupported, "I64"),
    Case("int8", safetensors(entry("I8", "[16]"), data: 16), .unsupported, "I8"),
    Case("overlap", safetensors(
      #"{"norm.weight":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"output.weight":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}}"#, data: 24),
      "no overlap"),
    Case("hole between", safetensors(
      #"{"norm.weight":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"output.weight":{"dtype":"F32","shape":[4],"data_offsets":[20,36]}}"#, data: 36),
      "no gap"),
    Case("missing key", safetensors(#"{"norm.weight":{"dtype":"F32","shape":[4]}}"#, data: 16), "data_offsets"),
  ]

  @Test(arguments: safetensorsFiles) func safetensorsFile(_ test: Case) throws {
    let error = try #require(try Self.opens(test.bytes, as: "consolidated.00.safetensors"), "was opened")
    #expect(error.reason == test.reason, "\(error)")
    #expect(error.description.contains(test.words), "\(error)")
    #expect(error.description.contains("consolidated.00.safetensors"), "\(error)")
  }

  /// Of several faults the same one is told each time.
  @Test func unknownTensorsHaveAnOrder() throws {
    let names = (0..<60).map { "x\($0 + 10).weight" }
    let entries = names.shuffled().enumerated().map { #""\#($1)":{"dtype":"F32","shape":[1],"data_offsets":[\#(4 * $0),\#(4 * $0 + 4)]}"# }
    let pickle = Pickle.dictionary(names.shuffled().map { ($0, Pickle.tensor([16], [1])) })
    for (bytes, file) in [
      (safetensors("{\(entries.joined(separator: ","))}", data: 240), "consolidated.00.safetensors"), (FakeZip(pickle: pickle).bytes, "consolidated.00.pth"),
    ] {
      let error = try #require(try Self.opens(bytes, as: file))
      #expect(error.reason == .unsupported && error.message.contains("the tensor x10.weight"), "\(error)")
    }
  }

  /// A name under which there is no regular file is bad data, and nobody waits for what may come through it.
  @Test(arguments: ["consolidated.00.pth", "consolidated.00.safetensors", "params.json", "model.gguf"], [true, false])
  func noRegularFile(_ name: String, isPipe: Bool) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/\(name)"
      for other in ["params.json", "consolidated.00.pth"] where name != other && (name != "consolidated.00.safetensors" || other == "params.json") {
        try (other == "params.json" ? Data(#"{"dim": 8, "n_heads": 4}"#.utf8) : Data(Self.good.bytes)).write(to: URL(filePath: "\(folder)/\(other)"))
      }
      if isPipe { #expect(mkfifo(path, 0o600) == 0) } else { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false) }
      let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(at: FilePath(name == "model.gguf" && isPipe ? path : folder)) }
      // A folder called model.gguf is looked into, and holds nothing; beside a .pth it isn't looked at.
      if name == "model.gguf", !isPipe { return }
      #expect(error?.reason == .unsupported && error?.description.contains(name) == true, "\(String(describing: error))")
    }
  }

  @Test func indexThatLeavesItsFolder() throws {
    try withTemporaryFolder { folder in
      try #"{"dim": 8, "n_heads": 4}"#.write(toFile: folder + "/params.json", atomically: false, encoding: .utf8)
      try #"{"weight_map": {"norm.weight": "../../secret.safetensors"}}"#.write(
        toFile: folder + "/model.safetensors.index.json", atomically: false, encoding: .utf8)
      let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(at: FilePath(folder)) }
      #expect(error?.description.contains("isn't in its folder") == true)
    }
  }

  // MARK: GGUF

  static func gguf(_ change: (inout FakeGGUF) -> Void) -> [UInt8] {
    var file = FakeGGUF()
    change(&file)
    return file.bytes
  }

  static let ggufs: [Case] = [
    Case("empty", [], "nor a GGUF"),
    Case("HTML", Array("<html><body>log in</body></html>".utf8), "web page"),
    Case("Git LFS pointer", Array("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n".utf8), "Git LFS pointer"),
    Case("other magic", gguf { $0.magic = "GGML" }, "nor a GGUF"),
    Case("version 1", gguf { $0.version = 1 }, .unsupported, "version 1"),
    Case("big-endian", gguf { $0.version = 0x0300_0000 }, .unsupported, "big-endian"),
    Case("tensors beyond count", gguf { $0.tensorCount = 1 << 40 }, "more than it has room for"),
    Case("tensor count of 2^63", gguf { $0.tensorCount = 1 << 63 }, "more than any file"),
    Case("keys beyond count", gguf { $0.keyCount = 1 << 40 }, "more than it has room for"),
    Case("key of 2^63 bytes", gguf { $0.keys[0].0 = ""; $0.keys.insert(("", .u64(1 << 63)), at: 0) }, "1024 are the most that make sense"),
    Case("key twice", gguf { $0.keys.append($0.keys[0]) }, "twice"),
    Case("string longer than the file", gguf { $0.keys.append(("x", .u32(8) + .u64(1 << 24))) }, "cut off"),
    Case("string of 2^40 bytes", gguf { $0.keys.append(("x", .u32(8) + .u64(1 << 40))) }, "most that make sense"),
    Case("as many keys as a long file has room for", gguf { $0.keyCount = 70_000; $0.dataBytes = 2 << 20 }, "no model has more"),
    Case("epsilon is NaN", gguf { $0.set("llama.attention.layer_norm_rms_epsilon", to: .u32(6) + .u32(0x7FC0_0000)) }, "epsilon is nan"),
    Case("epsilon is negative", gguf { $0.set("llama.attention.layer_norm_rms_epsilon", to: .u32(6) + .u32(0xBF80_0000)) }, "epsilon is -1"),
    Case("theta is infinite", gguf { $0.keys.append(("llama.rope.freq_base", .u32(6) + .u32(0x7F80_0000))) }, "theta is inf"),
    Case("theta is 0", gguf { $0.keys.append(("llama.rope.freq_base", .u32(6) + .u32(0))) }, "theta is 0"),
    Case("array longer than the file", gguf { $0.keys.append(("x", .u32(9) + .u32(4) + .u64(1 << 40))) }, "cut off"),
    Case("array that overflows", gguf { $0.keys.append(("x", .u32(9) + .u32(12) + .u64(1 << 62))) }, "more than any file"),
    Case("array of 2^40 strings", gguf { $0.keys.append(("x", .u32(9) + .u32(8) + .u64(1 << 40))) }, "room for"),
    Case("array of arrays", gguf { $0.keys.append(("x", .u32(9) + .u32(9) + .u64(1) + .u32(9) + .u64(1))) }, "isn't supported"),
    Case("type 99", gguf { $0.keys.append(("x", .u32(99))) }, "type 99"),
    Case("alignment 0", gguf { $0.keys.append(("general.alignment", FakeGGUF.u32(0))) }, "alignment 0"),
    Case("alignment 3", gguf { $0.keys.append(("general.alignment", FakeGGUF.u32(3))) }, "alignment 3"),
    Case("other architecture", gguf { $0.keys[0].1 = FakeGGUF.text("mamba") }, .unsupported, "mamba"),
    Case("no heads", gguf { $0.keys.remove(at: 1) }, "head_count"),
    Case("five dimensions", gguf { $0.tensors[0].shape = [1, 1, 1, 1, 1] }, "5 dimensions"),
    Case("no dimensions", gguf { $0.tensors[0].shape = [] }, "0 dimensions"),
    Case("dimension of 2^63", gguf { $0.tensors[0].shape = [1 << 63, 1] }, "more than any file"),
    Case("shape that overflows", gguf { $0.tensors[0].shape = [1 << 40, 1 << 40] }, "can't have"),
    Case("dimension of zero", gguf { $0.tensors[0].shape = [8, 0] }, "can't have"),
    Case("columns that don't fill blocks", gguf { $0.tensors[0].type = 8 }, "can't have"),
    Case("rows that don't fill blocks of 256", gguf { $0.tensors[0].type = 14 }, "[32, 8] at 0, which q6_k can't have"),
    Case("IQ2_XXS", gguf { $0.tensors[0].type = 16 }, .unsupported, "IQ2_XXS"),
    Case("type 1000", gguf { $0.tensors[0].type = 1000 }, .unsupported, "type 1000"),
    Case("beyond the file", gguf { $0.dataBytes = 100 }, "cut off"),
    Case("offset that overflows", gguf { $0.tensors[0].offset = 1 << 63 - 1 }, "can't have"),
    Case("overlap", gguf { $0.tensors[1].offset = 32 }, "overlap"),
    Case("tensor twice", gguf { $0.tensors.append((name: "output_norm.weight", shape: [8], type: 0, offset: 8000)) }, "twice"),
    Case("tensor of another model", gguf { $0.tensors[0].name = "v.patch.weight" }, .unsupported, "v.patch.weight"),
    Case("long name", gguf { $0.tensors[0].name = String(repeating: "x", count: 100) }, "64"),
    Case("layer missing", gguf { $0.tensors[4].name = "blk.1.attn_q.weight" }, "lacks"),
    Case("shape of another model", gguf { $0.tensors[5].shape = [4, 8] }, "shape"),
    Case("heads that don't divide", gguf { $0.keys[1].1 = FakeGGUF.u32(5) }, "5 heads"),
    Case("heads of 2^32-1", gguf { $0.keys[1].1 = FakeGGUF.u32(-1) }, "heads"),
    Case("no heads at all", gguf { $0.keys[1].1 = FakeGGUF.u32(0) }, "0 heads"),
    Case("layers that differ", gguf { $0.keys[2].1 = FakeGGUF.u32(2) }, "1 layers"),
  ]

  @Test func goodGGUFOpens() throws { #expect(try Self.opens(FakeGGUF().bytes, as: "model.gguf") == nil) }

  @Test(arguments: ggufs) func gguf(_ test: Case) throws {
    let error = try #require(try Self.opens(test.bytes, as: "model.gguf"), "was opened")
    #expect(error.reason == test.reason, "\(error)")
    #expect(error.description.contains(test.words), "\(error)")
    #expect(error.description.contains("model.gguf"), "\(error)")
  }
}
