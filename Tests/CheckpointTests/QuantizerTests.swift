import CKernels
import Foundation
import TestSupport
import Testing

/// Every quantizer makes the bytes that ggml's reference makes, from the same numbers.
@Suite(.needs(.ggml))
struct QuantizerTests {
  /// A type, what the reference's function is called after, and its blocks.
  struct BlockType: Sendable, CustomTestStringConvertible {
    let type: drover_dtype
    let name: String
    let elements: Int
    let bytes: Int

    var testDescription: String { name }

    static let all = [
      BlockType(type: drover_q8_0, name: "q8_0", elements: 32, bytes: 34), BlockType(type: drover_q4_0, name: "q4_0", elements: 32, bytes: 18),
      BlockType(type: drover_q4_1, name: "q4_1", elements: 32, bytes: 20), BlockType(type: drover_q5_0, name: "q5_0", elements: 32, bytes: 22),
      BlockType(type: drover_q5_1, name: "q5_1", elements: 32, bytes: 24), BlockType(type: drover_q4_k, name: "q4_K", elements: 256, bytes: 144),
      BlockType(type: drover_q5_k, name: "q5_K", elements: 256, bytes: 176), BlockType(type: drover_q6_k, name: "q6_K", elements: 256, bytes: 210),
    ]
  }

  @Test(arguments: BlockType.all) func bytesAreThoseOfTheReference(_ block: BlockType) throws {
    let library = try #require(dlopen(Peer.ggml.path, RTLD_NOW | RTLD_LOCAL))
    let symbol = try #require(dlsym(library, "quantize_row_\(block.name)_ref"))
    let reference = unsafeBitCast(symbol, to: (@convention(c) (UnsafePointer<Float>, UnsafeMutableRawPointer, Int64) -> Void).self)
    let kernels = ["avx512", "avx2", "neon", "plain"].compactMap { (name: String) in drover_quantizer_named(name).map { (name, $0) } }
    let plain = try #require(kernels.last?.1)
    for (what, numbers, isDefined) in Self.rows {
      let size = numbers.count / block.elements * block.bytes
      var expected = [UInt8](repeating: 0xAA, count: size)
      // Where a scale or its reciprocal overflows, the reference of the smaller blocks makes integers of what is no number, which C leaves to the compiler.
      if isDefined || block.elements == 256 { reference(numbers, &expected, Int64(numbers.count)) } else { plain(block.type, numbers, numbers.count, &expected) }
      for (name, quantize) in kernels {
        var made = [UInt8](repeating: 0x55, count: size)
        quantize(block.type, numbers, numbers.count, &made)
        guard expected != made else { continue }
        let place = zip(expected, made).enumerated().first { $1.0 != $1.1 }?.offset ?? 0
        Issue.record("\(name), \(what): block \(place / block.bytes) differs at byte \(place % block.bytes)")
      }
    }
  }

  /// An odd number of the largest blocks, in every way that numbers of a model, and those of no model, can be.
  private static let rows: [(what: String, numbers: [Float], isDefined: Bool)] = {
    var random = Splitmix(seed: 14)
    let count = 256 * 21
    func uniform(_ range: ClosedRange<Float> = -1...1) -> Float { .random(in: range, using: &random) }
    /// About normal: most numbers are small, some are four times larger.
    func normal() -> Float { (0..<4).reduce(0) { sum, _ in sum + uniform() } }
    func row(_ number: (Int) -> Float) -> [Float] { (0..<count).map(number) }
    var rows: [(String, [Float])] = [
      ("normal", row { _ in normal() }), ("small", row { _ in normal() * 0.02 }),
      ("bfloat16", row { _ in Float(bitPattern: (normal() * 0.02).bitPattern & 0xFFFF_0000) }),
      ("zeros", row { _ in 0 }), ("negative zeros", row { _ in -0.0 }), ("both zeros", row { _ in Bool.random(using: &random) ? 0 : -0.0 }),
      ("positive", row { _ in uniform(0...1) }), ("negative", row { _ in uniform(-2 ... -1) }), ("integers", row { _ in uniform(-8...8).rounded() }),
      ("close together", row { _ in 1 + uniform() * 1e-6 }), ("close together below zero", row { _ in -1 + uniform() * 1e-6 }),
      ("sparse", row { _ in uniform(0...1) < 0.02 ? normal() : 0 }), ("sparse among negative zeros", row { _ in uniform(0...1) < 0.02 ? normal() : -0.0 }),
      ("wide", row { _ in normal() * Float(pow(10, Double(Int.random(in: -12...4, using: &random)))) }),
    ]
    for length in [16, 32] {
      let constants = (0..<count / length).map { _ in normal() }
      rows.append(("constant over \(length)", row { constants[$0 / length] }))
      let scales = (0..<count / length).map { _ in Float(pow(10, Double(Int.random(in: -14...2, using: &random)))) }
      rows.append(("parts of \(length) far apart", row { normal() * scales[$0 / length] }))
    }
    // Subnormal numbers, whose scales have no reciprocal, up to those whose scales overflow.
    func around(_ exponent: Int) -> (String, [Float]) {
      ("around 1e\(exponent)", row { _ in Float(min(3.4e38, max(-3.4e38, Double(normal()) * pow(10, Double(exponent))))) })
    }
    rows += [-30, -20, -16, -14, -12, -8, -6, 4, 5, 6, 10, 18, 30, 36].map(around)
    let anyBits = row { _ in
      let value = Float(bitPattern: .random(in: 0 ... .max, using: &random))
      return value.isFinite ? value : 0
    }
    let undefined = [-44, -40, -38, 38].map(around) + [("any bits", anyBits)]
    return rows.map { ($0.0, $0.1, true) } + undefined.map { ($0.0, $0.1, false) }
  }()
}
