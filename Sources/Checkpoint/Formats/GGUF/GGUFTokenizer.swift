import Platform
import SystemPackage
import Tokenization

/// The tokenizer of a checkpoint as keys of a GGUF.
enum GGUFTokenizer {
  /// - Returns: the keys, and what a person should know, in sentences.
  /// - Throws: for a tokenizer that llama.cpp has no model for.
  static func fields(_ source: Checkpoint) throws(CheckpointError) -> (fields: [(key: String, value: GGUFHeaderBytes.Value)], notes: [String]) {
    switch source.companions.tokenizer {
    // Another GGUF's goes along as it is, with keys that only llama.cpp reads.
    case .gguf(let metadata): return (try metadata.fields { $0.hasPrefix("tokenizer.") }, [])
    case .file(let path): return (try fields(of: path, source), [])
    case nil: return ([("tokenizer.ggml.model", .text("none"))], ["no tokenizer lies beside the weights, so the GGUF has none: llama.cpp takes ids only"])
    }
  }

  private static func fields(of path: FilePath, _ source: Checkpoint) throws(CheckpointError) -> [(key: String, value: GGUFHeaderBytes.Value)] {
    let metadata: Vocabulary.GGUFMetadata
    do throws(VocabularyError) { metadata = try vocabulary(path, source).ggufMetadata(rows: source.params.vocabularySize, file: path.string) } catch {
      throw CheckpointError(error.reason == .unreadable ? .io : error.reason == .unsupported ? .unsupported : .corrupt, "the tokenizer can't come along: \(error)")
    }
    var fields: [(key: String, value: GGUFHeaderBytes.Value)] = []
    func add(_ key: String, _ value: GGUFHeaderBytes.Value?) { if let value { fields.append(("tokenizer." + key, value)) } }
    add("ggml.model", .text(metadata.model))
    add("ggml.pre", metadata.pre.map { .text($0) })
    add("ggml.tokens", .texts(metadata.tokens))
    add("ggml.scores", metadata.scores.isEmpty ? nil : .float32s(metadata.scores))
    add("ggml.token_type", .int32s(metadata.tokenTypes))
    add("ggml.merges", metadata.merges.count == 0 ? nil : .texts(metadata.merges))
    for (key, id) in [
      ("bos", metadata.bos), ("eos", metadata.eos), ("eot", metadata.eot), ("eom", metadata.eom), ("unknown", metadata.unknown), ("padding", metadata.padding),
    ] {
      add("ggml.\(key)_token_id", id.map { .uint32($0) })
    }
    add("ggml.add_bos_token", metadata.addsBOS.map { .bool($0) })
    add("ggml.add_eos_token", metadata.addsEOS.map { .bool($0) })
    add("ggml.add_space_prefix", metadata.addsSpacePrefix.map { .bool($0) })
    add("chat_template", try source.chatTemplate().map { .text($0.text) })
    return fields
  }

  /// A `tokenizer.json` of the Llama 2 kind spells out what SentencePiece does; where SentencePiece's own file lies beside it, that is what llama.cpp wants, with the tokens
  /// that were added to it.
  private static func vocabulary(_ path: FilePath, _ source: Checkpoint) throws(VocabularyError) -> Vocabulary {
    let vocabulary = try Vocabulary.load(path, isHuggingFace: source.companions.huggingFace != nil)
    let pieces = path.removingLastComponent().appending("tokenizer.model")
    guard vocabulary.model == .pipeline, Directory.exists(pieces) else { return vocabulary }
    return try Vocabulary.load(pieces).adding(vocabulary, file: path.string)
  }
}
