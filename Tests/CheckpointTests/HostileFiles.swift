import Foundation

/// Bytes written by hand, for files that lie.
struct Bytes: ExpressibleByArrayLiteral {
  var data: [UInt8] = []

  init() {}
  init(arrayLiteral elements: UInt8...) { data = elements }
  init(_ data: [UInt8]) { self.data = data }

  static func + (a: Bytes, b: Bytes) -> Bytes { Bytes(a.data + b.data) }
  static func + (a: Bytes, b: String) -> Bytes { Bytes(a.data + Array(b.utf8)) }

  static func u16(_ value: Int) -> Bytes { little(UInt16(truncatingIfNeeded: value)) }
  static func u32(_ value: Int) -> Bytes { little(UInt32(truncatingIfNeeded: value)) }
  static func u64(_ value: UInt64) -> Bytes { little(value) }
  static func text(_ text: String) -> Bytes { Bytes(Array(text.utf8)) }
  static func zeros(_ count: Int) -> Bytes { Bytes([UInt8](repeating: 0, count: count)) }

  private static func little(_ value: some FixedWidthInteger) -> Bytes { Bytes(withUnsafeBytes(of: value.littleEndian) { Array($0) }) }
}

/// A zip of stored entries whose fields can be falsified.
struct FakeZip {
  struct Entry {
    var name: String
    var content: Bytes
    /// In the directory; nil for the truth.
    var size: Int?
    var packedSize: Int?
    var offset: Int?
    var method = 0
    var flags = 0
    var localName: String?
    var extra = Bytes()
  }

  var entries: [Entry]
  var count: Int?
  var directorySize: Int?
  var directoryOffset: Int?
  var tail = Bytes()

  init(_ entries: [Entry]) { self.entries = entries }

  /// The usual: a pickle and storage 0 of 64 bytes.
  init(pickle: Bytes, storage: Bytes = .zeros(64)) {
    self.init([Entry(name: "a/data.pkl", content: pickle), Entry(name: "a/data/0", content: storage), Entry(name: "a/version", content: .text("3\n"))])
  }

  var bytes: [UInt8] {
    var out = Bytes()
    var directory = Bytes()
    for entry in entries {
      let start = out.data.count
      let name = entry.localName ?? entry.name
      let true_ = entry.content.data.count
      out = out + .u32(0x0403_4B50) + .u16(20) + .u16(entry.flags) + .u16(entry.method) + .u32(0) + .u32(0) + .u32(true_) + .u32(true_)
      out = out + .u16(name.utf8.count) + .u16(0) + name + entry.content
      directory = directory + .u32(0x0201_4B50) + .u16(20) + .u16(20) + .u16(entry.flags) + .u16(entry.method) + .u32(0) + .u32(0)
      directory = directory + .u32(entry.packedSize ?? entry.size ?? true_) + .u32(entry.size ?? true_) + .u16(entry.name.utf8.count)
      directory = directory + .u16(entry.extra.data.count) + .u16(0) + .zeros(8) + .u32(entry.offset ?? start) + entry.name + entry.extra
    }
    let start = out.data.count
    out = out + directory + .u32(0x0605_4B50) + .u32(0) + .u16(count ?? entries.count) + .u16(count ?? entries.count)
    out = out + .u32(directorySize ?? directory.data.count) + .u32(directoryOffset ?? start) + .u16(0) + tail
    return out.data
  }
}

/// Pickles in pieces.
enum Pickle {
  static let start: Bytes = [0x80, 2]
  static func text(_ text: String) -> Bytes { .text("X") + .u32(text.utf8.count) + text }
  static func integer(_ value: Int) -> Bytes { [0x8A, 8] + .u64(UInt64(bitPattern: Int64(value))) }
  static func tuple(_ values: [Int]) -> Bytes { values.reduce(.text("(")) { $0 + integer($1) } + "t" }

  /// A call of `_rebuild_tensor_v2`.
  static func tensor(
    _ shape: [Int], _ strides: [Int], offset: Int = 0, storage: String = "FloatStorage", key: String = "0", elements: Int = 16, metadata: Bytes = Bytes(),
    view: Bytes = Bytes()
  ) -> Bytes {
    .text("ctorch._utils\n_rebuild_tensor_v2\n((") + text("storage") + "ctorch\n\(storage)\n" + text(key) + text("cpu") + integer(elements) + view + "tQ"
      + integer(offset) + tuple(shape) + tuple(strides) + [0x89] + "ccollections\nOrderedDict\n)R"
      + metadata + "tR"
  }

  static func dictionary(_ items: [(String, Bytes)]) -> Bytes { items.reduce(start + "}(") { $0 + text($1.0) + $1.1 } + "u." }

  static func one(_ tensor: Bytes) -> Bytes { dictionary([("norm.weight", tensor)]) }
}

