/// The largest of `differences` between what was computed and what was expected; infinite when there are none, or when one isn't finite: `max()` passes
/// over NaN, and a test that compares with it can't fail on the worst of errors.
public func largest(_ differences: [Float]) -> Float {
  guard differences.allSatisfy(\.isFinite) else { return .infinity }
  return differences.max() ?? .infinity
}
