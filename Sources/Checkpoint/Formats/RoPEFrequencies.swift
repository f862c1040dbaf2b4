import Integrity
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// The `rope.freqs` that a checkpoint carries, and which theta they are of: `theta ^ (-2i / headDim)`, rounded to what they are stored as.
///
/// Source: `precompute_freqs_cis` and `RotaryEmbedding` of Meta's llama repository.
struct RoPEFrequencies {
  private let values: [Double]
  /// How far rounding, and torch's own float32 arithmetic, may have taken them from what they are of.
  private let tolerance: (relative: Double, absolute: Double)

  /// - Returns: nil for what isn't a vector of numbers.
  init?(_ tensor: LogicalTensor, in files: [any ByteSource]) throws(CheckpointError) {
    guard tensor.shape.count == 1, [.f32, .f16, .bf16].contains(tensor.dtype) else { return nil }
    // Copies in other shards are compared where weights are read.
    var first = tensor
    first.parts = Array(tensor.parts.prefix(1))
    var reader = PartReader(files: files)
    guard let bytes = try reader.firstRows(of: first).first else { return nil }
    let wide = bytes.withUnsafeBytes { Widening.float32($0, from: tensor.dtype) }
    let floats = wide.withUnsafeBytes { raw in (0..<raw.count / 4).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) } }
    values = floats.map(Double.init)
    // Not the dtype: what was bfloat16 or float16 once, and was widened, has no more digits for it.
    let bits = floats.reduce(0) { $0 | $1.bitPattern }
    tolerance = bits & 0xFFFF == 0 ? (0x1p-8, 0x1p-24) : bits & 0x1FFF == 0 ? (0x1p-10, 0x1p-24) : (1e-5, 0)
  }

  /// Whether they are those of `theta`, as far as their digits can say.
  func agree(with theta: Double, _ scaling: ModelParams.RoPEScaling?) -> Bool {
    if isNear((0..<values.count).map { frequency($0, theta) }) { return true }
    guard let scaling else { return false }
    let divisors = scaling.divisors(headDim: 2 * values.count, theta: theta)
    return isNear(divisors.enumerated().map { frequency($0.offset, theta) / $0.element })
  }

  /// The roundest theta that they can be of; nil where they are of none, or are too few to tell.
  var theta: Double? {
    // The lowest frequency that is stored with all of its digits tells most exactly.
    guard let last = values.lastIndex(where: { $0 >= 0x1p-14 && $0.isFinite }), last > 0 else { return nil }
    let estimate = pow(values[last], -Double(values.count) / Double(last))
    guard estimate > 1, estimate.isFinite else { return nil }
    for digits in 0...6 {
      // Powers of ten with positive exponents are exact.
      let exponent = Int(log10(estimate)) - digits
      let unit = pow(10, Double(abs(exponent)))
      let round = exponent < 0 ? (estimate * unit).rounded() / unit : (estimate / unit).rounded() * unit
      if isNear((0..<values.count).map { frequency($0, round) }) { return round }
    }
    return nil
  }

  private func frequency(_ index: Int, _ theta: Double) -> Double { pow(theta, -Double(index) / Double(values.count)) }

  private func isNear(_ expected: [Double]) -> Bool {
    zip(values, expected).allSatisfy { abs($0 - $1) <= tolerance.relative * $1 + tolerance.absolute }
  }
}
