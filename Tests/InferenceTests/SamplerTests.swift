import Foundation
import Inference
import TestSupport
import Testing

/// Choosing a token, next to the reference's algorithm in PyTorch.
@Suite struct SamplerTests {
  struct Kept: Decodable {
    let tokens: [Int]
    let probabilities: [Float]
  }

  /// The tokens that top-p keeps are those of the reference (`sample_top_p` of Meta's generation.py).
  @Test(.needs(.python), arguments: [
    (0.9, 0.6), (0.5, 1), (0.99, 2), (0, 1), (1, 1), (0.1, 0.2), (0, 100), (0, 1000), (0.9, 1e-5), (0.9, 1e-38), (0.9, Float(bitPattern: 1)), (0, 1e-38),
  ] as [(Float, Float)])
  func nucleusIsTheReferences(topP: Float, temperature: Float) throws {
    var random = Splitmix(seed: 11)
    let logits = (0..<2000).map { _ in Float.random(in: -6...6, using: &random) }
    let output = try python(
      """
      import json, sys, torch
      # In float64, where the smallest temperature of float32 overflows nothing.
      logits, p, t = torch.tensor(json.loads(sys.argv[1]), dtype=torch.float64), float(sys.argv[2]), float(sys.argv[3])
      probs = torch.softmax(logits / t, -1)
      ordered, indices = torch.sort(probs, descending=True)
      mask = torch.cumsum(ordered, -1) - ordered > p
      ordered[mask] = 0
      kept = ordered > 0
      print(json.dumps(dict(tokens=indices[kept].tolist(), probabilities=probs[indices[kept]].tolist())))
      """, "\(logits)", "\(topP)", "\(temperature)")
    let expected = try JSONDecoder().decode(Kept.self, from: Data(output.utf8))
    var probabilities = logits
    let sampler = Sampler(temperature: temperature, topP: topP, kernels: try .preferred())
    let kept = probabilities.withUnsafeMutableBufferPointer { buffer in
      var source = RandomSource(seed: 1, stream: 0)
      _ = sampler.sample(buffer, using: &source)
      return sampler.nucleus(UnsafeBufferPointer(buffer))
    }
    // At p = 1 the last tokens of the tail hang on how a sum of thousands of numbers is rounded.
    let sure = topP == 1 ? 1900 : expected.tokens.count
    #expect(kept.prefix(sure).map(\.token) == Array(expected.tokens.prefix(sure)))
    #expect(topP == 1 || kept.count == expected.tokens.count)
    #expect(zip(kept, expected.probabilities).allSatisfy { abs($0.probability - $1) < 1e-6 })
  }

  /// Over many draws each token comes as often as its share of the nucleus.
  @Test func drawsFollowTheDistribution() throws {
    let shares: [Float] = [0.4, 0.3, 0.15, 0.1, 0.05]
    let sampler = Sampler(temperature: 1, topP: 0.8, kernels: try .preferred())
    var counts = [0, 0, 0, 0, 0]
    var source = RandomSource(seed: 42, stream: 3)
    for _ in 0..<20_000 {
      var logits = shares.map { log($0) }
      counts[logits.withUnsafeMutableBufferPointer { sampler.sample($0, using: &source) }] += 1
    }
    // 0.4 and 0.3 come before 0.15, together less than 0.8; before 0.1 there is more.
    let expected = [0.4 / 0.85, 0.3 / 0.85, 0.15 / 0.85, 0, 0]
    for (count, share) in zip(counts, expected) { #expect(abs(Double(count) / 20_000 - share) < 0.015) }
  }

  @Test func greedyTakesTheFirstOfTheGreatest() throws {
    var logits: [Float] = [1, 5, 5, -.infinity]
    var source = RandomSource(seed: 1, stream: 0)
    let sampler = Sampler(temperature: 0, topP: 0.9, kernels: try .preferred())
    #expect(logits.withUnsafeMutableBufferPointer { sampler.sample($0, using: &source) } == 1)
  }
}
