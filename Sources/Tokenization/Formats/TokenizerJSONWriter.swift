import Platform

extension Vocabulary {
  /// This vocabulary as Hugging Face's `tokenizer.json`, from which `tokenizers` makes the same ids.
  ///
  /// - Throws: `unsupported` for what such a file can't say.
  public func huggingFaceFile() throws(VocabularyError) -> [UInt8] {
    switch model {
    case .tiktoken: return try withMerges().huggingFaceFile()
    case .byteLevel:
      return try document(
        steps: Steps(
          normalizer: "null", preTokenizer: byteLevelSteps(),
          decoder: #"{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}"#,
          options: #""fuse_unk":false,"byte_fallback":false,"ignore_merges":\#(ignoresMerges)"#),
        merges: merges
      ) { id in kinds[id] == .normal ? ByteAlphabet.encode(tokens[id]) : tokens.string(id) }
    case .sentencePiece: return try document(steps: pieceSteps(), merges: pieceMerges()) { id in tokens.string(id) }
    case .pipeline: throw VocabularyError(.unsupported, in: Self.jsonName, "a tokenizer that came from a tokenizer.json is copied, not written anew")
    }
  }

  private static let jsonName = "tokenizer.json"

  /// What is done to a text before and after the merges, as JSON.
  private struct Steps {
    let normalizer: String
    let preTokenizer: String
    let decoder: String
    /// Of the model.
    let options: String
  }

  /// As `LlamaConverter` of transformers has it: spaces become U+2581, one is put in front of every run of text between special tokens, and characters
  /// without a piece fall back to bytes.
  private func pieceSteps() -> Steps {
    let replace = #"{"type":"Replace","pattern":{"String":" "},"content":"▁"}"#
    let isPrefixed = rules.prefix == .always
    let fallsBack = hasAllBytes
    let decoders = [#"{"type":"Replace","pattern":{"String":"▁"},"content":" "}"#] + (fallsBack ? [#"{"type":"ByteFallback"}"#] : []) + [#"{"type":"Fuse"}"#]
      + (isPrefixed ? [#"{"type":"Strip","content":" ","start":1,"stop":0}"#] : [])
    return Steps(
      normalizer: isPrefixed ? #"{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},\#(replace)]}"# : replace, preTokenizer: "null",
      decoder: #"{"type":"Sequence","decoders":[\#(decoders.joined(separator: ","))]}"#,
      options: #""fuse_unk":true,"byte_fallback":\#(fallsBack),"ignore_merges":false"#)
  }

  private func byteLevelSteps() -> String {
    var json = JSONStream()
    json.raw(#"{"type":"Sequence","pretokenizers":["#)
    for split in splits {
      let source: String? = switch split {
      case .pattern(let pattern): pattern.source
      case .scan(let scan): TokenizerJSONSteps.patterns.first { $0.1 == scan }?.0
      }
      // Of the scanners only that for digits stands for no pattern of these files.
      if let source {
        json.raw(#"{"type":"Split","pattern":{"Regex":"#)
        json.string(source.utf8)
        json.raw(#"},"behavior":"Isolated","invert":false},"#)
      } else {
        json.raw(#"{"type":"Digits","individual_digits":true},"#)
      }
    }
    json.raw(#"{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]}"#)
    return String(decoding: json.bytes, as: UTF8.self)
  }

  /// - Parameter spelled: how the file spells a token.
  private func document(steps: Steps, merges: [Merge], spelled: (Int) -> String) throws(VocabularyError) -> [UInt8] {
    var json = JSONStream()
    json.raw(#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":["#)
    var isFirst = true
    for id in kinds.indices where [.control, .unknown, .userDefined].contains(kinds[id]) {
      json.separate(&isFirst)
      json.raw(#"{"id":\#(id),"content":"#)
      json.string(tokens[id])
      // SentencePiece looks for its own pieces in the prepared text; a GGUF's are looked for in the text as it is.
      let isNormalized = kinds[id] == .userDefined && model == .sentencePiece && added == nil
      json.raw(#","single_word":false,"lstrip":false,"rstrip":false,"normalized":\#(isNormalized),"special":\#(kinds[id] != .userDefined)}"#)
    }
    json.raw(#"],"normalizer":\#(steps.normalizer),"pre_tokenizer":\#(steps.preTokenizer),"post_processor":"#)
    writeTemplate(to: &json)
    json.raw(#","decoder":\#(steps.decoder),"model":{"type":"BPE","dropout":null,"unk_token":"#)
    if let unknown { json.string(tokens[unknown]) } else { json.raw("null") }
    json.raw(#","continuing_subword_prefix":null,"end_of_word_suffix":null,\#(steps.options),"vocab":{"#)
    isFirst = true
    // By their bytes: for Swift a text is the same in each of Unicode's forms, and Llama 2's vocabulary has “ί” in two of them.
    var known = Set<[UInt8]>()
    for id in kinds.indices where !tokens[id].isEmpty {
      let text = spelled(id)
      guard known.insert(Array(text.utf8)).inserted else {
        throw VocabularyError(.unsupported, in: Self.jsonName, "token “\(text)” occurs twice, and a tokenizer.json can't say so")
      }
      json.separate(&isFirst)
      json.string(text.utf8)
      json.raw(":\(id)")
    }
    json.raw(#"},"merges":["#)
    isFirst = true
    for merge in merges {
      json.separate(&isFirst)
      json.raw("[")
      json.string(spelled(Int(merge.left)).utf8)
      json.raw(",")
      json.string(spelled(Int(merge.right)).utf8)
      json.raw("]")
    }
    json.raw("]}}\n")
    return json.bytes
  }

  private func writeTemplate(to json: inout JSONStream) {
    let before = addsBOS ? bos : nil
    let after = addsEOS ? eos : nil
    guard before != nil || after != nil else { return json.raw("null") }
    func item(_ id: Int, _ type: Int) {
      json.raw(#"{"SpecialToken":{"id":"#)
      json.string(tokens[id])
      json.raw(#","type_id":\#(type)}}"#)
    }
    func sequence(_ name: String, _ type: Int) {
      if let before {
        item(before, type)
        json.raw(",")
      }
      json.raw(#"{"Sequence":{"id":"\#(name)","type_id":\#(type)}}"#)
      if let after {
        json.raw(",")
        item(after, type)
      }
    }
    json.raw(#"{"type":"TemplateProcessing","single":["#)
    sequence("A", 0)
    json.raw(#"],"pair":["#)
    sequence("A", 0)
    json.raw(",")
    sequence("B", 1)
    json.raw(#"],"special_tokens":{"#)
    var isFirst = true
    for id in Set([before, after].compactMap(\.self)).sorted() {
      json.separate(&isFirst)
      json.string(tokens[id])
      json.raw(#":{"id":"#)
      json.string(tokens[id])
      json.raw(#","ids":[\#(id)],"tokens":["#)
      json.string(tokens[id])
      json.raw("]}")
    }
    json.raw("}}")
  }
}

/// A long JSON document as it is written.
private struct JSONStream {
  private(set) var bytes: [UInt8] = []

  mutating func raw(_ text: String) { bytes += text.utf8 }

  mutating func separate(_ isFirst: inout Bool) {
    if !isFirst { bytes.append(UInt8(ascii: ",")) }
    isFirst = false
  }

  mutating func string(_ utf8: some Sequence<UInt8>) { JSONText.appendQuoted(utf8, to: &bytes) }
}
