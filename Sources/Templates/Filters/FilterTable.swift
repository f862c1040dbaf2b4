/// Jinja's filters by name. Source of what each does: Jinja2's `filters.py`; `tojson` as transformers replaces it.
enum FilterTable {
  typealias Filter = @Sendable (inout Interpreter, Value, CallArguments) throws(Failure) -> Value

  static let filters: [String: Filter] = textFilters.merging(numberFilters) { first, _ in first }.merging(listFilters) { first, _ in first }
    .merging(selectingFilters) { first, _ in first }

  /// Filters that Jinja has and drover doesn't, with tests of those names being what they are.
  static let absent: Set<String> = [
    "batch", "filesizeformat", "groupby", "pprint", "random", "slice", "striptags", "urlencode", "urlize", "wordwrap", "xmlattr",
  ]

  /// Every name that a template may use: what is absent is refused where it is used.
  static let names = Set(filters.keys).union(absent)
}

extension Interpreter {
  mutating func filter(_ value: Value, _ name: String, _ arguments: CallArguments) throws(Failure) -> Value {
    guard let filter = FilterTable.filters[name] else {
      guard !FilterTable.absent.contains(name) else { throw .unsupported("the filter “\(name)”") }
      throw .runtime("there is no filter “\(name)”")
    }
    try charge(value.weight.addingUpTo(.max, arguments.weight))
    return try filter(&self, value, arguments)
  }
}
