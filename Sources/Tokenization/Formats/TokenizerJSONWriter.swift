import Platform

extension Vocabulary {
  /// This vocabulary as Hugging Face's `tokenizer.json`, from which `tokenizers` makes the same ids.
  ///
  /// - Throws: `unsupported` for other models than ``Model/byteLevel`` and ``Model/tiktoken``.
  public func huggingFaceFile() throws(VocabularyError) -> [UInt8] {
    let name = "tokenizer.json"
    if model == .tiktoken { return try withMerges().huggingFaceFile() }
    guard model == .byteLevel else {
      throw VocabularyError(.unsupported, in: name, "a \(model.rawValue) vocabulary can't be written as a tokenizer.json")
    }
    var json = JSONStream()
    json.raw(#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":["#)
    var isFirst = true
    for id in kinds.indices where [.control, .unknown, .userDefined].contains(kinds[id]) {
      json.separate(&isFirst)
      json.raw(#"{"id":\#(id),"content":"#)
      json.string(tokens[id])
      json.raw(#","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":\#(kinds[id] != .userDefined)}"#)
    }
    json.raw(#"],"normalizer":null,"pre_tokenizer":{"type":"Sequence","pretokenizers":["#)
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
    json.raw(#"{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]},"post_processor":"#)
    writeTemplate(to: &json)
    json.raw(#","decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true},"model":{"type":"BPE","#)
    json.raw(#""dropout":null,"unk_token":"#)
    if let unknown { json.string(tokens[unknown]) } else { json.raw("null") }
    json.raw(#","continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":\#(ignoresMerges),"#)
    json.raw(#""vocab":{"#)
    isFirst = true
    var spelled = Set<String>()
    for id in kinds.indices where !tokens[id].isEmpty {
      let text = kinds[id] == .normal ? ByteAlphabet.encode(tokens[id]) : tokens.string(id)
      guard spelled.insert(text).inserted else {
        throw VocabularyError(.unsupported, in: name, "token “\(text)” occurs twice, and a tokenizer.json can't say so")
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
      json.string(ByteAlphabet.encode(tokens[Int(merge.left)]).utf8)
      json.raw(",")
      json.string(ByteAlphabet.encode(tokens[Int(merge.right)]).utf8)
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
