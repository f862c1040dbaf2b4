import CKernels
import Integrity

/// Turns rows of elements from one dtype into another, by way of float32.
struct RowConversion {
  let source: DType
  let output: DType
  private let kernels = drover_kernels_best().pointee
  private var floats: [Float] = []

  init(from source: DType, to output: DType) {
    self.source = source
    self.output = output
  }

  /// Converts `columns` elements, the first of which is element `first` of the row at `row`, whose elements (quantized: blocks) follow each other.
  ///
  /// - Returns: whether all finite numbers stayed finite.
  mutating func convert(_ row: UnsafeRawPointer, first: Int, columns: Int, into out: UnsafeMutableRawPointer) -> Bool {
    // Whole blocks, of which the first and last may be used in part.
    let block = source.blockElements
    let skip = first % block
    let blocks = (skip + columns + block - 1) / block
    if floats.count < blocks * block { floats = [Float](repeating: 0, count: blocks * block) }
    let start = row + first / block * source.blockBytes
    let (source, output, kernels) = (source, output, kernels)
    return floats.withUnsafeMutableBufferPointer { floats in
      guard let base = floats.baseAddress else { return true }
      kernels.unpack(source.kernelType, start, blocks * block, base)
      return Self.encode(base + skip, columns, output, out)
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
