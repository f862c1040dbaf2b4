import CKernels

/// Chooses the next token as the reference does: the argmax at temperature 0, else nucleus sampling (top-p, arXiv:1904.09751) of
/// softmax(logits / temperature).
public struct Sampler: Sendable {
  public let temperature: Float
  /// Tokens are kept, the likeliest first, as long as those before them have no more than this probability together.
  public let topP: Float
  private let kernels: Kernels

  public init(temperature: Float, topP: Float, kernels: Kernels) {
    self.temperature = temperature
    self.topP = topP
    self.kernels = kernels
  }

  /// A token. `logits` are overwritten.
  public func sample(_ logits: UnsafeMutableBufferPointer<Float>, using random: inout RandomSource) -> Int {
    guard temperature > 0, let base = logits.baseAddress else { return Self.argmax(logits) }
    // The greatest becomes 0 before it is scaled: what a tiny temperature makes infinite is then the others' distance from it.
    let greatest = logits[Self.argmax(logits)]
    for index in logits.indices { logits[index] -= greatest }
    kernels.table.softmax(base, logits.count, min(1 / temperature, .greatestFiniteMagnitude))
    var nucleus = nucleus(UnsafeBufferPointer(logits))
    // A point between 0 and the nucleus' probability in all; the token in whose share it lies is taken.
    let mass = nucleus.reduce(0) { $0 + Double($1.probability) }
    let draw = random.nextUnit() * mass
    var sum = 0.0
    let last = nucleus.removeLast()
    for candidate in nucleus {
      sum += Double(candidate.probability)
      if draw < sum { return candidate.token }
    }
    return last.token
  }

  /// The index of the greatest logit, the first of equals.
  public static func argmax(_ logits: UnsafeMutableBufferPointer<Float>) -> Int {
    var best = 0
    for index in logits.indices where logits[index] > logits[best] { best = index }
    return best
  }

  package struct Candidate: Sendable {
    package let token: Int
    package let probability: Float
  }

  /// The tokens that top-p keeps, the likeliest first. Never empty where there are probabilities.
  package func nucleus(_ probabilities: UnsafeBufferPointer<Float>) -> [Candidate] {
    // All tokens below the cutoff together have less than 1 - p, so none of them is ever kept, but for the likeliest. Few are left to sort.
    let cutoff = min((1 - topP) / Float(max(1, probabilities.count - 1)), probabilities.max() ?? 0)
    var candidates: [Candidate] = []
    for (token, probability) in probabilities.enumerated() where probability >= cutoff {
      candidates.append(Candidate(token: token, probability: probability))
    }
    candidates.sort { $0.probability != $1.probability ? $0.probability > $1.probability : $0.token < $1.token }
    var before: Float = 0
    var kept = 0
    while kept < candidates.count, before <= topP {
      before += candidates[kept].probability
      kept += 1
    }
    return Array(candidates[..<kept])
  }
}

/// Random numbers that a seed determines, the same on every machine: SplitMix64 (Steele, Lea, Flood 2014).
public struct RandomSource: Sendable {
  private var state: UInt64

  /// - Parameter stream: tells apart sequences with the same seed.
  public init(seed: UInt64, stream: UInt64) {
    state = seed
    // Streams start far apart: each seed's first numbers choose its starting points.
    state = next() ^ (stream &* 0xD1B5_4A32_D192_ED03)
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Uniform in 0..<1.
  public mutating func nextUnit() -> Double { Double(next() >> 11) * 0x1p-53 }
}
