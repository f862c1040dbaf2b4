import Integrity

/// Which dtype each tensor is written as, by patterns of names: of several that match, the first counts.
public struct DTypeRules: Sendable, Equatable {
  public struct Rule: Sendable, Equatable {
    /// `*` stands for any letters, `?` for one.
    public let pattern: String
    /// nil keeps what the source has.
    public let dtype: DTypeMix?

    public init(_ pattern: String, _ dtype: DTypeMix?) { (self.pattern, self.dtype) = (pattern, dtype) }

    /// Whether the pattern fits Meta's name of a tensor, or that name without `layers.N.`: `ffn_norm*` is that of every layer.
    func fits(_ name: TensorName) -> Bool { Self.fits(Array(pattern.utf8), Array(name.text.utf8)) || Self.fits(Array(pattern.utf8), Array(name.role.rawValue.utf8)) }

    /// Goes back to the last `*` where letters don't fit, so that the time is at most the product of the lengths.
    private static func fits(_ pattern: [UInt8], _ text: [UInt8]) -> Bool {
      var (at, place) = (0, 0)
      var star: (at: Int, place: Int)?
      while place < text.count {
        if at < pattern.count, pattern[at] == UInt8(ascii: "*") {
          star = (at, place)
          at += 1
        } else if at < pattern.count, pattern[at] == UInt8(ascii: "?") || pattern[at] == text[place] {
          at += 1
          place += 1
        } else if let last = star {
          star = (last.at, last.place + 1)
          (at, place) = (last.at + 1, last.place + 1)
        } else {
          return false
        }
      }
      return pattern[at...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
  }

  public let rules: [Rule]

  /// One dtype, or one mix, for all.
  public init(_ dtype: DTypeMix) { rules = [Rule("*", dtype)] }

  public init(_ rules: [Rule]) { self.rules = rules }

  /// What a tensor of a model is written as; nil where it stays what it is.
  func dtype(of tensor: LogicalTensor, in model: ModelParams) -> DType? { rules.first { $0.fits(tensor.name) }?.dtype?.dtype(of: tensor, in: model) }

  /// Where one rule is for all tensors, what it says; nil where there are others, or it keeps what they are.
  var ofAll: DTypeMix? { rules.count == 1 && rules[0].pattern == "*" ? rules[0].dtype : nil }

  /// As the command line has it.
  public var text: String {
    if rules.count == 1, rules[0].pattern == "*" { return rules[0].dtype?.rawValue ?? "keep" }
    return rules.map { "\($0.pattern)=\($0.dtype?.rawValue ?? "keep")" }.joined(separator: ",")
  }
}
