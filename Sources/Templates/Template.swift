/// A chat template: a program in the Jinja that transformers runs, which makes the text that a model reads of a dialog.
///
/// It comes from strangers, so it is bounded in steps, depth and output, sees nothing but what it is given, and changes nothing.
public struct Template: Sendable {
  private let statements: [Statement]

  /// All text that the template spells, outside of tags and in its strings: where it names a control token, it is here.
  public let literals: [String]

  /// - Throws: ``TemplateError`` for what isn't Jinja, with its line.
  public init(_ source: String) throws(TemplateError) {
    statements = try StatementParser.parse(source)
    try MissingFilters(filters: FilterTable.names, tests: TestTable.names).check(statements)
    literals = statements.literals.map(\.string)
  }

  /// The text that the template makes.
  ///
  /// - Parameters:
  ///   - inputs: the variables that it is given, such as `messages`.
  ///   - now: what `strftime_now` shows.
  /// - Returns: the text, each character with its origin.
  /// - Throws: ``TemplateError`` when the template refuses, does what fails in Python, uses what drover lacks, or goes beyond `limits`.
  public func render(_ inputs: [String: TemplateInput], now: Moment, limits: Limits = Limits()) throws(TemplateError) -> Text {
    var interpreter = Interpreter(inputs: [:], limits: limits, now: now)
    do throws(Failure) {
      var values: [String: Value] = [:]
      for (name, input) in inputs { values[name] = try input.value() }
      interpreter = Interpreter(inputs: values, limits: limits, now: now)
      _ = try interpreter.run(statements)
      let text = Text(interpreter.output)
      guard text.characters.allSatisfy({ $0.scalar != nil }) else { throw .runtime("half of a surrogate pair is no text that can be encoded") }
      return text
    } catch {
      let kind: TemplateError.Kind =
        switch error.kind {
        case .runtime: .runtime
        case .unsupported: .unsupported
        case .raised: .raised
        case .limit: .limit
        }
      throw TemplateError(kind, line: interpreter.line, error.message)
    }
  }
}

/// What a template is given: JSON, with the origin of each text.
public indirect enum TemplateInput: Sendable {
  case null
  case boolean(Bool)
  case integer(Int)
  case number(Double)
  case text(Text)
  case list([TemplateInput])
  case object([(key: Text, value: TemplateInput)])

  func value() throws(Failure) -> Value {
    switch self {
    case .null: return .none
    case .boolean(let value): return .boolean(value)
    case .integer(let value): return .integer(value)
    case .number(let value): return .number(value)
    case .text(let text): return .text(text)
    case .list(let items):
      var values: [Value] = []
      for item in items { values.append(try item.value()) }
      return try .list(values)
    case .object(let pairs):
      var dictionary = Dictionary()
      for (key, value) in pairs { try dictionary.set(.text(key), value.value()) }
      return .dictionary(dictionary)
    }
  }
}
