import Checkpoint
import SystemPackage
public import Templates
import Tokenization

/// A checkpoint ready to run: weights, tokenizer, transformer.
public struct LanguageModel {
  public let checkpoint: Checkpoint
  public let tokenizer: any Tokenizer
  public let transformer: Transformer

  /// Opens the checkpoint at `path`, whatever its format and layout.
  ///
  /// - Parameters:
  ///   - options: what the caller says of the checkpoint.
  ///   - tokenizer: a tokenizer file; nil for the one that came with the weights.
  ///   - threads: nil for one a processor.
  ///   - quantization: what matrices are quantized to, in memory; nil for what is stored.
  ///   - other: whose threads it computes on instead, while that one doesn't.
  ///   - ignoredKeys: keys of the model's description to go on without; see `Checkpoint.ignoring`.
  /// - Throws: `CheckpointError`, `VocabularyError` or `InferenceError`.
  public init(
    at path: FilePath, _ options: Checkpoint.OpenOptions = .init(), tokenizer: FilePath? = nil, maxBatchSize: Int, maxSequenceLength: Int, threads: Int? = nil,
    quantization: DTypeMix? = nil, sharingThreadsOf other: LanguageModel? = nil, ignoredKeys: [String] = []
  ) throws {
    checkpoint = try Checkpoint.open(at: path, options).ignoring(ignoredKeys)
    try checkpoint.requireHonoured()
    guard let vocabulary = try tokenizer.map({ try Vocabulary.load($0) }) ?? checkpoint.vocabulary() else {
      throw InferenceError.missingTokenizer(path: path.string)
    }
    self.tokenizer = vocabulary.makeTokenizer()
    transformer = try Transformer(checkpoint, maxBatchSize: maxBatchSize, maxSequenceLength: maxSequenceLength, threads: threads, quantization: quantization, sharingThreadsOf: other?.transformer)
  }

  /// Bytes that the keys and values of one text of so many tokens take, for a model that needn't be here.
  public static func cacheBytes(_ shape: StatedShape, tokens: Int) -> Int {
    let (bytes, overflow) = KVCache.elements(layers: shape.layers, kvHeads: shape.kvHeads, headDim: shape.headDim, slots: 1, positions: tokens)
      .multipliedReportingOverflow(by: MemoryLayout<Float>.size)
    return overflow ? .max : bytes
  }

  /// What ends a text: the vocabulary's ends, and what `config.json` and `generation_config.json` name.
  public var stopTokens: Set<Int> { Set(tokenizer.vocabulary.endTokens + checkpoint.endTokens) }

  /// What a person should know about the model and its tokenizer, in sentences.
  public var notes: [String] { checkpoint.companions.notes + tokenizer.vocabulary.notes }

  /// The tokens of a prompt, BOS first where the model was trained with it. Added tokens that the prompt spells are found in a Hugging Face folder, as
  /// `AutoTokenizer` finds them; elsewhere the text of a control token stays text, as in Meta's reference.
  public func encode(prompt: String) throws(VocabularyError) -> [Int] {
    let vocabulary = tokenizer.vocabulary
    return try tokenizer.encode(prompt, bos: vocabulary.addsBOS, eos: vocabulary.addsEOS, parsingSpecials: checkpoint.format == .hf)
  }

  /// The format that the model's own chat template writes; nil where none came with the weights.
  /// - Parameter now: what a template that asks for the date is told.
  /// - Throws: `CheckpointError` or `ChatError` for a template that can't be read.
  public func templateFormat(now: Moment) throws -> ChatFormat? {
    guard let file = try checkpoint.chatTemplate() else { return nil }
    return .template(try ChatTemplate(file, vocabulary: tokenizer.vocabulary, now: now))
  }
}
