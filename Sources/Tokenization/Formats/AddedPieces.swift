extension Vocabulary {
  /// This SentencePiece vocabulary with the tokens that a `tokenizer.json` made of it has beside its own, and what that says of the first and the last.
  ///
  /// - Parameter file: of `other`, for errors.
  /// - Throws: `corrupt` where the two aren't of one model.
  public func adding(_ other: Vocabulary, file: String) throws(VocabularyError) -> Vocabulary {
    guard model == .sentencePiece else { return other }
    var (tokens, kinds, scores) = (PackedStrings(), kinds, scores)
    for id in 0..<max(count, other.count) {
      let isOurs = id < count
      guard id < other.count, !other.tokens[id].isEmpty else {
        if isOurs {
          tokens.append(self.tokens[id])
        } else {
          throw VocabularyError(.corrupt, in: file, "has no token \(id)")
        }
        continue
      }
      let isAdded = [.control, .userDefined].contains(other.kinds[id])
      guard isOurs || isAdded, !isOurs || isAdded || other.tokens[id].elementsEqual(self.tokens[id]) else {
        let own = isOurs ? "“\(self.tokens.string(id))”" : "none"
        throw VocabularyError(.corrupt, in: file, "token \(id) is “\(other.tokens.string(id))”, and \(own) in the tokenizer.model beside it")
      }
      tokens.append(other.tokens[id])
      if !isOurs {
        kinds.append(other.kinds[id])
        scores.append(-1000)
      } else if isAdded, kinds[id] == .normal || kinds[id] == .userDefined {
        kinds[id] = other.kinds[id]
      }
    }
    var vocabulary = Vocabulary(model: .sentencePiece, tokens: tokens, kinds: kinds, scores: scores, rules: rules)
    (vocabulary.bos, vocabulary.eos, vocabulary.eot, vocabulary.eom, vocabulary.unknown) = (other.bos ?? bos, other.eos ?? eos, other.eot ?? eot, other.eom ?? eom, unknown)
    (vocabulary.addsBOS, vocabulary.addsEOS, vocabulary.padding) = (other.addsBOS, other.addsEOS, other.padding)
    return vocabulary
  }
}
