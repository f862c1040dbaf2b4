import Checkpoint

#if canImport(Glibc)
  import Glibc
#endif

/// Rotary position embedding (arXiv:2104.09864), with scaled frequencies.
struct RoPE: Sendable {
  private let params: ModelParams
  /// Radians a position, for each pair of a head, of sequences within the original context. In float32, as the reference has them.
  private let frequencies: [Float]

  init(_ params: ModelParams) {
    self.params = params
    frequencies = Self.frequencies(params, theta: params.ropeTheta)
  }

  private static func frequencies(_ params: ModelParams, theta: Double) -> [Float] {
    let divisors = params.ropeScaling?.divisors(headDim: params.headDim, theta: theta)
    return (0..<params.headDim / 2).map { pair in
      let exponent = Float(2 * pair) / Float(params.headDim)
      let frequency = 1 / Float(pow(theta, Double(exponent)))
      return divisors.map { Float(Double(frequency) / $0[pair]) } ?? frequency
    }
  }

  /// Radians a position, for each pair of a head, in a sequence of `length` positions.
  func frequencies(length: Int) -> [Float] {
    let theta = params.ropeScaling?.theta(params.ropeTheta, length: length, headDim: params.headDim) ?? params.ropeTheta
    return theta == params.ropeTheta ? frequencies : Self.frequencies(params, theta: theta)
  }

  /// Fills a row of cosines and one of sines in the form that the kernel takes: each twice, the first sine of a pair negated.
  func fill(position: Int, _ frequencies: [Float], cosines: UnsafeMutablePointer<Float>, sines: UnsafeMutablePointer<Float>) {
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
