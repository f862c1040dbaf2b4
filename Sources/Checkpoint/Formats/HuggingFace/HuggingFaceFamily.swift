import Platform
import SystemPackage

/// Model types of `transformers` whose mathematics is Llama's.
///
/// Source: `modeling_llama.py`, `modeling_mistral.py` and the configurations beside them.
enum HuggingFaceFamily: String {
  case llama, mistral

  /// What the configuration says where it says nothing; nil for as many as there are heads.
  var defaultKeyValueHeads: Int? { self == .mistral ? 8 : nil }

  var keys: KeyTable {
    switch self {
    case .llama: .huggingFace
    case .mistral:
      KeyTable(
        rules: KeyTable.huggingFace.rules.merging([
          "architectures": .only([.array([.text("MistralForCausalLM")])]), "sliding_window": .read, "attention_bias": .only([]), "mlp_bias": .only([]),
        ]) { $1 })
    }
  }

  /// Mistral's layers look back over a window of 4096 where nothing is said, and over all positions where it is null.
  func unhonouredWindow(_ object: [String: JSONValue], _ path: FilePath) -> [UnhonouredKey] {
    guard self == .mistral, object["sliding_window"] != .null else { return [] }
    return [UnhonouredKey("sliding_window", object["sliding_window"] ?? .integer(4096), in: path, because: object["sliding_window"] == nil ? "what a mistral has where it says nothing" : "only null is supported")]
  }

  /// Classes that have a language model's body and no output projection.
  static let headless: Set<String> = ["LlamaModel", "LlamaForSequenceClassification", "LlamaForTokenClassification", "LlamaForQuestionAnswering", "MistralModel", "MistralForSequenceClassification"]
}
