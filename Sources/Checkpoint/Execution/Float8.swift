/// Floating-point numbers of eight bits: a sign, four bits of exponent, three of mantissa; all ones is NaN, and there is no infinity.
///
/// Source: `fp8e4m3fn_to_fp32_value` of torch (`c10/util/Float8_e4m3fn.h`); arXiv:2209.05433.
enum Float8 {
  private static let values: [Float] = (0..<256).map { bits in
    let exponent = bits >> 3 & 15
    let mantissa = Float(bits & 7)
    var magnitude: Float
    switch (exponent, bits & 7) {
    case (15, 7): magnitude = .nan
    case (0, _): magnitude = mantissa * 0x1p-9
    default: magnitude = Float(sign: .plus, exponent: exponent - 10, significand: 1) * (8 + mantissa)
    }
    if bits >= 128 { magnitude.negate() }
    return magnitude
  }

  static func float(_ bits: UInt8) -> Float { values[Int(bits)] }
}
