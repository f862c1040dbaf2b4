extension Vocabulary {
  /// A tiktoken vocabulary as byte-level BPE with a list of merges, which is how `tokenizer.json` and GGUF hold Llama 3's.
  ///
  /// The list has every way to cut a token into two others, in order of the token's rank, then of the parts' (as `transformers` derives it).
  func withMerges() throws(VocabularyError) -> Vocabulary {
    guard model == .tiktoken else { return self }
    try checkMergeWork()
    var merges: [Merge] = []
    merges.reserveCapacity(count * 2)
    var cuts: [Merge] = []
    for id in kinds.indices where kinds[id] == .normal {
      cuts.removeAll(keepingCapacity: true)
      tokens.withBytes(id) { bytes in
        guard let base = bytes.baseAddress, bytes.count > 1 else { return }
        for middle in 1..<bytes.count {
          guard let left = index.find(base, middle), let right = index.find(base + middle, bytes.count - middle) else { continue }
          cuts.append(Merge(left: Int32(left), right: Int32(right), result: Int32(id)))
        }
      }
      merges += cuts.sorted { ($0.left, $0.right) < ($1.left, $1.right) }
    }
    var vocabulary = Vocabulary(
      model: .byteLevel, tokens: tokens, kinds: kinds, merges: merges, splits: splits, ignoresMerges: true, addsBOS: addsBOS, index: index)
    (vocabulary.bos, vocabulary.eos, vocabulary.eot, vocabulary.eom, vocabulary.unknown) = (bos, eos, eot, eom, unknown)
    (vocabulary.addsEOS, vocabulary.padding, vocabulary.chatTemplate) = (addsEOS, padding, chatTemplate)
    return vocabulary
  }
}
