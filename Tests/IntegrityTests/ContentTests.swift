import Foundation
import Integrity
import SystemPackage
import TestSupport
import Testing

/// A file that drover wrote: each byte is in the digest of a weight's node or in that of the rest.
@Suite struct ContentTests {
  /// A weight of a made-up file, and the bytes before it that belong to none.
  private struct Weight {
    var tensor: String
    var dtype = DType.bf16
    var shape: [Int]
    var cut = TensorGrid.Cut.rows
    var rows: Range<Int>?
    var columns: Range<Int>?
    var headDim: Int?
    var gap = 0
  }

  /// Small weights of all kinds, one that is read in several stretches, and one whose part is cut within nodes.
  private static let weights: [Weight] = [
    Weight(tensor: "tok_embeddings.weight", shape: [320, 256], cut: .both, gap: 100),
    Weight(tensor: "layers.0.attention.wq.weight", dtype: .f16, shape: [256, 256], headDim: 64),
    Weight(tensor: "layers.0.attention.wk.weight", dtype: .f16, shape: [1024, 256], rows: 256..<512, headDim: 64, gap: 3),
    Weight(tensor: "layers.0.attention.wo.weight", shape: [256, 512], cut: .columns, columns: 128..<256, gap: 64),
    Weight(tensor: "layers.0.feed_forward.w1.weight", dtype: .q8_0, shape: [128, 256], gap: 1),
    Weight(tensor: "layers.0.feed_forward.w2.weight", dtype: .f32, shape: [3000, 700], cut: .columns, rows: 0..<3000, columns: 0..<233, gap: 9),
    Weight(tensor: "layers.0.feed_forward.w3.weight", shape: [6144, 4096], rows: 0..<6144),
    Weight(tensor: "layers.0.attention_norm.weight", shape: [4096], cut: .whole, gap: 17),
    Weight(tensor: "norm.weight", dtype: .f16, shape: [64], cut: .whole),
  ]

  /// Writes the file and its receipt. The digests are those of `RegionHasher`, which GridTests holds against Python.
  private func write(_ folder: String, _ weights: [Weight], tail: Int) throws -> Receipt.File {
    var proofs: [WeightProof] = []
    var offset = 0
    for weight in weights {
      offset += weight.gap
      let rows = weight.shape.count > 1 ? weight.rows ?? 0..<weight.shape[0] : 0..<1
      let columns = weight.columns ?? 0..<(weight.shape.last ?? 1)
      proofs.append(
        WeightProof(
          tensor: weight.tensor, dtype: weight.dtype, shape: weight.shape, cut: weight.cut, rows: rows, columns: columns, offset: offset, headDim: weight.headDim))
      offset = proofs[proofs.count - 1].bytes.upperBound
    }
    let length = offset + tail
    let script = "openssl enc -aes-128-ctr -pass pass:2 -nosalt -in /dev/zero 2> /dev/null | head -c \(length) > weights"
    try #require(try run("/bin/sh", ["-c", script], in: folder).status == 0)
    let bytes = try Data(contentsOf: URL(filePath: folder + "/weights"))
    var leaves = LeafHasher()
    for index in proofs.indices {
      var rows = bytes[proofs[index].bytes]
      if let headDim = proofs[index].headDim { rows = Self.inMetasOrder(rows, headDim: headDim, rowBytes: proofs[index].rowBytes) }
      var hasher = RegionHasher(proofs[index].region)
      rows.withUnsafeBytes { hasher.update($0, &leaves) }
      proofs[index].digests = hasher.finalize().digests
    }
    var rest = SHA256()
    for gap in Receipt.Content(weights: proofs, rest: SHA256.hash([])).gaps(ofFile: length) { rest.update(Array(bytes[gap])) }
    let file = Receipt.File(path: "weights", bytes: length, content: .init(weights: proofs, rest: rest.finalize()))
    try Receipt(tool: "t", operation: "reshard", origin: .checkpoint("m"), files: [file]).write(into: FilePath(folder))
    return file
  }

  /// Hugging Face's row `j * headDim/2 + i` of a head is row `2i + j` in Meta's order.
  private static func inMetasOrder(_ rows: Data, headDim: Int, rowBytes: Int) -> Data {
    var ordered = Data()
    for head in stride(from: 0, to: rows.count / rowBytes, by: headDim) {
      for i in 0..<headDim / 2 {
        for j in 0...1 {
          let start = rows.startIndex + (head + j * headDim / 2 + i) * rowBytes
          ordered += rows[start..<start + rowBytes]
        }
      }
    }
    return ordered
  }

