import Catalog
import SystemPackage

/// Which files make a folder a checkpoint, as Meta, Hugging Face and drover call them: `--force` removes no others.
enum CheckpointContents {
  /// Why a folder with these files isn't a checkpoint and nothing else, so that it could be made again; nil when it is.
  static func objection(to names: [String]) -> String? {
    if let foreign = names.sorted().first(where: { !isWeights($0) && !companions.contains($0) }) {
      return "holds \(foreign), which isn't part of a checkpoint"
    }
    let weights = names.filter(isWeights)
    if weights.isEmpty { return "holds no weights" }
    // A folder of many is a collection, unless they are parts of one.
    if weights.count > 1, !GGUFPartName.areOfOne(weights), let collected = weights.first(where: isGGUF) { return "holds \(collected) beside other weights, so it isn't one checkpoint" }
    return nil
  }

  private static let companions: Set<String> = Set(LegalFiles.names).union([
    "params.json", "checklist.chk", "tokenizer.model", "tokenizer_checklist.chk",
    "config.json", "generation_config.json", "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "chat_template.jinja", "drover-receipt.json",
  ])

  private static func isWeights(_ name: String) -> Bool {
    isGGUF(name) || name == ".metadata" || name == "__0_0.distcp" || name == "model.safetensors" || name == "consolidated.safetensors" || name.wholeMatch(of: /consolidated\.[0-9]+\.(pth|safetensors)/) != nil
      || name.wholeMatch(of: /model-[0-9]+-of-[0-9]+\.safetensors/) != nil
  }

  private static func isGGUF(_ name: String) -> Bool { name.hasSuffix(".gguf") }
}
