import Foundation
import Integrity
import TestSupport
import Testing

/// The tree of hashes over a tensor, against hashlib.
@Suite(.needs(.python)) struct GridTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var dtype: DType
    var shape: [Int]
    var cut: TensorGrid.Cut
    var testDescription: String { "\(dtype) \(shape) \(cut)" }
    var bytes: Int { shape.dropLast().reduce(1, *) * dtype.byteCount(shape.last ?? 1) }
  }

  private static let cases = [
    Case(dtype: .bf16, shape: [256, 512], cut: .rows), Case(dtype: .bf16, shape: [512, 2048], cut: .columns), Case(dtype: .f32, shape: [1024, 128], cut: .both),
    Case(dtype: .bf16, shape: [1377, 320], cut: .rows), Case(dtype: .f16, shape: [700, 192], cut: .both), Case(dtype: .bf16, shape: [1, 64], cut: .columns),
    Case(dtype: .q8_0, shape: [256, 1024], cut: .columns), Case(dtype: .q4_0, shape: [4096, 256], cut: .both), Case(dtype: .f32, shape: [4096], cut: .rows),
    // Nodes of more than 16 MiB are halved, but for what is cut both ways.
    Case(dtype: .bf16, shape: [16384, 9216], cut: .rows), Case(dtype: .bf16, shape: [9216, 16384], cut: .columns), Case(dtype: .f32, shape: [8192, 9216], cut: .both),
    // A row that is longer than a band.
    Case(dtype: .f32, shape: [3, 200_000], cut: .rows), Case(dtype: .f32, shape: [4, 1 << 18], cut: .columns),
  ]

  /// Whatever regions a tensor comes in, and in whatever pieces their bytes do, the root is what hashlib says, if no edge falls into a leaf.
  @Test(arguments: cases) func isTheReferencesRoot(_ what: Case) throws {
    try withTemporaryFolder { folder in
      var random = SystemRandomNumberGenerator()
      var raw = [UInt8](repeating: 0, count: what.bytes)
      for index in stride(from: 0, to: raw.count, by: 8) {
        let word = random.next()
        for byte in 0..<min(8, raw.count - index) { raw[index + byte] = UInt8(truncatingIfNeeded: word >> (8 * byte)) }
      }
      try Data(raw).write(to: URL(filePath: folder + "/raw"))
      let printed = try python(
        ReferenceModel.reference
          + """
          import sys
          print(tree_root(open(sys.argv[1], "rb").read(), sys.argv[2], eval(sys.argv[3]), sys.argv[4], int(sys.argv[5]), int(sys.argv[6])))
          """, folder + "/raw", what.dtype.rawValue, "\(what.shape)", what.cut.rawValue, "\(what.dtype.blockElements)", "\(what.dtype.blockBytes)")
      let expected = printed.trimmingCharacters(in: .whitespacesAndNewlines)
      let grid = TensorGrid(dtype: what.dtype, shape: what.shape, cut: what.cut)
      for _ in 0..<3 {
        var tree = TensorTree(grid)
        for (rows, columns) in Self.regions(grid).shuffled() {
          tree.add(Self.digests(GridRegion(grid, rows: rows, columns: columns, stored: what.dtype), raw, &random))
        }
        #expect(tree.root()?.hex == expected)
      }
    }
  }

  /// An edge within a leaf is noticed, not papered over.
  @Test func aCutLeafHasNoRoot() {
    let grid = TensorGrid(dtype: .bf16, shape: [256, 512], cut: .rows)
    let raw = [UInt8](repeating: 7, count: 256 * 1024)
    var random = SystemRandomNumberGenerator()
    var tree = TensorTree(grid)
    for rows in [0..<33, 33..<256] { tree.add(Self.digests(GridRegion(grid, rows: rows, columns: 0..<512, stored: .bf16), raw, &random)) }
    #expect(tree.root() == nil)
  }

  /// What a vector of bfloat16 or float16 hashes to is what its float32 does.
  @Test(arguments: [DType.bf16, .f16]) func vectorsAreWidened(dtype: DType) throws {
    let raw = (0..<65536).flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }
    let floats = try python(
      """
      import torch, hashlib
      t = torch.arange(65536, dtype=torch.int32).to(torch.int16).view(torch.\(dtype == .bf16 ? "bfloat16" : "float16"))
      # Arithmetic makes signalling NaNs quiet; bits don't.
      wide = t.float().view(torch.int32)
      nan = torch.isnan(t)
      bits = t.view(torch.int16).to(torch.int32) & 0xFFFF
      exact = bits << 16 if t.dtype == torch.bfloat16 else (bits & 0x8000) << 16 | 0x7F800000 | (bits & 0x3FF) << 13
      wide[nan] = exact[nan]
      print(hashlib.sha256(wide.numpy().tobytes()).hexdigest())
      """)
    #expect(SHA256.hash(Widening.float32(raw, from: dtype)).hex == floats.trimmingCharacters(in: .whitespacesAndNewlines))
  }

  /// Regions that cover a tensor, cut on edges of leaves along one axis or both.
  private static func regions(_ grid: TensorGrid) -> [(Range<Int>, Range<Int>)] {
    func cuts(_ length: Int, _ step: Int) -> [Range<Int>] {
      let strips = (length + step - 1) / step
      var edges = Set([0, length])
      for _ in 0..<Int.random(in: 0...3) { edges.insert(min(length, Int.random(in: 0...strips) * step)) }
      let sorted = edges.sorted()
      return zip(sorted, sorted.dropFirst()).map { $0..<$1 }
    }
    let rows = cuts(grid.rows, grid.stripRows)
    let columns = cuts(grid.columns, grid.stripColumns)
    return rows.flatMap { rows in columns.map { (rows, $0) } }
  }

  private static func digests(_ region: GridRegion, _ raw: [UInt8], _ random: inout SystemRandomNumberGenerator) -> RegionDigests {
    let grid = region.grid
    let pitch = grid.dtype.byteCount(grid.columns)
    let (from, to) = (grid.dtype.byteCount(region.columns.lowerBound), grid.dtype.byteCount(region.columns.upperBound))
    let bytes = region.rows.flatMap { raw[$0 * pitch + from..<$0 * pitch + to] }
    var hasher = RegionHasher(region)
    var leaves = LeafHasher()
    var at = 0
    bytes.withUnsafeBytes { bytes in
      while at < bytes.count {
        let count = min(bytes.count - at, Int.random(in: 1...(Bool.random() ? 1 << 20 : 5000), using: &random))
        hasher.update(UnsafeRawBufferPointer(rebasing: bytes[at..<at + count]), &leaves)
        at += count
        // Now and then it stops, and goes on from what was saved.
        if Int.random(in: 0..<8, using: &random) == 0, let resumed = RegionHasher(region, state: hasher.state, byteCount: hasher.savedBytes) {
          at = hasher.savedBytes
          hasher = resumed
        }
      }
    }
    return hasher.finalize()
  }
}
