import Foundation
import Templates
import TestSupport

/// Any JSON, as a template is given it by both sides.
indirect enum JSON: Codable, Sendable {
  case null, boolean(Bool), integer(Int), number(Double), text(String), list([JSON]), object([(key: String, value: JSON)])

  func encode(to encoder: any Encoder) throws {
    switch self {
    case .null:
      var container = encoder.singleValueContainer()
      try container.encodeNil()
    case .boolean(let value): try value.encode(to: encoder)
    case .integer(let value): try value.encode(to: encoder)
    case .number(let value): try value.encode(to: encoder)
    case .text(let value): try value.encode(to: encoder)
    case .list(let items): try items.encode(to: encoder)
    case .object(let pairs):
      // JSONEncoder doesn't keep the order of keys, so pairs travel as a list.
      try ["pairs": pairs.map { JSON.list([.text($0.key), $0.value]) }].encode(to: encoder)
    }
  }

  init(from decoder: any Decoder) throws { throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "only written")) }

  /// - Parameter typed: whether text counts as typed.
  func input(typed: Bool = false) -> TemplateInput {
    switch self {
    case .null: .null
    case .boolean(let value): .boolean(value)
    case .integer(let value): .integer(value)
    case .number(let value): .number(value)
    case .text(let value): .text(Text(value, typed: typed))
    case .list(let items): .list(items.map { $0.input(typed: typed) })
    case .object(let pairs): .object(pairs.map { (Text($0.key), $0.value.input(typed: typed)) })
    }
  }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral, ExpressibleByNilLiteral,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  init(stringLiteral value: String) { self = .text(value) }
  init(integerLiteral value: Int) { self = .integer(value) }
  init(floatLiteral value: Double) { self = .number(value) }
  init(booleanLiteral value: Bool) { self = .boolean(value) }
  init(nilLiteral: ()) { self = .null }
  init(arrayLiteral elements: JSON...) { self = .list(elements) }
  init(dictionaryLiteral elements: (String, JSON)...) { self = .object(elements.map { ($0.0, $0.1) }) }
}

/// What one side makes of a template.
enum Rendering: Equatable, Sendable, CustomStringConvertible {
  case text(String)
  /// With the words of `raise_exception`, nil for any other error.
  case refusal(String?)

  var description: String {
    switch self {
    case .text(let text): text.debugDescription
    case .refusal(let words): "refused\(words.map { ": " + $0 } ?? "")"
    }
  }
}

/// The time that `strftime_now` shows in tests: 2024-07-26 13:04:05 UTC.
let testMoment = Moment(seconds: 1_721_999_045, isUTC: true)

/// What drover's evaluator makes of a template; the error in full beside a refusal.
func ours(_ source: String, _ inputs: [String: JSON]) -> (rendering: Rendering, error: TemplateError?) {
  do throws(TemplateError) {
    return (.text(try Template(source).render(inputs.mapValues { $0.input() }, now: testMoment).string), nil)
  } catch {
    return (.refusal(error.kind == .raised ? error.message : nil), error)
  }
}

/// What Jinja2 makes of templates, set up by transformers: a list for each template, one for each of its inputs.
func jinja(_ templates: [String], _ inputs: [[String: JSON]]) throws -> [[Rendering]] {
  struct Given: Encodable {
    let templates: [String]
    let inputs: [[String: JSON]]
  }
  struct Answer: Decodable {
    let text: String?
    let words: String?
  }
  let answers: [[Answer]] = try ask(
    """
    import datetime as calendar, jinja2
    from transformers.utils import chat_template_utils as utils
    class Then(calendar.datetime):
        @classmethod
        def now(cls): return cls(2024, 7, 26, 13, 4, 5)
    utils.datetime = Then
    def value(x):
        if isinstance(x, dict): return {k: value(v) for k, v in x['pairs']}
        return [value(i) for i in x] if isinstance(x, list) else x
    inputs = [{k: value(v) for k, v in i.items()} for i in given['inputs']]
    def render(source, inputs):
        try:
            text = utils._compile_jinja_template(source).render(**inputs)
            text.encode()
            return {'text': text}
        except jinja2.exceptions.TemplateError as e:
            return {'words': str(e) if type(e) is jinja2.exceptions.TemplateError else None}
        except Exception:
            return {}
    answer = [[render(t, i) for i in inputs] for t in given['templates']]
    """, Given(templates: templates, inputs: inputs), with: .currentTorch)
  return answers.map { $0.map { answer in answer.text.map { .text($0) } ?? .refusal(answer.words) } }
}