  private func find(_ folder: String) throws -> Verification.Finding { try #require(Verification(of: [FilePath(folder)]).run().findings.first) }

  private func flip(_ path: String, _ offset: Int) throws {
    let handle = try FileHandle(forUpdating: URL(filePath: path))
    try handle.seek(toOffset: UInt64(offset))
    let byte = try #require(try handle.read(upToCount: 1)?.first)
    try handle.seek(toOffset: UInt64(offset))
    try handle.write(contentsOf: [byte ^ 1])
    try handle.close()
  }

  /// The first and the last byte of each weight and each gap, and some in the middle: whichever is flipped, the place and the tensor are named.
  @Test(arguments: [0, 1, 5000]) func namesWhatIsDamaged(tail: Int) throws {
    try withTemporaryFolder { folder in
      let file = try write(folder, Self.weights, tail: tail)
      let content = try #require(file.content)
      #expect(try find(folder).status == .ok)
      var places: [(Int, String?)] = content.gaps(ofFile: file.bytes).flatMap { [($0.lowerBound, nil), ($0.upperBound - 1, nil)] }
      for weight in content.weights {
        let bytes = weight.bytes
        places += [bytes.lowerBound, bytes.lowerBound + bytes.count / 3, bytes.upperBound - 1].map { ($0, weight.tensor) }
      }
      for (offset, tensor) in places {
        try flip(folder + "/weights", offset)
        let finding = try find(folder)
        #expect(finding.status == .mismatch && finding.expected == nil && finding.actual == nil, "\(offset)")
        let damaged = try #require(finding.damaged)
        #expect(damaged.contains { $0.offset <= offset && offset < $0.offset + $0.bytes }, "\(offset): \(damaged)")
        #expect(damaged.allSatisfy { $0.tensor == tensor } && (tensor == nil || damaged.count == 1), "\(offset): \(damaged)")
        try flip(folder + "/weights", offset)
      }
      let outcome = try drover("verify", folder, "--json")
      #expect(outcome.status == 0)
    }
  }

  /// With a checklist that only knows the whole file, both are computed in one read.
  @Test func isReadOnceBesideAChecklist() throws {
    try withTemporaryFolder { folder in
      let file = try write(folder, Self.weights, tail: 10)
      try run("/usr/bin/md5sum", ["weights"], in: folder).output.write(toFile: folder + "/list.chk", atomically: true, encoding: .utf8)
      let finding = try find(folder)
      #expect(finding.status == .ok && finding.actual != nil && finding.actual == finding.expected)
      let norm = try #require(file.content?.weights.last)
      try flip(folder + "/weights", norm.offset)
      let damaged = try find(folder)
      #expect(damaged.status == .mismatch && damaged.damaged?.map(\.tensor) == ["norm.weight"] && damaged.actual != damaged.expected)
      // The list is of the new bytes, the receipt is not.
      try run("/usr/bin/md5sum", ["weights"], in: folder).output.write(toFile: folder + "/list.chk", atomically: true, encoding: .utf8)
      #expect(try find(folder).status == .mismatch)
    }
  }

  /// Gaps larger than is kept in memory, no weights at all, and files that were cut or have grown.
  @Test func readsOddFiles() throws {
    try withTemporaryFolder { folder in
      var weights = Self.weights
      weights[1].gap = 20 << 20
      let file = try write(folder, weights, tail: 3)
      #expect(try find(folder).status == .ok)
      try flip(folder + "/weights", weights[0].gap + 320 * 512 + 5)
      #expect(try find(folder).damaged?.allSatisfy { $0.tensor == nil } == true)
      for length in [file.bytes + 1, file.bytes - 1, 1000, 0] {
        truncate(folder + "/weights", off_t(length))
        let finding = try find(folder)
        #expect(finding.status == .mismatch && finding.damaged?.isEmpty == false, "\(length)")
      }
      _ = try write(folder, [], tail: 1000)
      #expect(try find(folder).status == .ok)
      try flip(folder + "/weights", 999)
      #expect(try find(folder).status == .mismatch)
      _ = try write(folder, [], tail: 0)
      #expect(try find(folder).status == .ok)
    }
  }
}
