import Platform

/// The models of a `tokenizer.json`, and what is put around a text.
extension TokenizerJSONDocument {
  /// - Throws: for options that change what comes out and aren't known here.
  private func checkSettings(_ known: Set<String>) throws(VocabularyError) {
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
      if let affix = settings[key]?.text, !affix.isEmpty { throw unsupported("uses \(key), which isn't supported") }
    }
    if let dropout = settings["dropout"]?.number, dropout > 0 { throw unsupported("uses dropout, so that ids are random, which isn't supported") }
    let all = known.union(["type", "continuing_subword_prefix", "end_of_word_suffix", "dropout"])
    for key in settings.keys.sorted() where !all.contains(key) { throw unsupported("the model has the key “\(key)”, which isn't supported") }
  }

  func byteLevel(_ spelled: PackedStrings, _ kinds: [Vocabulary.TokenKind], _ splits: [Vocabulary.Cut]) throws(VocabularyError) -> Vocabulary {
    try checkSettings(["unk_token", "fuse_unk", "byte_fallback", "ignore_merges"])
    var kinds = kinds
    let tokens = Vocabulary.byteTokens(spelled, &kinds)
    let index = Vocabulary.makeByteIndex(tokens, kinds)
    var builder = MergeListBuilder(index: index, capacity: lefts.count)
    for rank in 0..<lefts.count {
      let problem = lefts.withBytes(rank) { left in rights.withBytes(rank) { builder.add(byteLevel: left, $0) } }
      if let problem { throw corrupt("merge \(rank) \(problem)") }
    }
    return Vocabulary(
      model: .byteLevel, tokens: tokens, kinds: kinds, merges: builder.merges, splits: splits,
      ignoresMerges: settings["ignore_merges"]?.bool ?? false, index: index)
  }

  private func modelTokens() throws(VocabularyError) -> ModelTokens {
    let model = ModelTokens(tokens: tokens, ids: ids, index: TokenIndex(tokens) { _ in true })
    if model.index.count < (0..<tokens.count).count(where: { !tokens[$0].isEmpty }),
      let twice = (0..<tokens.count).first(where: { !tokens[$0].isEmpty && model.index.find(tokens[$0]) != $0 }) {
      throw corrupt("token “\(tokens.string(twice))” is in the vocab twice")
    }
    return model
  }

  func bpe() throws(VocabularyError) -> PieceModel {
    try checkSettings(["unk_token", "fuse_unk", "byte_fallback", "ignore_merges"])
    let model = try modelTokens()
    var unknown: Int?
    if let name = settings["unk_token"]?.text {
      unknown = model.index.find(name.utf8)
      if unknown == nil { throw corrupt("the unk_token “\(name)” isn't in the vocab") }
    }
    var builder = MergeListBuilder(index: model.index, capacity: lefts.count)
    for rank in 0..<lefts.count {
      if let problem = builder.add(left: lefts[rank], right: rights[rank]) { throw corrupt("merge \(rank) \(problem)") }
    }
    return .bpe(
      BPEModel(
        model, merges: builder.merges, unknown: unknown, fusesUnknown: settings["fuse_unk"]?.bool ?? false,
        fallsBackToBytes: settings["byte_fallback"]?.bool ?? false, ignoresMerges: settings["ignore_merges"]?.bool ?? false))
  }

  func unigram() throws(VocabularyError) -> PieceModel {
    try checkSettings(["unk_id", "byte_fallback"])
    let unknown = settings["unk_id"]?.integer
    if let unknown, !(0..<tokens.count).contains(unknown) { throw corrupt("unk_id is \(unknown), and there are \(tokens.count) tokens") }
    return .unigram(
      UnigramModel(try modelTokens(), scores: scores, unknown: unknown, fallsBackToBytes: settings["byte_fallback"]?.bool ?? false))
  }

  /// Which tokens are put around a text.
  func applyPostProcessor(_ processor: JSONValue, to vocabulary: inout Vocabulary) throws(VocabularyError) {
    func id(_ name: String?) throws(VocabularyError) -> Int {
      guard let name, let id = vocabulary.specials[name] ?? vocabulary.index.find(name.utf8) else {
        throw corrupt("the post-processor names the token “\(name ?? "")”, which the vocabulary doesn't have")
      }
      return id
    }
    var (before, after): ([Int], [Int]) = ([], [])
    switch processor["type"]?.text {
    case nil, "ByteLevel": return
    case "Sequence":
      for inner in processor["processors"]?.elements ?? [] { try applyPostProcessor(inner, to: &vocabulary) }
      return
    case "TemplateProcessing":
      var isBefore = true
      for item in processor["single"]?.elements ?? [] {
        if item["Sequence"] != nil { isBefore = false } else if isBefore { before.append(try id(item["SpecialToken"]?["id"]?.text)) } else {
          after.append(try id(item["SpecialToken"]?["id"]?.text))
        }
      }
    case "RobertaProcessing", "BertProcessing":
      before = [try id(processor["cls"]?.elements.first?.text)]
      after = [try id(processor["sep"]?.elements.first?.text)]
    case let other?: throw unsupported("the post-processor \(other) isn't supported")
    }
    guard before.count < 2, after.count < 2 else { throw unsupported("the post-processor puts several tokens before or after a text, which isn't supported") }
    if let id = before.first { (vocabulary.bos, vocabulary.addsBOS) = (id, true) }
    if let id = after.first { (vocabulary.eos, vocabulary.addsEOS) = (id, true) }
  }
}
