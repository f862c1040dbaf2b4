import Foundation
import TestSupport
import Testing
import Tokenization

/// `tokenizer.json` files composed at random, against Hugging Face's tokenizers library on the same file.
@Suite(.needs(.python)) struct PipelineTests {
  private struct Answer: Decodable {
    let json: String
    let ids: [[Int]]
    let unparsed: [[Int]]
    /// None where a token is added whose normalized spelling is another: the library shows that one.
    let decoded: [String]?
  }

  private struct Given: Encodable {
    let count: Int
    let seed: Int
    let texts: [String]
  }

  /// Trains small models on a little text, and puts steps around them that no two files have alike.
  private static let compose = #"""
    import random, json
    from tokenizers import Tokenizer, AddedToken, Regex, models, trainers, normalizers, pre_tokenizers, decoders, processors
    draw = random.Random(given["seed"])
    corpus = ["the quick brown fox jumps over the lazy dog 1234 times", "Ünïcödé ﬁne ① ½ Straße İstanbul", "字漢字 かな カナ 한국어", "don't can't I'LL we've 's", "def f(x):\n    return x + 1\n", "  spaces   and\ttabs  ", "a-b_c=d!e?f"] * 3 + given["texts"]
    patterns = [r"\p{L}+|\p{N}{1,3}|[^\s\p{L}\p{N}]+|\s+", r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+", r"\s?\w+|[^\w\s]", r"(?i:'s|'t|'re)|\d", r"[\u4e00-\u9fa5\u3040-\u309f]+", r"[aeiou]", r"\n", r"(?<=a)b|\S+"]
    behaviors = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
    def normalizer():
        choice = [lambda: normalizers.NFC(), lambda: normalizers.NFD(), lambda: normalizers.NFKC(), lambda: normalizers.NFKD(), lambda: normalizers.Lowercase(),
                  lambda: normalizers.Strip(draw.random() < .5, draw.random() < .5), lambda: normalizers.Prepend("▁"), lambda: normalizers.Replace(" ", "▁"),
                  lambda: normalizers.Replace(Regex(r"\s{2,}"), " "), lambda: normalizers.Replace(Regex("[0-9]"), "#"), lambda: normalizers.Replace("``", '"')]
        return draw.choice(choice)()
    def pre_tokenizer():
        choice = [lambda: pre_tokenizers.Digits(draw.random() < .5), lambda: pre_tokenizers.Whitespace(), lambda: pre_tokenizers.WhitespaceSplit(),
                  lambda: pre_tokenizers.Punctuation(draw.choice(behaviors)), lambda: pre_tokenizers.Split(draw.choice([" ", "a", "th"]), draw.choice(behaviors), draw.random() < .2),
                  lambda: pre_tokenizers.Split(Regex(draw.choice(patterns)), draw.choice(behaviors), draw.random() < .2),
                  lambda: pre_tokenizers.Metaspace("▁", draw.choice(["always", "first", "never"]), draw.random() < .5)]
        return draw.choice(choice)()
    def make():
        unigram = draw.random() < .35
        steps = [pre_tokenizer() for _ in range(draw.choice([0, 1, 1, 2]))]
        bytes_ = draw.random() < .4
        if bytes_: steps.append(pre_tokenizers.ByteLevel(add_prefix_space=draw.random() < .3, use_regex=draw.random() < .5))
        fallback = not bytes_ and draw.random() < .5
        names = ["<unk>", "<s>", "</s>"] + ([f"<0x{b:02X}>" for b in range(256)] if fallback else [])
        t = Tokenizer(models.Unigram() if unigram else models.BPE(unk_token="<unk>" if not bytes_ else None))
        norms = [normalizer() for _ in range(draw.choice([0, 0, 1, 2]))]
        if norms: t.normalizer = norms[0] if len(norms) == 1 else normalizers.Sequence(norms)
        if steps: t.pre_tokenizer = steps[0] if len(steps) == 1 else pre_tokenizers.Sequence(steps)
        alphabet = pre_tokenizers.ByteLevel.alphabet() if bytes_ else []
        size = len(names) + len(alphabet) + draw.choice([40, 150, 300]) + (800 if unigram else 0)
        trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=names, unk_token="<unk>", initial_alphabet=alphabet) if unigram else trainers.BpeTrainer(vocab_size=size, special_tokens=names, initial_alphabet=alphabet, limit_alphabet=len(alphabet) or 60)
        t.train_from_iterator([c for c in corpus if c.strip()], trainer)
        j = json.loads(t.to_str())
        j["added_tokens"] = [a for a in j["added_tokens"] if not a["content"].startswith("<0x")]
        j["model"]["byte_fallback"] = fallback
        if not unigram:
            j["model"]["fuse_unk"] = draw.random() < .5
            j["model"]["ignore_merges"] = draw.random() < .3
        t = Tokenizer.from_str(json.dumps(j))
        for name in draw.sample(["<tool>", "the", " fox ", "<|im_end|>", "an", "字", "  "], draw.randint(0, 4)):
            t.add_tokens([AddedToken(name, single_word=draw.random() < .3, lstrip=draw.random() < .3, rstrip=draw.random() < .3, normalized=draw.random() < .5 and name.strip() != "", special=draw.random() < .4)])
        t.decoder = decoders.ByteLevel() if bytes_ else draw.choice([
            decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]),
            decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]), decoders.Metaspace("▁", draw.choice(["always", "never"]))])
        if draw.random() < .5: t.post_processor = processors.TemplateProcessing("<s> $A" + draw.choice(["", " </s>"]), special_tokens=[("<s>", 1), ("</s>", 2)])
        return t
    # (A token that is nothing once it is normalized is looked for without end by the library.)
    answer = []
    while len(answer) < given["count"]:
        t = make()
        entry = {"json": t.to_str(), "ids": [t.encode(x).ids for x in given["texts"]]}
        bare = [t.encode(x, add_special_tokens=False).ids for x in given["texts"]]
        plain = all(t.id_to_token(i) == a.content for i, a in t.get_added_tokens_decoder().items())
        entry["decoded"] = [t.decode(x) for x in bare] if plain else None
        t.encode_special_tokens = True
        entry["unparsed"] = [t.encode(x, add_special_tokens=False).ids for x in given["texts"]]
        answer.append(entry)
    """#

  private static let texts =
    ["", " ", "the fox", "the <tool> fox", " <tool> x<tool>", "<tool>", "a<|im_end|> the</s>", "the  fox   jumps", "other them the", "字 fox 字", "ﬁne ½ ①", "Straße İ",
     "e\u{301}\u{1F600}\u{200D}\u{1F525} x", "don't I'LL 12345", "\n\n a\t b\r\n", "def f(x):\n    return x + 1", "``q`` <unk>", "▁a ▁", "\u{3000}全\u{A0}x", "an fox an"]
    + Texts.all.filter { $0.utf8.count < 200 }.prefix(60)

  @Test(arguments: [1, 2]) func doesWhatTheLibraryDoes(seed: Int) throws {
    let answers = try ask(Self.compose, Given(count: 100, seed: seed, texts: Self.texts), as: [Answer].self)
    #expect(answers.count == 100)
    var (compared, decoded, refused) = (0, 0, [String]())
    for answer in answers {
      let tokenizer: any Tokenizer
      do throws(VocabularyError) { tokenizer = try Vocabulary.huggingFace(Array(answer.json.utf8), file: "random").makeTokenizer() } catch {
        refused.append("\(error)")
        continue
      }
      let vocabulary = tokenizer.vocabulary
      let steps = answer.json.replacing(/"vocab":.*/.dotMatchesNewlines(), with: "")
      for (index, text) in Self.texts.enumerated() {
        let ids = try tokenizer.encode(text, bos: vocabulary.addsBOS, eos: vocabulary.addsEOS, parsingSpecials: true)
        guard ids == answer.ids[index] else {
          Issue.record("\(String(reflecting: text)): \(ids) and not \(answer.ids[index]) with \(steps.suffix(2500))")
          break
        }
        #expect(try tokenizer.encode(text) == answer.unparsed[index], "\(String(reflecting: text))")
        compared += 1
        guard let expected = answer.decoded?[index] else { continue }
        let bare = try tokenizer.encode(text, parsingSpecials: true)
        let shown = tokenizer.decode(bare)
        decoded += 1
        guard Array(shown.utf8) == Array(expected.utf8) else {
          let pieces = bare.map { vocabulary.tokens.string($0) }
          Issue.record("\(bare) \(pieces) is \(String(reflecting: shown)) and not \(String(reflecting: expected)) with \(steps.suffix(2500))")
          break
        }
      }
    }
    #expect(refused.isEmpty, "\(refused)")
    #expect(compared == answers.count * Self.texts.count && decoded > compared / 2)
  }
}
