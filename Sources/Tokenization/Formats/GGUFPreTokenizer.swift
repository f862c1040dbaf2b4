/// What a name in a GGUF's `tokenizer.ggml.pre` stands for: how byte-level BPE cuts text before it merges.
///
/// Sources: `llama-vocab.cpp` of llama.cpp for which name means what, and the `tokenizer.json` of each model for its patterns. Where llama.cpp writes a
/// pattern anew for a simpler engine, the model's own is used.
struct GGUFPreTokenizer {
  let cuts: [Vocabulary.Cut]
  /// A piece that is a token becomes that token, whatever the merges say.
  let ignoresMerges: Bool
  /// Whether a prompt starts with BOS where the file doesn't say.
  let addsBOS: Bool

  /// - Returns: nil for a name that isn't known.
  init?(_ name: String, file: String) throws(VocabularyError) {
    guard let entry = Self.table.first(where: { $0.names.contains(name) }) else { return nil }
    var cuts: [Vocabulary.Cut] = []
    for step in entry.steps {
      switch step {
      case .scan(let split): cuts.append(.scan(split))
      case .regex(let source): cuts.append(.pattern(try Pattern(source, file: file)))
      }
    }
    self.cuts = cuts
    ignoresMerges = entry.ignoresMerges
    addsBOS = entry.addsBOS
  }

  /// Of a file that doesn't say, and that is told by its tokens: those from before May 2024.
  static let llama3 = "llama-bpe"

  private enum Step {
    case scan(Vocabulary.Split)
    case regex(String)
  }

  private struct Entry {
    let names: [String]
    let steps: [Step]
    var ignoresMerges = false
    var addsBOS = false
  }

  static var names: [String] { table.flatMap(\.names) }

  private static let ends = #"\s*[\r\n]+|\s+(?!\S)|\s+"#
  private static let contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
  private static let upper = #"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"#
  private static let lower = #"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"#
  /// Words in which capitals come first; `suffix` is what may follow one.
  private static func words(_ suffix: String) -> String {
    #"[^\r\n\p{L}\p{N}]?\#(upper)*\#(lower)+\#(suffix)|[^\r\n\p{L}\p{N}]?\#(upper)+\#(lower)*\#(suffix)"#
  }
  static let gpt4o = words(contractions + "?") + #"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|"# + ends
  private static let bloom = #" ?[^(\s|.,!?…。，、।۔،)]+"#
  private static let qwen = #"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"# + ends
  private static let deepSeek3 =
    ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"## + ends
  private static let latin =
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u{2126}ℨ\u{212A}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⲲⲳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
  private static let ideographs = #"[一-龥ࠀ-一가-\x{D7FF}]+"#

  private static let table: [Entry] = [
    Entry(
      names: [
        "gpt-2", "phi-2", "gigachat", "a.x-4.0", "mellum", "mpt", "olmo", "jais", "trillion", "granite-docling", "exaone4",
      ], steps: [.scan(.gpt2)]),
    Entry(
      names: ["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"], steps: [.scan(.digits), .scan(.gpt2)]),
    Entry(
      names: [llama3, "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"], steps: [.scan(.llama3)], ignoresMerges: true, addsBOS: true),
    Entry(names: ["dbrx", "smaug-bpe", "chatglm-bpe"], steps: [.scan(.llama3)]),
    Entry(names: ["glm4", "glm5"], steps: [.scan(.llama3)], ignoresMerges: true),
    Entry(
      names: ["qwen2", "deepseek-r1-qwen", "kormo", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2"], steps: [.regex(contractions + "|" + qwen)]),
    Entry(
      names: ["qwen35"],
      steps: [.regex(contractions + #"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|"# + ends)]),
    Entry(names: ["ufakzeka"], steps: [.regex(qwen)]),
    Entry(
      names: ["minicpm5"],
      steps: [.regex(#"\p{N}{1,3}"#), .regex(contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|"# + ends)], ignoresMerges: true),
    Entry(
      names: ["bailingmoe", "bailingmoe2", "llada-moe"],
      steps: [.regex(#"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"#)]),
    Entry(
      names: ["seed-coder"], steps: [.regex(contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|"# + ends)]),
    Entry(
      names: ["tekken"], steps: [.regex(words("") + #"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|"# + ends)], ignoresMerges: true, addsBOS: true),
    Entry(names: ["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], steps: [.regex(gpt4o)]),
    Entry(
      names: ["deepseek-llm"],
      steps: [
        .regex(#"[\r\n]"#), .regex(#"\s?["# + latin + "]+"), .regex(#"\s?[!-/:-~！-／：-～‘-‟　-。]+"#), .regex(#"\s+$"#), .regex(ideographs), .regex(#"\p{N}+"#),
      ]),
    Entry(
      names: ["deepseek-coder"], steps: [.regex(#"[\r\n]"#), .regex(#"\s?\p{L}+"#), .regex(#"\s?\p{P}+"#), .regex(ideographs), .regex(#"\p{N}"#)]),
    Entry(
      names: ["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"], steps: [.regex(#"\p{N}{1,3}"#), .regex("[一-龥぀-ゟ゠-ヿ]+"), .regex(deepSeek3)]),
    Entry(names: ["falcon"], steps: [.regex(#"[\p{P}\$\+<=>\^~\|`]+"#), .scan(.gpt2), .regex("[0-9][0-9][0-9]")]),
    Entry(names: ["poro-chat", "bloom", "gpt3-finnish"], steps: [.regex(bloom)]),
    Entry(names: ["viking"], steps: [.regex(bloom), .regex(#"\p{N}"#)]),
    Entry(names: ["default"], steps: [.regex(#"[\p{P}\$\+<=>\^~\|]+"#), .scan(.gpt2), .regex(#"\p{N}+"#), .regex("[0-9][0-9][0-9]")]),
  ]
}
