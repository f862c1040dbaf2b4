/// Does what a `tokenizer.json` says.
struct PipelineTokenizer: Tokenizer {
  let vocabulary: Vocabulary
  private let pipeline: TextPipeline

  init(_ vocabulary: Vocabulary, _ pipeline: TextPipeline) {
    self.vocabulary = vocabulary
    self.pipeline = pipeline
  }

  func encode(utf8: UnsafeBufferPointer<UInt8>, parsingSpecials: Bool, typed: inout TypedBytes, into ids: inout [Int]) throws(VocabularyError) {
    let text = UnicodeText.wellFormed(utf8)
    // Where malformed bytes were replaced, places are no longer those of the text that was given.
    let isTyped = typed.isTyped.count == text.count ? typed.isTyped : typed.isTyped.isEmpty ? [] : Array(repeating: true, count: text.count)
    var merger = MergeBuffer()
    for match in split(text, isNormalized: false, parsingSpecials, &typed, isTyped) {
      if let token = match.token {
        ids.append(token.id)
        continue
      }
      let normalized = try pipeline.normalized(Array(text[match.range]))
      let isTypedThere = isTyped.isEmpty ? [] : try follow(Array(isTyped[match.range]), of: Array(text[match.range]), into: normalized)
      for inner in split(normalized, isNormalized: true, parsingSpecials, &typed, isTypedThere) {
        if let token = inner.token {
          ids.append(token.id)
          continue
        }
        var pieces = [
          TextPipeline.Piece(text: Array(normalized[inner.range]), isFirst: match.range.lowerBound == 0 && inner.range.lowerBound == 0)
        ]
        for step in pipeline.preTokenizers { pieces = try step.apply(pieces) }
        for piece in pieces where !piece.text.isEmpty {
          piece.text.withUnsafeBufferPointer { pipeline.model.encode($0, &merger, into: &ids) }
        }
      }
    }
  }

  private func split(
    _ text: [UInt8], isNormalized: Bool, _ parsingSpecials: Bool, _ typed: inout TypedBytes, _ isTyped: [Bool]
  ) -> [AddedTokens.Match] {
    text.withUnsafeBufferPointer { bytes in
      pipeline.added.split(bytes, isNormalized: isNormalized, parsingSpecials: parsingSpecials) { typed.forbids($0, at: $1, isTyped) }
    }
  }

  /// Which bytes of the normalized text come from typed ones: told by normalizing typed and other runs apart. Where that makes another text, all of it
  /// counts as typed, if any is.
  private func follow(_ isTyped: [Bool], of text: [UInt8], into normalized: [UInt8]) throws(VocabularyError) -> [Bool] {
    guard isTyped.contains(true) else { return Array(repeating: false, count: normalized.count) }
    var parts: [UInt8] = []
    var result: [Bool] = []
    var at = 0
    while at < text.count {
      let end = isTyped[at...].firstIndex { $0 != isTyped[at] } ?? text.count
      let part = try pipeline.normalized(Array(text[at..<end]), isStart: at == 0)
      parts += part
      result += Array(repeating: isTyped[at], count: part.count)
      at = end
    }
    return parts == normalized ? result : Array(repeating: true, count: normalized.count)
  }

  func bytes(of id: Int) -> [UInt8] {
    switch vocabulary.kind(of: id) {
    case nil, .control, .unknown: []
    case .normal, .userDefined, .unused, .byte: pipeline.decoder.bytes(of: vocabulary.tokens[id])
    }
  }
}

extension TextPipeline {
  /// - Parameter isStart: false where other text goes before this, so that nothing is put in front.
  func normalized(_ text: [UInt8], isStart: Bool = true) throws(VocabularyError) -> [UInt8] {
    var text = text
    for step in normalizers {
      if !isStart, case .prepend = step { continue }
      text = try step.apply(text)
    }
    return text
  }
}
