internal import FoundationEssentials
import Platform

/// The normalizers, pre-tokenizers and decoders of a `tokenizer.json`; what isn't understood is refused by name.
struct TokenizerJSONSteps {
  let file: String

  /// The patterns that a scanner stands for: each matches all of any text.
  static let patterns: [(String, Vocabulary.Split)] = [
    (#"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#, .gpt2),
    (
      #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
      .llama3
    ),
  ]

  private func unsupported(_ what: String) -> VocabularyError { VocabularyError(.unsupported, in: file, "\(what) isn't supported") }

  /// Checks that a step has no keys but those that are understood.
  private func check(_ step: JSONValue, _ kind: String, knows keys: Set<String>) throws(VocabularyError) {
    for key in step.keys.sorted() where key != "type" && !keys.contains(key) {
      throw unsupported("the key “\(key)” of the \(kind) \(step["type"]?.text ?? "")")
    }
  }

  private func text(_ step: JSONValue, _ key: String) throws(VocabularyError) -> [UInt8] {
    guard let text = step[key]?.text else { throw VocabularyError(.corrupt, in: file, "\(step["type"]?.text ?? "a step") has no “\(key)”") }
    return Array(text.utf8)
  }

  private func cutter(_ pattern: JSONValue?) throws(VocabularyError) -> TextCutter {
    if let text = pattern?["String"]?.text { return TextCutter(string: text) }
    if let source = pattern?["Regex"]?.text { return .pattern(try Pattern(source, file: file)) }
    throw unsupported("a pattern that is neither a String nor a Regex")
  }

  // MARK: Normalizers

  func normalizers(_ step: JSONValue) throws(VocabularyError) -> [Normalizer] {
    switch step["type"]?.text {
    case nil:
      guard step.isNull else { throw unsupported("a normalizer without a type") }
      return []
    case "Sequence":
      try check(step, "normalizer", knows: ["normalizers"])
      var steps: [Normalizer] = []
      for inner in step["normalizers"]?.elements ?? [] { steps += try normalizers(inner) }
      return steps
    case "Prepend":
      try check(step, "normalizer", knows: ["prepend"])
      return [.prepend(try text(step, "prepend"))]
    case "Replace":
      try check(step, "normalizer", knows: ["pattern", "content"])
      return [.replace(try cutter(step["pattern"]), with: try text(step, "content"))]
    case "Lowercase": return [.lowercase]
    case "Strip":
      try check(step, "normalizer", knows: ["strip_left", "strip_right"])
      return [.strip(left: step["strip_left"]?.bool ?? true, right: step["strip_right"]?.bool ?? true)]
    case "Precompiled":
      try check(step, "normalizer", knows: ["precompiled_charsmap"])
      guard let text = step["precompiled_charsmap"]?.text, let map = Data(base64Encoded: text), let characters = PrecompiledCharacters(Array(map)) else {
        throw VocabularyError(.corrupt, in: file, "the precompiled character map is malformed")
      }
      return [.precompiled(characters)]
    case let name?:
      guard let form = UnicodeText.Form(rawValue: name) else { throw unsupported("the normalizer \(name)") }
      return [.form(form)]
    }
  }

  // MARK: Pre-tokenizers

  func preTokenizers(_ step: JSONValue) throws(VocabularyError) -> [TextPipeline.PreTokenizer] {
    switch step["type"]?.text {
    case nil:
      guard step.isNull else { throw unsupported("a pre-tokenizer without a type") }
      return []
    case "Sequence":
      try check(step, "pre-tokenizer", knows: ["pretokenizers"])
      var steps: [TextPipeline.PreTokenizer] = []
      for inner in step["pretokenizers"]?.elements ?? [] { steps += try preTokenizers(inner) }
      return steps
    case "ByteLevel":
      try check(step, "pre-tokenizer", knows: ["add_prefix_space", "trim_offsets", "use_regex"])
      return [.byteLevel(prefixesSpace: step["add_prefix_space"]?.bool ?? true, byPattern: step["use_regex"]?.bool ?? true)]
    case "Digits":
      try check(step, "pre-tokenizer", knows: ["individual_digits"])
      return [.digits(single: step["individual_digits"]?.bool ?? false)]
    case "Split": return [try split(step)]
    case "Metaspace": return [try metaspace(step)]
    case "Whitespace":
      let pattern = try Pattern("[\(PatternSource.wordOfUTS18)]+|[^\(PatternSource.wordOfUTS18)\\s]+", file: file)
      return [.split(.pattern(pattern), .removed, inverted: true)]
    case "WhitespaceSplit": return [.split(.pattern(try Pattern(#"\s"#, file: file)), .removed, inverted: false)]
    case "Punctuation":
      try check(step, "pre-tokenizer", knows: ["behavior"])
      let pattern = try Pattern(#"[!-/:-@\[-`{-~\p{P}]"#, file: file)
      return [.split(.pattern(pattern), try behavior(step["behavior"] ?? .text("Isolated")), inverted: false)]
    case let other?: throw unsupported("the pre-tokenizer \(other)")
    }
  }

  private func behavior(_ name: JSONValue?) throws(VocabularyError) -> TextPipeline.Behavior {
    guard let behavior = name?.text.flatMap(TextPipeline.Behavior.init(rawValue:)) else { throw unsupported("the behavior “\(name?.text ?? "")”") }
    return behavior
  }

  private func split(_ step: JSONValue) throws(VocabularyError) -> TextPipeline.PreTokenizer {
    try check(step, "pre-tokenizer", knows: ["pattern", "behavior", "invert"])
    let behavior = try behavior(step["behavior"])
    let inverted = step["invert"]?.bool ?? false
    if behavior == .isolated, let scan = Self.patterns.first(where: { $0.0 == step["pattern"]?["Regex"]?.text })?.1 { return .scan(scan) }
    return .split(try cutter(step["pattern"]), behavior, inverted: inverted)
  }

  private func metaspace(_ step: JSONValue) throws(VocabularyError) -> TextPipeline.PreTokenizer {
    try check(step, "pre-tokenizer", knows: ["replacement", "prepend_scheme", "add_prefix_space", "split", "str_rep"])
    let replacement = try text(step, "replacement")
    // Files from before 2024 say it with `add_prefix_space`.
    let name = step["prepend_scheme"]?.text ?? "always"
    guard var prefix = TextPipeline.PreTokenizer.Prefix(rawValue: name) else { throw unsupported("the prepend_scheme “\(name)”") }
    if step["add_prefix_space"]?.bool == false {
      guard step["prepend_scheme"] == nil || prefix == .never else {
        throw VocabularyError(.corrupt, in: file, "Metaspace has add_prefix_space: false and prepend_scheme: \(name)")
      }
      prefix = .never
    }
    return .metaspace(replacement: replacement, prefix, splits: step["split"]?.bool ?? true)
  }

  // MARK: Decoders

  func decoder(_ step: JSONValue) throws(VocabularyError) -> TokenDecoder {
    var decoder = TokenDecoder()
    guard !step.isNull else {
      // Without a decoder the library puts a space between tokens.
      (decoder.separator, decoder.lead) = ([UInt8(ascii: " ")], .spaces(1))
      return decoder
    }
    try add(step, to: &decoder)
    return decoder
  }

  private func add(_ step: JSONValue, to decoder: inout TokenDecoder) throws(VocabularyError) {
    switch step["type"]?.text {
    case "Sequence": for inner in step["decoders"]?.elements ?? [] { try add(inner, to: &decoder) }
    case "ByteLevel": decoder.steps.append(.byteLevel)
    case "ByteFallback": decoder.hasByteTokens = true
    case "Fuse": break
    case "Replace":
      guard let from = step["pattern"]?["String"]?.text, !from.isEmpty else { throw unsupported("a decoder that replaces a pattern") }
      decoder.steps.append(.replace(Array(from.utf8), with: try text(step, "content")))
    case "Strip":
      guard step["content"]?.text == " ", step["stop"]?.integer ?? 0 == 0, let count = step["start"]?.integer, count >= 0 else {
        throw unsupported("a decoder that strips anything but leading spaces")
      }
      decoder.lead = .spaces(count)
    case "Metaspace":
      let replacement = try text(step, "replacement")
      decoder.steps.append(.replace(replacement, with: [UInt8(ascii: " ")]))
      if step["prepend_scheme"]?.text != "never", step["add_prefix_space"]?.bool != false { decoder.lead = .firstTokens(replacement) }
    case let other: throw unsupported("the decoder \(other ?? "without a type")")
    }
  }
}
