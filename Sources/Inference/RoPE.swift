import Checkpoint

#if canImport(Glibc)
  import Glibc
#endif

/// Rotary position embedding (arXiv:2104.09864), with the frequency scaling of Llama 3.1.
struct RoPE: Sendable {
  /// Radians a position, for each pair of a head. In float32, as the reference has them.
  private let frequencies: [Float]

  init(_ params: ModelParams) {
    let divisors = params.ropeScaling?.divisors(headDim: params.headDim, theta: params.ropeTheta)
    frequencies = (0..<params.headDim / 2).map { pair in
      let exponent = Float(2 * pair) / Float(params.headDim)
      let frequency = 1 / Float(pow(params.ropeTheta, Double(exponent)))
      return divisors.map { Float(Double(frequency) / $0[pair]) } ?? frequency
    }
  }

  /// Fills a row of cosines and one of sines in the form that the kernel takes: each twice, the first sine of a pair negated.
  func fill(position: Int, cosines: UnsafeMutablePointer<Float>, sines: UnsafeMutablePointer<Float>) {
    for (pair, frequency) in frequencies.enumerated() {
      let angle = Double(Float(position) * frequency)
      let cosine = Float(cos(angle))
      let sine = Float(sin(angle))
      cosines[2 * pair] = cosine
      cosines[2 * pair + 1] = cosine
      sines[2 * pair] = -sine
      sines[2 * pair + 1] = sine
    }
  }
}
