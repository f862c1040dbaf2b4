import Integrity

/// Turns rows of elements from one dtype into another, by way of float32.
struct RowConversion {
  let source: DType
  let output: DType
  private var floats: [Float] = []

  init(from source: DType, to output: DType) {
    self.source = source
    self.output = output
  }

  /// Converts `columns` elements, the first of which is element `first` of the row at `row`.
  ///
  /// - Parameter columnStride: bytes from one element (quantized: block) to the next.
  /// - Returns: whether all finite numbers stayed finite.
  mutating func convert(
    _ row: UnsafeRawPointer, first: Int, columns: Int, columnStride: Int, into out: UnsafeMutableRawPointer
  ) -> Bool {
    // Whole blocks, of which the first and last may be used in part.
    let block = source.blockElements
    let skip = first % block
    let blocks = (skip + columns + block - 1) / block
    if floats.count < blocks * block { floats = [Float](repeating: 0, count: blocks * block) }
    let start = row + first / block * columnStride
    let (source, output) = (source, output)
    return floats.withUnsafeMutableBufferPointer { floats in
      guard let base = floats.baseAddress else { return true }
      Self.decode(source, start, blocks, columnStride, base)
      return Self.encode(base + skip, columns, output, out)
    }
  }

  /// Source of the formulas: `dequantize_row_*` in `ggml-quants.c`.
  private static func decode(_ dtype: DType, _ source: UnsafeRawPointer, _ blocks: Int, _ stride: Int, _ out: UnsafeMutablePointer<Float>) {
    func float16(_ at: UnsafeRawPointer) -> Float { Float(Float16(bitPattern: at.loadUnaligned(as: UInt16.self).littleEndian)) }
    for index in 0..<blocks {
      let at = source + index * stride
      switch dtype {
      case .f32: out[index] = Float(bitPattern: at.loadUnaligned(as: UInt32.self).littleEndian)
      case .f16: out[index] = float16(at)
      case .bf16: out[index] = Float(bitPattern: UInt32(at.loadUnaligned(as: UInt16.self).littleEndian) << 16)
      case .q8_0:
        let scale = float16(at)
        for i in 0..<32 { out[32 * index + i] = scale * Float(at.load(fromByteOffset: 2 + i, as: Int8.self)) }
      case .q4_0:
        let scale = float16(at)
        for i in 0..<16 {
          let byte = at.load(fromByteOffset: 2 + i, as: UInt8.self)
          out[32 * index + i] = scale * Float(Int(byte & 15) - 8)
          out[32 * index + 16 + i] = scale * Float(Int(byte >> 4) - 8)
        }
      case .q4_1:
        let scale = float16(at)
        let minimum = float16(at + 2)
        for i in 0..<16 {
          let byte = at.load(fromByteOffset: 4 + i, as: UInt8.self)
          out[32 * index + i] = scale * Float(byte & 15) + minimum
          out[32 * index + 16 + i] = scale * Float(byte >> 4) + minimum
        }
      }
    }
  }

  private static func encode(_ floats: UnsafePointer<Float>, _ count: Int, _ dtype: DType, _ out: UnsafeMutableRawPointer) -> Bool {
    var isFinite = true
    switch dtype {
    case .f16:
      for i in 0..<count {
        let value = Float16(floats[i])
        if value.isInfinite, floats[i].isFinite { isFinite = false }
        out.storeBytes(of: value.bitPattern.littleEndian, toByteOffset: 2 * i, as: UInt16.self)
      }
    case .bf16:
      for i in 0..<count {
        let bits = bfloat16(floats[i])
        if bits & 0x7FFF == 0x7F80, floats[i].isFinite { isFinite = false }
        out.storeBytes(of: bits.littleEndian, toByteOffset: 2 * i, as: UInt16.self)
      }
    default:
      for i in 0..<count { out.storeBytes(of: floats[i].bitPattern.littleEndian, toByteOffset: 4 * i, as: UInt32.self) }
    }
    return isFinite
  }

  /// To the nearest, ties to even; a NaN stays one.
  private static func bfloat16(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    if value.isNaN { return UInt16(bits >> 16) | 0x40 }
    return UInt16((bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
  }
}
