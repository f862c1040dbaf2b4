import Foundation
import TestSupport

/// Texts that tokenizers get wrong.
enum Texts {
  static let chosen: [String] = [
    "", " ", "  ", "\n", "a", "Hello, world!", " leading", "trailing ", "  two leading", "a  b   c    d", "\t\tx\t", "tabs\tand spaces \t mixed",
    "line\nline\r\nline\rline\n\n\n\nline\n \n  \n", "\r\n\r\n  \r\n x", "x \n y", "x\n y", "x  \n\n  y", String(repeating: " ", count: 300) + "end",
    String(repeating: "\n", count: 200), String(repeating: " \n", count: 50), String(repeating: "\t", count: 90) + "x",
    "I'm you're he'll they've she'd it's 'tis ISN'T CAN'T I'LL WE'VE 'S 's' ''s 'ſ xx'ſt 'RE 'rE'Ll", "don’t ‘quote’ “quote” «quote»",
    "0 1 12 123 1234 12345 123456789 3.14159 1,000,000 0x1F 1e-9 ٣٤٥ ५६७ 一二三 ⅷ ½ ² ①", "a1b22c333d4444", "  123  456  7", "5 \n 6",
    "func f<T>(_ x: inout [T]) -> Int { return x.map { $0 + 1 }.reduce(0, +) } // TODO", "if (a != b && c->d >= *e++) { printf(\"%d\\n\", x[i]); }",
    "<html><body class=\"x\">&amp;</body></html>", "SELECT * FROM t WHERE a='b';--", "https://example.com/a?b=c&d=%20#frag user@example.com",
    "def f(x):\n    if x:\n        return None\n\treturn\n", "{\"a\": [1, 2, {\"b\": null}], \"c\": \"\\u00e9\"}", "```swift\nlet x = 1\n```", "a_b-c.d/e\\f|g~h`i",
    "The quick brown fox jumps over the lazy dog.", "Ünïcödé naïve café façade œuvre ßtraße ÆØÅ", "cafe\u{301} e\u{301}\u{327} n\u{303} \u{301} a\u{20DD}",
    "Съешь ещё этих мягких французских булок", "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία", "שלום עולם", "שָׁלוֹם", "مرحبا بالعالم", "السَّلَامُ عَلَيْكُمْ", "हिन्दी में लिखा हुआ पाठ",
    "বাংলা লেখা", "தமிழ் எழுத்து", "ภาษาไทยไม่มีช่องว่าง", "ລາວ ຂໍ້ຄວາມ", "မြန်မာစာ", "ខ្មែរ អក្សរ", "አማርኛ ጽሑፍ", "ქართული ენა", "Հայերեն լեզու", "བོད་ཡིག", "ᐃᓄᒃᑎᑐᑦ", "ᏣᎳᎩ",
    "日本語のテキスト、漢字とかな。カタカナ", "中文文本，没有空格。繁體字", "한국어 텍스트 ㄱㄴㄷ", "Tiếng Việt có dấu", "𠜎𠜱𠝹 𝒳𝓎𝓏 𝟘𝟙𝟚 𐍈𐌰", "ﷺ ﬁ ﬂ ﬆ",
    "👍 👍🏽 👩‍👩‍👧‍👦 👨🏿‍🚀 🏳️‍🌈 🏴‍☠️ 🇩🇪🇫🇷🇺🇳 🏴󠁧󠁢󠁳󠁣󠁴󠁿 1️⃣ #️⃣ ☺️ ☺ 🫠🫡 🧑🏻‍🤝‍🧑🏿", "🙂🙂🙂🙂", " 🙂 text🙂text", "❤️‍🔥", "\u{200D}\u{FE0F}\u{20E3}",
    "\0", "a\0b", "\0\0\0", "\u{1}\u{2}\u{7F}\u{80}\u{85}\u{9F}\u{A0}x\u{AD}y", "\u{1C}\u{1D}\u{1E}\u{1F} x", "\u{B}\u{C}x \u{B} y", "\u{2028}x\u{2029}y", "x\u{3000}y\u{3000}\u{3000}z",
    "\u{200B}zero\u{200B}width\u{FEFF}", "\u{202E}rtl\u{202C}", "\u{FEFF}bom", "\u{E000}\u{F8FF}\u{F0000}\u{10FFFD}", "\u{FFFD}\u{FFFE}\u{FFFF}\u{10FFFF}", "\u{378}\u{E0001}", "▁ ▁▁ a▁b ▁a", "<0x0A> <0xFF>", "Ġ Ċ Ā ġ",
    "<s>", "</s>", "<unk>", "a <s> b</s>", "[INST] hi [/INST]", "<<SYS>>", "<|begin_of_text|>", "<|eot_id|> x", "<|im_start|>user\nhi<|im_end|>\n",
    "<|endoftext|>", "<|reserved_special_token_3|>", "<repo_name><file_sep>", "<|im_start", "a<|start_header_id|>b<|end_header_id|>\n\nc",
    String(repeating: "a", count: 1000), String(repeating: "ab", count: 700), String(repeating: "=", count: 500), String(repeating: "é", count: 333), String(repeating: "🙂", count: 100),
    String(repeating: "1", count: 400), String(repeating: "haha", count: 200), String(repeating: "the ", count: 200), String(repeating: "漢", count: 250), String(repeating: "- ", count: 100),
  ]

