/// The Walsh-Hadamard transform, and its own inverse: `y[k] = sum over i of (-1)^(ones in i & k) x[i] / sqrt(n)`.
enum Hadamard {
  /// - Parameter range: of `values`; its length is a power of two.
  static func transform(_ values: inout [Float], _ range: Range<Int>) {
    var half = 1
    while half < range.count {
      for start in stride(from: range.lowerBound, to: range.upperBound, by: 2 * half) {
        for index in start..<start + half {
          let (a, b) = (values[index], values[index + half])
          values[index] = a + b
          values[index + half] = a - b
        }
      }
      half *= 2
    }
    let norm = 1 / Float(range.count).squareRoot()
    for index in range { values[index] *= norm }
  }
}
