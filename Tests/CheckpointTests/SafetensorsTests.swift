import Checkpoint
import Foundation
import SystemPackage
import TestSupport
import Testing

/// Headers of safetensors files next to the library that defines the format.
@Suite struct SafetensorsTests {
  struct Row: Sendable {
    let name: String
    let header: [UInt8]
    let data: Int
    /// What drover says of a file that the library reads; nil for one that it reads too.
    let words: String?

    init(_ name: String, _ header: String, data: Int = 16, _ words: String? = nil) { self.init(name, Array(header.utf8), data: data, words) }

    init(_ name: String, _ header: [UInt8], data: Int = 16, _ words: String? = nil) {
      (self.name, self.header, self.data, self.words) = (name, header, data, words)
    }
  }

  private static let tensor = #"{"dtype":"F32","shape":[4],"data_offsets":[0,16]}"#
  private static func tensor(_ dtype: String = #""F32""#, _ shape: String = "[4]", _ offsets: String = "[0,16]") -> String {
    #"{"norm.weight":{"dtype":\#(dtype),"shape":\#(shape),"data_offsets":\#(offsets)}}"#
  }

  static let rows: [Row] = [
    Row("good", tensor()),
    Row("space behind", tensor() + " \n\t\r"),
    Row("escaped name", #"{"\u006eorm.weight":\#(tensor)}"#),
    Row("no tensors", "{}", data: 0),
    Row("metadata", #"{"__metadata__":{"format":"pt"},"norm.weight":\#(tensor)}"#),
    Row("metadata behind", #"{"norm.weight":\#(tensor),"__metadata__":{"format":"pt"}}"#),
    Row("metadata null", #"{"__metadata__":null,"norm.weight":\#(tensor)}"#),
    Row("metadata twice the same key", #"{"__metadata__":{"x":"1","x":"2"},"norm.weight":\#(tensor)}"#),
    // Legal, though no Llama has them.
    Row("scalar", tensor(#""F32""#, "[]", "[0,4]"), data: 4, "norm.weight has the shape []"),
    Row("empty vector", tensor(#""F32""#, "[0]", "[0,0]"), data: 0, "norm.weight has the shape [0]"),
    Row("empty matrix", tensor(#""F32""#, "[4,0]", "[0,0]"), data: 0, "norm.weight has the shape [4, 0]"),
    Row("three dimensions", tensor(#""F32""#, "[2,2,1]"), "norm.weight has the shape [2, 2, 1]"),
    Row("float64", tensor(#""F64""#, "[2]")),
    Row("float8", tensor(#""F8_E4M3""#, "[16]"), "norm.weight is stored as F8_E4M3"),
    Row("float4", tensor(#""F4""#, "[32]"), "norm.weight is stored as F4"),
    // Where drover is the stricter.
    Row("space in front", " " + tensor(), "isn't JSON"),
    Row("same entry twice", #"{"norm.weight":\#(tensor),"norm.weight":\#(tensor)}"#, "starts at 0 of the data, where the tensor before it ends at 16"),
    Row("empty entry twice", #"{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#, data: 0, "a twice"),
    Row("unknown key", #"{"norm.weight":{"dtype":"F32","shape":[4],"data_offsets":[0,16],"x":1}}"#, "the key x"),
    Row("array in place of an entry", #"{"norm.weight":["F32",[4],[0,16]]}"#, "isn't JSON as the format wants it"),
    // What the library refuses.
    Row("two entries of one name", #"{"norm.weight":\#(tensor),"norm.weight":{"dtype":"F32","shape":[4],"data_offsets":[16,32]}}"#, data: 32),
    Row("dtype twice", #"{"norm.weight":{"dtype":"F32","dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#),
    Row("metadata twice", #"{"__metadata__":{},"__metadata__":{},"norm.weight":\#(tensor)}"#),
    Row("number in metadata", #"{"__metadata__":{"x":1},"norm.weight":\#(tensor)}"#),
    Row("null in metadata", #"{"__metadata__":{"x":null},"norm.weight":\#(tensor)}"#),
    Row("object in metadata", #"{"__metadata__":{"x":{"y":"z"}},"norm.weight":\#(tensor)}"#),
    Row("metadata that is a string", #"{"__metadata__":"x","norm.weight":\#(tensor)}"#),
    Row("metadata that is a list", #"{"__metadata__":[],"norm.weight":\#(tensor)}"#),
    Row("float offset", tensor(#""F32""#, "[4]", "[0,16.0]")),
    Row("float dimension", tensor(#""F32""#, "[4.0]")),
    Row("exponent", tensor(#""F32""#, "[4e0]")),
    Row("minus zero", tensor(#""F32""#, "[4]", "[-0,16]")),
    Row("leading zero", tensor(#""F32""#, "[04]")),
    Row("hexadecimal", tensor(#""F32""#, "[0x4]")),
    Row("NaN", tensor(#""F32""#, "[NaN]")),
    Row("comma behind the entries", #"{"norm.weight":\#(tensor),}"#),
    Row("comma behind the shape", tensor(#""F32""#, "[4,]")),
    Row("three offsets", tensor(#""F32""#, "[4]", "[0,16,32]")),
    Row("null entry", #"{"norm.weight":null}"#),
    Row("overlap", #"{"norm.weight":\#(tensor),"output.weight":\#(tensor)}"#),
    Row("half a byte", tensor(#""F4""#, "[3]", "[0,2]"), data: 2),
    Row("overflow before a zero", tensor(#""F32""#, "[4611686018427387904,4,0]", "[0,0]"), data: 0),
    Row("dtype in small letters", tensor(#""f32""#)),
    Row("unknown dtype", tensor(#""X7""#)),
    Row("comment", #"{"norm.weight":\#(tensor)/* */}"#),
    Row("two documents", tensor() + "{}"),
    Row("zero behind", Array(tensor().utf8) + [0]),
    Row("byte-order mark", [0xEF, 0xBB, 0xBF] + Array(tensor().utf8)),
    Row("name that isn't UTF-8", [0x7B, 0x22, 0xFF, 0x22, 0x3A] + Array((tensor + "}").utf8)),
    Row("half a surrogate pair", #"{"\ud800":\#(tensor)}"#),
    Row("control character", "{\"a\u{1}\":\(tensor)}"),
    Row("unknown escape", #"{"\x":\#(tensor)}"#),
  ]

  @Test(.needs(.currentTorch)) func whatTheLibraryRefusesIsRefused() throws {
    let files = Self.rows.map { safetensorsFile($0) }
    let reads: [Bool] = try ask(
      """
      import base64, safetensors
      def reads(file):
          try: safetensors.deserialize(base64.b64decode(file))
          except safetensors.SafetensorError: return False
          return True
      answer = [reads(file) for file in given]
      """, files.map { Data($0).base64EncodedString() }, with: .currentTorch)
    // A file that is read holds no whole model, and that is what is wrong with it.
    let isRead = "no whole layer"
    for (row, (file, reads)) in zip(Self.rows, zip(files, reads)) {
      let error = try #require(try HostileTests.opens(file, as: "consolidated.00.safetensors"), "\(row.name)")
      if reads {
        #expect(error.description.contains(row.words ?? isRead), "\(row.name): \(error)")
      } else {
        #expect(row.words == nil && !error.description.contains(isRead), "\(row.name): \(error)")
        #expect(error.byte != nil, "\(row.name) names no byte: \(error)")
      }
    }
    #expect(reads.filter { $0 }.count == 20, "of those that the library reads")
  }

  private func safetensorsFile(_ row: Row) -> [UInt8] { (.u64(UInt64(row.header.count)) + Bytes(row.header) + .zeros(row.data)).data }

  /// A float32 behind an odd number of 16-bit elements would lie on half of its own size.
  @Test func mixedDTypesAreAligned() throws {
    try withTemporaryFolder { folder in
      let freqs = "layers.0.attention.inner_attention.rope.freqs"
      var tensors = FuzzTests.shapes.map { name, shape in (name, Pickle.tensor(shape, shape.count == 1 ? [1] : [shape[1], 1], elements: 256)) }
      tensors.append((freqs, Pickle.tensor([1], [1], storage: "BFloat16Storage", key: "1", elements: 1)))
      var zip = FakeZip(pickle: Pickle.dictionary(tensors), storage: .zeros(1024))
      zip.entries.append(.init(name: "a/data/1", content: .zeros(2)))
      try Data(zip.bytes).write(to: URL(filePath: folder + "/consolidated.00.pth"))
      try FuzzTests.params.write(toFile: folder + "/params.json", atomically: false, encoding: .utf8)
      try reshard(folder, folder + "/out", modelParallel: 1, format: .safetensors)
      let file = try Data(contentsOf: URL(filePath: folder + "/out/consolidated.00.safetensors"))
      let length = file.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
      let header = try #require(try JSONSerialization.jsonObject(with: file[8..<8 + length]) as? [String: [String: Any]])
      #expect(header[freqs]?["dtype"] as? String == "BF16")
      for (name, entry) in header where name != "__metadata__" {
        let offset = try #require((entry["data_offsets"] as? [Int])?.first)
        #expect(offset % (entry["dtype"] as? String == "F32" ? 4 : 2) == 0, "\(name) at \(offset)")
      }
    }
  }
}
