import CKernels
import Checkpoint
import Foundation
import Integrity
import TestSupport
import Testing

/// Every fast kernel next to its plain one, on every instruction set that this processor has.
@Suite struct KernelTests {
  static let fast: [String] = ["avx512", "avx2", "neon"].filter { drover_kernels_named($0) != nil }
  let plain = drover_kernels_plain
  /// All that they read.
  static let types = DType.allCases.filter { $0.kernelType != nil }

  /// Where each quantized block has its float16 scales.
  static let scales: [DType: [Int]] = [
    .q8_0: [0], .q4_0: [0], .q4_1: [0, 2], .q5_0: [0], .q5_1: [0, 2], .q2_k: [80, 82], .q3_k: [108], .q4_k: [0, 2], .q5_k: [0, 2], .q6_k: [208],
    .iq4_nl: [0], .iq4_xs: [0],
  ]

  /// Bytes of `count` random elements, with scales that are ordinary numbers.
  func weights(_ type: DType, _ count: Int, _ random: inout some RandomNumberGenerator) -> [UInt8] {
    func half(_ most: Float16) -> [UInt8] { withUnsafeBytes(of: Float16.random(in: -most...most, using: &random).bitPattern) { Array($0) } }
    switch type {
    case .f32: return (0..<count).flatMap { _ in withUnsafeBytes(of: Float.random(in: -1...1, using: &random).bitPattern) { Array($0) } }
    case .f16: return (0..<count).flatMap { _ in half(0.1) }
    case .bf16:
      return (0..<count).flatMap { _ in
        withUnsafeBytes(of: UInt16(Float.random(in: -1...1, using: &random).bitPattern >> 16)) { Array($0) }
      }
    default:
      return (0..<count / type.blockElements).flatMap { _ in
        var block = (0..<type.blockBytes).map { _ in UInt8.random(in: 0...255, using: &random) }
        for at in Self.scales[type] ?? [] { block.replaceSubrange(at..<at + 2, with: half(type.blockElements == 256 ? 0.001 : 0.1)) }
        return block
      }
    }
  }

  func floats(_ count: Int, _ random: inout some RandomNumberGenerator, in range: ClosedRange<Float> = -1...1) -> [Float] {
    (0..<count).map { _ in Float.random(in: range, using: &random) }
  }

  func expectClose(_ a: [Float], _ b: [Float], within tolerance: Float, _ what: String) {
    let worst = largest(zip(a, b).map { abs($0 - $1) / max(1, abs($1)) })
    #expect(a.count == b.count && worst <= tolerance, "\(what): off by \(worst)")
  }

  /// Reading a weight has one right answer, whatever the alignment.
  @Test(arguments: fast, types) func unpacks(name: String, type: DType) throws {
    let kernelType = try #require(type.kernelType)
    let table = try #require(drover_kernels_named(name)).pointee
    var random = SystemRandomNumberGenerator()
    for count in type.isQuantized ? [1, 3, 32].map({ $0 * type.blockElements }) : [1, 15, 16, 31, 33, 100, 1000] {
      let source = [0xAB] + weights(type, count, &random)
      var a = [Float](repeating: 0, count: count)
      var b = a
      source.withUnsafeBytes { source in
        guard let base = source.baseAddress else { return }
        table.unpack(kernelType, base + 1, count, &a)
        plain.unpack(kernelType, base + 1, count, &b)
      }
      #expect(a.map(\.bitPattern) == b.map(\.bitPattern), "\(name), \(count) elements")
    }
  }

  /// Blocks of random bits, scales of NaN, infinity and all others included, against the `gguf` library.
  @Test(.needs(.python), arguments: DType.allCases.filter(\.isQuantized)) func readsBlocksAsTheirLibraryDoes(type: DType) throws {
    let kernelType = try #require(type.kernelType)
    try withTemporaryFolder { folder in
      try python(
        randomBlocks + """
          import sys
          np.seterr(all="ignore")
          kind, out = sys.argv[1:]
          rng = np.random.default_rng(3)
          raw = np.concatenate([random_blocks(kind, 64, 4096, rng, sane) for sane in (True, False)])
          raw.tofile(out + "/blocks")
          gguf.quants.dequantize(raw, gguf.GGMLQuantizationType[kind]).astype("<f4").tofile(out + "/values")
          """, type.rawValue.uppercased(), folder)
      let blocks = try [UInt8](Data(contentsOf: URL(filePath: folder + "/blocks")))
      let values = try Data(contentsOf: URL(filePath: folder + "/values")).withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
      for name in Self.fast + ["plain"] {
        let table = try #require(drover_kernels_named(name)).pointee
        var out = [Float](repeating: 0, count: blocks.count / type.blockBytes * type.blockElements)
        blocks.withUnsafeBytes { if let base = $0.baseAddress { table.unpack(kernelType, base, out.count, &out) } }
        let isEqual = out.count == values.count && zip(out, values).allSatisfy { $0.bitPattern == $1.bitPattern || $0.isNaN && $1.isNaN }
        #expect(isEqual, "\(name)")
      }
    }
  }

