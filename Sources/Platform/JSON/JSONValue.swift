/// Any JSON value; for small documents, and those of which only a part is understood.
package enum JSONValue: Equatable, Sendable {
  case null
  case bool(Bool)
  /// What an `Int` holds and the document writes without fraction and exponent.
  case integer(Int)
  case number(Double)
  case text(String)
  case array([JSONValue])
  case object([String: JSONValue])

  /// The value of an object's member; nil where there is none, or no object.
  package subscript(key: String) -> JSONValue? {
    if case .object(let members) = self { members[key] } else { nil }
  }

  /// Of an object; none of anything else.
  package var keys: [String] { if case .object(let members) = self { Array(members.keys) } else { [] } }
  /// Of an array; none of anything else.
  package var elements: [JSONValue] { if case .array(let values) = self { values } else { [] } }
  package var text: String? { if case .text(let value) = self { value } else { nil } }
  package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  /// 1.0 is one too.
  package var integer: Int? {
    switch self {
    case .integer(let value): value
    case .number(let value): Int(exactly: value)
    default: nil
    }
  }
  package var number: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }
  package var isNull: Bool { self == .null }

  /// Whether it is what Python takes for false, as transformers does with objects that say nothing.
  package var isEmpty: Bool {
    switch self {
    case .null: true
    case .object(let object): object.isEmpty
    case .array(let array): array.isEmpty
    default: false
    }
  }

  /// Whether both say the same: 1 is 1.0.
  package func isSame(as other: JSONValue) -> Bool {
    switch (self, other) {
    case (.array(let mine), .array(let theirs)): mine.count == theirs.count && zip(mine, theirs).allSatisfy { $0.isSame(as: $1) }
    case (.object(let mine), .object(let theirs)): mine.count == theirs.count && mine.allSatisfy { theirs[$0]?.isSame(as: $1) ?? false }
    case (.integer, .number), (.number, .integer): number == other.number
    default: self == other
    }
  }

  /// JSON on one line, cut off where it gets long.
  package var brief: String {
    let text = line
    return text.count <= 80 ? text : text.prefix(79) + "…"
  }

  private var line: String {
    switch self {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .integer(let value): "\(value)"
    case .number(let value): "\(value)"
    case .text(let value): JSONText.quoted(String(value.prefix(100)))
    case .array(let values): "[" + values.prefix(40).map(\.brief).joined(separator: ", ") + "]"
    case .object(let values):
      "{" + values.sorted { $0.key < $1.key }.prefix(40).map { "\(JSONText.quoted(String($0.key.prefix(100)))): \($0.value.brief)" }.joined(separator: ", ") + "}"
    }
  }
}

extension JSONValue: Encodable {
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .bool(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .text(let value): try container.encode(value)
    case .array(let value): try container.encode(value)
    case .object(let value): try container.encode(value)
    }
  }
}
