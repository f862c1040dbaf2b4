import Checkpoint
import Foundation
import Inference
import SystemPackage
import TestSupport
import Testing

/// What a model's description says is computed, or refused by the name of the key. Never a third thing.
@Suite(.serialized) struct ConfigurationTests {
  /// One model, and what somebody else computes from it.
  struct Case: Decodable {
    let folder: String
    let tokens: [Int]
    /// Keys of the description that may be refused, each by this name; when there are none the model must run.
    let keys: [String]
    /// Log-probabilities after the last few tokens; nil where the other gives up too.
    let scores: [Float]?
    let config: String
  }

  enum Ending: Hashable {
    case computed, refused
  }

  /// Runs a model, and holds its log-probabilities against the other's, or the refusal against the keys that allow one.
  func ending(_ item: Case) -> Ending? {
    let here = "\(item.folder.split(separator: "/").last ?? ""): \(item.config)"
    do {
      let model = try Transformer(Checkpoint.open(at: FilePath(item.folder)), maxBatchSize: 1, maxSequenceLength: item.tokens.count, threads: 1)
      let vocabulary = model.params.vocabularySize
      let logits = try allLogits(model, item.tokens, passes: [item.tokens.indices])
      guard let expected = item.scores else {
        Issue.record("the other gives up, and drover doesn't: \(here)")
        return nil
      }
      var worst: Float = 0
      for row in 0..<expected.count / vocabulary {
        let start = (item.tokens.count - expected.count / vocabulary + row) * vocabulary
        let sum = log(logits[start..<start + vocabulary].reduce(0.0) { $0 + exp(Double($1)) })
        for token in 0..<vocabulary {
          let difference = abs(logits[start + token] - Float(sum) - expected[row * vocabulary + token])
          // Not `max`, which would skip a NaN.
          if !(difference <= worst) { worst = difference }
        }
      }
      #expect(worst < 1e-3, "off by \(worst): \(here)")
      return .computed
    } catch {
      #expect(item.keys.contains { "\(error)".contains($0) }, "refused with “\(error)” where \(item.keys) may be: \(here)")
      return .refused
    }
  }

  func cases(_ script: String, _ arguments: String..., with peer: Peer) throws -> [Case] {
    try python(script, arguments, with: peer).split(separator: "\n").map { try JSONDecoder().decode(Case.self, from: Data($0.utf8)) }
  }

  /// 500 configurations as transformers saves them, with heads, widths, ties, biases, RoPE kinds, epsilons and dtypes drawn at random, whole or in several
  /// files; half of them then rewritten in another spelling, or with a key that no Llama has.
  @Test(.needs(.currentTorch)) func transformersConfigurationsAreComputedOrRefused() throws {
    try withTemporaryFolder { root in
      let cases = try cases(randomConfigurations, root, "500", with: .currentTorch)
      var endings: [Ending: Int] = [:]
      for item in cases { if let ending = ending(item) { endings[ending, default: 0] += 1 } }
      print("500 of transformers: \(endings)")
      #expect(cases.count == 500)
      // So that neither kind can pass for the other.
      #expect(endings[.computed, default: 0] >= 250 && endings[.refused, default: 0] >= 100, "\(endings)")
    }
  }

  @Test(.needs(.python)) func ggufKeysAreComputedOrRefused() throws {
    try withTemporaryFolder { root in
      let endings = try cases(ggufKeys, root, with: .python).compactMap(ending)
      print("\(endings.count) GGUF keys: \(endings.count { $0 == .computed }) computed, \(endings.count { $0 == .refused }) refused")
      #expect(endings.count { $0 == .computed } >= 30 && endings.count { $0 == .refused } >= 100, "\(endings)")
    }
  }

  @Test(.needs(.currentTorch), .needs(.llama3Tokenizer)) func paramsKeysAreComputedOrRefused() throws {
    // The tokenizer is a file of the package whose model is the reference.
    let package = FilePath(Peer.llama3Tokenizer.path).removingLastComponent().removingLastComponent().removingLastComponent()
    try withTemporaryFolder { root in
      let endings = try cases(paramsKeys, root, package.string, with: .currentTorch).compactMap(ending)
      print("\(endings.count) keys of params.json: \(endings.count { $0 == .computed }) computed, \(endings.count { $0 == .refused }) refused")
      #expect(endings.count { $0 == .computed } >= 30 && endings.count { $0 == .refused } >= 25, "\(endings)")
    }
  }
}
