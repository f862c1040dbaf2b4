import SystemPackage
import Tokenization

/// Hugging Face's `generation_config.json`, as far as it is read and written here: the tokens that begin and end a text, and how Meta's programs sample.
///
/// Source: `transformers/generation/configuration_utils.py`.
struct GenerationConfig: Codable {
  var bosTokenID: HuggingFaceConfig.TokenIDs?
  var eosTokenID: HuggingFaceConfig.TokenIDs?

  var doSample: Bool?
  var temperature: Double?
  var topP: Double?

  static let fileName = "generation_config.json"

  enum CodingKeys: String, CodingKey {
    case bosTokenID = "bos_token_id"
    case eosTokenID = "eos_token_id"
    case doSample = "do_sample"
    case temperature
    case topP = "top_p"
  }

  /// From the vocabulary that comes with `source`. One that drover can't run goes along as it is, and says which its tokens are.
  init(_ source: Checkpoint) throws(CheckpointError) {
    do throws(VocabularyError) {
      let vocabulary = try source.vocabulary()
      bosTokenID = vocabulary?.bos.map { .init([$0]) }
      eosTokenID = vocabulary.flatMap { $0.endTokens.isEmpty ? nil : .init($0.endTokens) }
    } catch {
      guard error.reason == .unsupported else { throw CheckpointError(.corrupt, "the tokenizer can't come along: \(error)") }
    }
  }

  /// The bytes of the file for `source`: its own, if it is a Hugging Face folder; nil when that has none, or nothing is known.
  static func file(for source: Checkpoint) throws(CheckpointError) -> [UInt8]? {
    if let own = source.companions.huggingFace { return try own.generationConfig.map { path throws(CheckpointError) in try LocalFile.contents(of: path) } }
    var config = try GenerationConfig(source)
    // The defaults of `example_chat_completion.py` in Meta's repositories, as `convert_llama_weights_to_hf.py` of transformers 4 writes them.
    if source.companions.params != nil { (config.doSample, config.temperature, config.topP) = (true, 0.6, 0.9) }
    return config.eosTokenID == nil ? nil : try encodeJSON(config)
  }
}