/// A file as torch wrote it before 1.6, whose parts can be falsified.
struct FakeLegacy {
  var magic: Bytes = [0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, UInt8(ascii: ".")]
  var version: Bytes = Pickle.start + "M" + .u16(1001) + "."
  var machine: Bytes = Pickle.start + "}" + Pickle.text("little_endian") + [0x88] + "s."
  var object: Bytes
  var keys: Bytes = Pickle.start + "]" + Pickle.text("0") + "a."
  /// By what its length says and what is there.
  var storages: [(count: UInt64, content: Bytes)] = [(16, .zeros(64))]
  var tail = Bytes()

  init(object: Bytes = Pickle.one(Pickle.tensor([16], [1], view: .text("N")))) { self.object = object }

  var bytes: [UInt8] { (storages.reduce(magic + version + machine + object + keys) { $0 + .u64($1.count) + $1.content } + tail).data }
}

/// A GGUF whose fields can be falsified.
struct FakeGGUF {
  var magic = "GGUF"
  var version = 3
  var tensorCount: UInt64?
  var keyCount: UInt64?
  var keys: [(String, Bytes)] = [
    ("general.architecture", FakeGGUF.text("llama")), ("llama.attention.head_count", FakeGGUF.u32(4)), ("llama.block_count", FakeGGUF.u32(1)),
    ("llama.attention.layer_norm_rms_epsilon", .u32(6) + .u32(Int(Float(1e-5).bitPattern))),
  ]
  var tensors: [(name: String, shape: [UInt64], type: Int, offset: UInt64)] = FakeGGUF.model
  var dataBytes = 16384

  static func u32(_ value: Int) -> Bytes { .u32(4) + .u32(value) }
  static func text(_ text: String) -> Bytes { .u32(8) + string(text) }
  static func string(_ text: String) -> Bytes { .u64(UInt64(text.utf8.count)) + text }

  /// A whole model of one layer: dim 8, 4 heads, hidden 16, 32 tokens, all F32.
  static let model: [(name: String, shape: [UInt64], type: Int, offset: UInt64)] = {
    let shapes: [(String, [UInt64])] = [
      ("token_embd.weight", [8, 32]), ("output_norm.weight", [8]), ("output.weight", [8, 32]), ("blk.0.attn_norm.weight", [8]),
      ("blk.0.attn_q.weight", [8, 8]), ("blk.0.attn_k.weight", [8, 8]), ("blk.0.attn_v.weight", [8, 8]), ("blk.0.attn_output.weight", [8, 8]),
      ("blk.0.ffn_norm.weight", [8]), ("blk.0.ffn_gate.weight", [8, 16]), ("blk.0.ffn_down.weight", [16, 8]), ("blk.0.ffn_up.weight", [8, 16]),
    ]
    var offset: UInt64 = 0
    return shapes.map { name, shape in
      defer { offset += shape.reduce(4, *) }
      return (name, shape, 0, offset)
    }
  }()

  /// That model in parts, its tensors in turn; what describes it is in the first.
  static func parts(_ count: Int) -> [FakeGGUF] {
    (0..<count).map { part in
      var file = FakeGGUF()
      if part > 0 { file.keys = [] }
      file.keys += [
        ("split.no", Bytes.u32(2) + .u16(part)), ("split.count", Bytes.u32(2) + .u16(count)), ("split.tensors.count", Bytes.u32(5) + .u32(model.count)),
      ]
      var offset: UInt64 = 0
      file.tensors = model.indices.filter { $0 % count == part }.map { index in
        defer { offset += model[index].shape.reduce(4, *) }
        return (model[index].name, model[index].shape, 0, offset)
      }
      file.dataBytes = Int(offset)
      return file
    }
  }

  /// Gives a key that is there another value.
  mutating func set(_ key: String, to value: Bytes) { keys = keys.map { $0.0 == key ? (key, value) : $0 } }

  var bytes: [UInt8] {
    var out = .text(magic) + .u32(version) + .u64(tensorCount ?? UInt64(tensors.count)) + .u64(keyCount ?? UInt64(keys.count))
    for (key, value) in keys { out = out + Self.string(key) + value }
    for tensor in tensors {
      out = out + Self.string(tensor.name) + .u32(tensor.shape.count)
      for dimension in tensor.shape { out = out + .u64(dimension) }
      out = out + .u32(tensor.type) + .u64(tensor.offset)
    }
    out = out + .zeros((32 - out.data.count % 32) % 32) + .zeros(dataBytes)
    return out.data
  }
}

/// A safetensors file from a header and a number of data bytes.
func safetensors(_ header: String, data: Int, length: UInt64? = nil) -> [UInt8] {
  (.u64(length ?? UInt64(header.utf8.count)) + header + .zeros(data)).data
}
