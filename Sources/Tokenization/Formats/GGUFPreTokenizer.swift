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
  /// By number, as some of these are written like others.
  private static let latin =
    #"A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-"#
      + #"\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}"#
      + #"\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}"#
      + #"\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-"#
      + #"\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}"#
      + #"\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-"#
      + #"\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}"#
      + #"\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}"#
      + #"\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}"#
      + #"-\x{1E943}"#
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