  /// Every float16, subnormal numbers and infinities included, against Swift's own conversion.
  @Test(arguments: fast + ["plain"]) func readsEveryFloat16(name: String) throws {
    let table = try #require(drover_kernels_named(name)).pointee
    let halves = (0...UInt16.max).filter { !Float16(bitPattern: $0).isNaN }
    var out = [Float](repeating: 0, count: halves.count)
    halves.withUnsafeBytes { if let base = $0.baseAddress { table.unpack(drover_f16, base, halves.count, &out) } }
    #expect(out == halves.map { Float(Float16(bitPattern: $0)) })
  }

  @Test(arguments: fast, types) func multipliesByAVector(name: String, type: DType) throws {
    let kernelType = try #require(type.kernelType)
    let table = try #require(drover_kernels_named(name)).pointee
    var random = SystemRandomNumberGenerator()
    let block = type.blockElements
    for (rows, runs) in type.isQuantized
      ? [(1, [block]), (5, [2 * block, block]), (13, [18 * block])] : [(1, [16]), (3, [16, 48]), (9, [32, 16, 16]), (13, [576, 16])]
    {
      let columns = runs.reduce(0, +)
      let blocks = runs.map { weights(type, rows * $0, &random) }
      let x = floats(columns, &random)
      var a = [Float](repeating: 0, count: rows)
      var b = a
      let segments = zip(blocks, runs).map { block, run in
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: block.count, alignment: 1)
        copy.copyBytes(from: block)
        return drover_segment(first: UnsafeRawPointer(copy.baseAddress!), row_stride: block.count / rows, columns: run)
      }
      defer { for segment in segments { segment.first.deallocate() } }
      table.gemv(kernelType, segments, segments.count, 0, rows, x, &a)
      plain.gemv(kernelType, segments, segments.count, 0, rows, x, &b)
      expectClose(a, b, within: 1e-4, "\(name) \(rows) × \(runs)")
    }
  }

  @Test(arguments: fast, [(1, 1, 16), (2, 3, 32), (3, 7, 64), (4, 4, 16), (5, 9, 576), (11, 6, 80), (16, 17, 208)])
  func multipliesMatrices(name: String, shape: (Int, Int, Int)) throws {
    let table = try #require(drover_kernels_named(name)).pointee
    var random = SystemRandomNumberGenerator()
    let (m, n, k) = shape
    let x = floats(m * (k + 16), &random)
    let w = floats(n * k, &random)
    var a = [Float](repeating: 9, count: m * (n + 1))
    var b = a
    table.gemm_nt(x, k + 16, m, w, k, n, k, &a, n + 1)
    plain.gemm_nt(x, k + 16, m, w, k, n, k, &b, n + 1)
    expectClose(a, b, within: 1e-4, "\(name) gemm_nt \(shape)")

    let width = (n + 15) / 16 * 16
    let right = floats(k * width, &random)
    a = [Float](repeating: 9, count: m * width)
    b = a
    table.gemm_nn(x, k + 16, m, right, width, width, k, &a, width)
    plain.gemm_nn(x, k + 16, m, right, width, width, k, &b, width)
    expectClose(a, b, within: 1e-4, "\(name) gemm_nn \(shape)")
  }

  /// One row or many, a matrix in one piece or in column blocks: the same sums, to the bit.
  @Test(arguments: fast + ["plain"]) func sumsHaveOneOrder(name: String) throws {
    let table = try #require(drover_kernels_named(name)).pointee
    var random = SystemRandomNumberGenerator()
    let (m, n, k) = (7, 9, 240)
    let x = floats(m * k, &random)
    let w = floats(n * k, &random)
    var together = [Float](repeating: 0, count: m * n)
    table.gemm_nt(x, k, m, w, k, n, k, &together, n)
    for runs in [[240], [80, 160], [16, 16, 208], [48, 48, 48, 48, 48]] {
      var apart: [Float] = []
      w.withUnsafeBytes { bytes in
        var at = 0
        let segments = runs.map { run in
          defer { at += run * 4 }
          return drover_segment(first: bytes.baseAddress! + at, row_stride: k * 4, columns: run)
        }
        for row in 0..<m {
          var y = [Float](repeating: 0, count: n)
          x.withUnsafeBufferPointer { table.gemv(drover_f32, segments, segments.count, 0, n, $0.baseAddress! + row * k, &y) }
          apart += y
        }
      }
      #expect(apart.map(\.bitPattern) == together.map(\.bitPattern), "\(name) \(runs)")
    }
  }

  @Test(arguments: fast, [2, 14, 16, 34, 100, 576]) func rowOperations(name: String, count: Int) throws {
    let table = try #require(drover_kernels_named(name)).pointee
    var random = SystemRandomNumberGenerator()
    let x = floats(count, &random, in: -20...20)
    let y = floats(count, &random)
    func both(_ what: String, within tolerance: Float, _ body: (drover_kernels, inout [Float]) -> Void) {
      var a = x
      var b = x
      body(table, &a)
      body(plain, &b)
      expectClose(a, b, within: tolerance, "\(name) \(what) of \(count)")
    }
    both("rms_norm", within: 1e-6) { $0.rms_norm(x, y, 1e-5, count, &$1) }
    both("rope", within: 1e-6) { $0.rope(&$1, y, y, count) }
    both("softmax", within: 1e-6) { $0.softmax(&$1, count, 0.3) }
    both("swiglu", within: 1e-5) { $0.swiglu(&$1, y, count) }
    both("add", within: 0) { $0.add(&$1, y, count) }
    expectClose([table.sum_exp(x, count, 20)], [plain.sum_exp(x, count, 20)], within: 1e-6, "\(name) sum_exp of \(count)")
  }

  /// Softmax keeps its feet where the scores are far apart or all alike.
  @Test(arguments: fast + ["plain"]) func softmaxAtTheEdges(name: String) throws {
    let table = try #require(drover_kernels_named(name)).pointee
    var apart: [Float] = [-1e30, 0, 1e30, -500, 100]
    table.softmax(&apart, apart.count, 1)
    #expect(apart[2] > 0.999999 && apart.reduce(0, +) < 1.000001)
    var alike = [Float](repeating: -1e4, count: 37)
    table.softmax(&alike, alike.count, 1)
    #expect(alike.allSatisfy { abs($0 - 1 / 37) < 1e-7 })
  }

  /// NaN and infinities among numbers, in whole vectors and behind them: what comes out is what torch gives.
  @Test(.needs(.python)) func whatIsNotFiniteIsAsInTorch() throws {
    let output = try python(
      """
      import torch
      torch.manual_seed(3)
      print("# softmax or silu; input; output")
      nan, inf = float("nan"), float("inf")
      for n in (1, 5, 16, 37):
          rows = [[v] * n for v in (nan, inf, -inf)]
          for at in {0, n // 2, n - 1}:
              for v in (nan, inf, -inf, 1e30, -1e30, 89.0, -89.0):
                  rows.append((torch.randn(n) * 3).tolist()); rows[-1][at] = v
          for row in rows:
              x = torch.tensor(row)
              for name, y in (("softmax", torch.softmax(x, -1)), ("silu", torch.nn.functional.silu(x))):
                  print(name, *x.tolist(), *y.tolist())
      """)
    let rows = output.split(separator: "\n").dropFirst().map { $0.split(separator: " ") }
    #expect(rows.count == 164)
    for name in Self.fast + ["plain"] {
      let table = try #require(drover_kernels_named(name)).pointee
      for row in rows {
        let numbers = try row.dropFirst().map { try #require(Float($0)) }
        var x = Array(numbers.prefix(numbers.count / 2))
        if row[0] == "softmax" { table.softmax(&x, x.count, 1) } else { table.swiglu(&x, [Float](repeating: 1, count: x.count), x.count) }
        for (got, expected) in zip(x, numbers.suffix(numbers.count / 2)) {
          let isSame: Bool = if expected.isNaN { got.isNaN } else { got == expected || abs(got - expected) <= 1e-5 * Swift.max(1, abs(expected)) }
          #expect(isSame, "\(name) \(row[0]): \(got) for \(expected)")
        }
      }
    }
  }
}
