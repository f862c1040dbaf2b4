import Foundation
import Platform
import TestSupport
import Testing

/// The reader of JSON, next to Python's.
@Suite(.needs(.python)) struct JSONTests {
  /// Documents and what becomes of them: strings of every kind of character, numbers in all spellings, and each with bytes changed, cut out and doubled.
  private static let script = #"""
    import json, random, sys
    random.seed(5)
    TEXT = ["", "a", "key", "\u00e9", "\u6f22", "\U0001f600", "\"", "\\", "/", "\n", "\x7f", "\u2028", "x" * 70]
    NUMBERS = ["0", "-0", "1", "-17", "10", "1.0", "1e5", "-2.5E-3", "1E+2", "0.1", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "123456789012345678901234567890"]
    def string():
        text = "".join(random.choice(TEXT) for _ in range(random.randrange(4)))
        return json.dumps(text, ensure_ascii=random.random() < 0.5)
    def value(depth):
        kind = random.randrange(7 if depth < 5 else 5)
        if kind < 2: return random.choice(NUMBERS)
        if kind == 2: return random.choice(["true", "false", "null"])
        if kind < 5: return string()
        space = random.choice(["", " ", "\t\r\n"])
        if kind == 5: return "[" + ("," + space).join(value(depth + 1) for _ in range(random.randrange(4))) + space + "]"
        keys = list(dict.fromkeys(string() for _ in range(random.randrange(4))))
        return "{" + space + ",".join(k + space + ":" + value(depth + 1) for k in keys) + "}"
    def mutated(document):
        document = bytearray(document)
        for _ in range(random.randrange(3)):
            at = random.randrange(len(document) + 1)
            change = random.randrange(4)
            if change == 0 and at < len(document): document[at] = random.choice(b'{}[],:"\\0179eE+-.tfnu \n\x00\x1f\x80\xc3\xff')
            elif change == 1: del document[at:at + random.randrange(1, 4)]
            elif change == 2: document[at:at] = random.choice([b"\\u", b"\\ud83d", b"\\ude00", b"1", b"-", b'"', b",", b"NaN", b"//", b"\xef\xbb\xbf"])
            else: document[at:at] = document[at:at + 5]
        return bytes(document)
    documents = [mutated(value(0).encode()) for _ in range(20000)]
    class Refused(Exception): pass
    def refuse(_): raise Refused()
    def once(pairs):
        if any(a == c and repr(b) != repr(d) for i, (a, b) in enumerate(pairs) for c, d in pairs[:i]): raise Refused()
        return dict(pairs)
    def expected(document):
        try:
            value = json.loads(document.decode("utf-8"), parse_constant=refuse, object_pairs_hook=once)
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
            return value
        except (ValueError, Refused, RecursionError): return "refused"
    if len(sys.argv) == 1: print("\n".join(d.hex() for d in documents))
    else:
        said = open(sys.argv[1]).read().split("\n")
        assert len(said) == len(documents) + 1
        refused = 0
        for document, answer in zip(documents, said):
            truth = expected(document)
            refused += truth == "refused"
            got = "refused" if answer == "refused" else json.loads(answer)[0]
            # One of the two may write a float that is whole without its fraction; sizes beyond an integer's are floats.
            if got != truth and not (isinstance(truth, (int, float)) and float(truth) == got) and json.loads(json.dumps(truth), parse_int=float) != json.loads(json.dumps(got), parse_int=float):
                print(document, got, truth)
        print(refused)
    """#

  @Test("20,000 documents, most of them spoiled: what Python reads is read alike, what it refuses is refused, and two values of one key too")
  func agreesWithPython() throws {
    try withTemporaryFolder { folder in
      let documents = try python(Self.script).split(separator: "\n", omittingEmptySubsequences: false).dropLast()
      let answers = documents.map { line in
        let bytes = stride(from: 0, to: line.utf8.count, by: 2).map { at in
          let start = line.utf8.index(line.utf8.startIndex, offsetBy: at)
          return UInt8(line[start..<line.utf8.index(start, offsetBy: 2)], radix: 16) ?? 0
        }
        guard let value = try? JSONReader.read(bytes, { (reader) throws(JSONError) in try reader.value() }) else { return "refused\n" }
        return (try? JSONText.encode([value], isCompact: true)).map { String(decoding: $0, as: UTF8.self) } ?? "not written\n"
      }
      try answers.joined().write(toFile: folder + "/answers", atomically: false, encoding: .utf8)
      let said = try python(Self.script, folder + "/answers").split(separator: "\n")
      #expect(said.count == 1, "\(said.prefix(5))")
      // Both kinds are there.
      #expect((5000..<15000).contains(said.last.flatMap { Int($0) } ?? 0), "\(said.last ?? "")")
    }
  }
}