  /// `count` strings made of pieces that meet in unlucky ways; the same every time.
  static func random(_ count: Int, seed: UInt64) -> [String] {
    var generator = Splitmix(seed: seed)
    let pieces: [String] = [
      " ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\u{A0}", "\u{3000}", "\u{85}", "\u{2003}", "'", "'s", "'T", "'re", "'LL", "’s", "1", "23", "456", "7890", "٣", "½", "Ⅷ",
      "a", "the", "The", "ing", "er", "Hello", "world", "X", "é", "ß", "ſ", "ñ", "ö", "я", "Ж", "λ", "ش", "ה", "अ", "ि", "ก", "字", "の", "한", "\u{301}", "\u{200D}", "\u{FE0F}", "🙂", "🏽", "🇩", "👩",
      ".", ",", "!", "?", "...", "(", ")", "{", "}", "==", "->", "//", "\"", "#", "_", "-", "\\", "\0", "\u{7F}", "\u{E000}", "▁", "<", "|", ">", "<s>", "<|im_end|>", "<|eot_id|>",
    ]
    return (0..<count).map { _ in
      var text = ""
      for _ in 0..<generator.next(upTo: 30) {
        switch generator.next(upTo: 8) {
        case 0: if let scalar = Unicode.Scalar(UInt32(generator.next(upTo: 0x3000))) { text.unicodeScalars.append(scalar) }
        case 1: if let scalar = Unicode.Scalar(UInt32(generator.next(upTo: 0x110000))) { text.unicodeScalars.append(scalar) }
        case 2: text.unicodeScalars.append(Unicode.Scalar(UInt8(generator.next(upTo: 128))))
        default: text += pieces[generator.next(upTo: pieces.count)]
        }
      }
      return text
    }
  }

  /// `count` byte strings, most of them malformed UTF-8.
  static func malformed(_ count: Int, seed: UInt64) -> [[UInt8]] {
    var generator = Splitmix(seed: seed)
    let pieces: [[UInt8]] = [
      [0x80], [0xBF], [0xC0, 0x80], [0xC2], [0xE2, 0x96], [0xE2, 0x96, 0x81], [0xED, 0xA0, 0x80], [0xF0, 0x9F, 0x99], [0xF4, 0x90, 0x80, 0x80], [0xF8], [0xFF], [0xFE], [0xE0, 0x80, 0x80],
      Array(" a".utf8), Array("b ".utf8), Array("é".utf8), Array("🙂".utf8), Array("字".utf8), [0],
    ]
    return (0..<count).map { _ in (0..<generator.next(upTo: 12)).flatMap { _ in pieces[generator.next(upTo: pieces.count)] } }
  }

  static var all: [String] { chosen + random(4000, seed: 1) }
}

extension Splitmix {
  mutating func next(upTo limit: Int) -> Int { Int.random(in: 0..<limit, using: &self) }
}
