/// The pre-tokenizers and normalizers of a `tokenizer.json`, as far as they can be done here; anything else is refused by name.
struct TokenizerJSONSplits {
  private(set) var splits: [Vocabulary.Split] = []
  private(set) var isByteLevel = false

  /// The patterns that a scanner stands for.
  static let patterns: [(String, Vocabulary.Split)] = [
    (#"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#, .gpt2),
    (
      #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
      .llama3
    ),
  ]

  init(_ preTokenizer: ParsedJSON, file: String) throws(VocabularyError) { try add(preTokenizer, file) }

  private mutating func add(_ step: ParsedJSON, _ file: String) throws(VocabularyError) {
    func unsupported(_ what: String) -> VocabularyError { VocabularyError(.unsupported, in: file, "the pre-tokenizer \(what) isn't supported") }
    switch step["type"]?.string {
    case nil, "Metaspace": break
    case "Sequence": for inner in step["pretokenizers"]?.elements ?? [] { try add(inner, file) }
    case "ByteLevel":
      if step["add_prefix_space"]?.bool ?? true { throw unsupported("ByteLevel with add_prefix_space") }
      if step["use_regex"]?.bool ?? true { splits.append(.gpt2) }
      isByteLevel = true
    case "Digits":
      guard step["individual_digits"]?.bool == true else { throw unsupported("Digits without individual_digits") }
      splits.append(.digits)
    case "Split":
      let pattern = step["pattern"]?["Regex"]?.string
      guard let split = Self.patterns.first(where: { $0.0 == pattern })?.1 else { throw unsupported("Split with the pattern “\(pattern ?? "")”") }
      // The patterns match all of any text, so nothing lies between two matches that could be treated otherwise.
      guard step["behavior"]?.string == "Isolated", step["invert"]?.bool != true else { throw unsupported("Split that does not isolate") }
      splits.append(split)
    case let other?: throw unsupported(other)
    }
  }

  /// When U+2581 is put in front: `Prepend` and `Replace`, as Llama 2's older files say it, or `Metaspace`.
  static func spacePrefix(_ normalizer: ParsedJSON, _ preTokenizer: ParsedJSON, file: String) throws(VocabularyError) -> Vocabulary.SpacePrefix {
    let steps = normalizer["type"]?.string == "Sequence" ? normalizer["normalizers"]?.elements ?? [] : normalizer.isNull ? [] : [normalizer]
    var prefix = Vocabulary.SpacePrefix.never
    var replaces = false
    for step in steps {
      switch step["type"]?.string {
      case "Prepend" where step["prepend"]?.string == "\u{2581}" && !replaces: prefix = .always
      case "Replace" where step["pattern"]?["String"]?.string == " " && step["content"]?.string == "\u{2581}": replaces = true
      default: throw VocabularyError(.unsupported, in: file, "the normalizer \(step["type"]?.string ?? "without a type") isn't supported as it is used here")
      }
    }
    if preTokenizer.isNull, replaces { return prefix }
    guard preTokenizer["type"]?.string == "Metaspace", steps.isEmpty, preTokenizer["replacement"]?.string == "\u{2581}",
      preTokenizer["split"]?.bool == false
    else { throw VocabularyError(.unsupported, in: file, "spaces are handled in a way that isn't supported") }
    switch preTokenizer["prepend_scheme"]?.string {
    case "never": return .never
    case "first": return .unlessPresent(firstOnly: true)
    default: return .unlessPresent(firstOnly: false)
    }
  }
}
