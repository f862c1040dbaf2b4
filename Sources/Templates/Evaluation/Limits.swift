/// What a template may take: it comes from strangers.
public struct Limits: Sendable {
  /// Expressions evaluated, and characters and items gone through; a hundred more for each character that the template is given.
  public var steps: Int
  /// Calls, blocks and expressions inside each other.
  public var depth: Int
  /// Characters of the text it makes.
  public var output: Int

  public init(steps: Int = 10_000_000, depth: Int = 400, output: Int = 16_000_000) {
    self.steps = steps
    self.depth = depth
    self.output = output
  }
}
