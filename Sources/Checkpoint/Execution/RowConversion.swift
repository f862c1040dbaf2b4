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
  /// - Returns: how many finite numbers became infinite.
  mutating func convert(_ row: UnsafeRawPointer, first: Int, columns: Int, into out: UnsafeMutableRawPointer) -> Int {
    // Whole blocks, of which the first and last may be used in part.
    let block = source.blockElements
    let skip = first % block
    let blocks = (skip + columns + block - 1) / block
    let start = row + first / block * source.blockBytes
    if output == .f32, columns == blocks * block, let type = source.kernelType {
      kernels.unpack(type, start, columns, out.assumingMemoryBound(to: Float.self))
      return 0
    }
    if floats.count < blocks * block { floats = [Float](repeating: 0, count: blocks * block) }
    let (source, output, kernels) = (source, output, kernels)
    return floats.withUnsafeMutableBufferPointer { floats in
      guard let base = floats.baseAddress else { return 0 }
      var overflows = 0
      if let type = source.kernelType {
        kernels.unpack(type, start, blocks * block, base)
      } else {
        // To the nearest, as torch goes from float64 by way of float32.
        for index in 0..<columns {
          let value = Double(bitPattern: start.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self).littleEndian)
          base[index] = Float(value)
          if base[index].isInfinite, value.isFinite { overflows += 1 }
        }
      }
      return overflows + Self.encode(base + skip, columns, output, out)
    }
  }

  private static func encode(_ floats: UnsafePointer<Float>, _ count: Int, _ dtype: DType, _ out: UnsafeMutableRawPointer) -> Int {
    var overflows = 0
    switch dtype {
    case .f16:
      for i in 0..<count {
        let value = Float16(floats[i])
        if value.isInfinite, floats[i].isFinite { overflows += 1 }
        out.storeBytes(of: value.bitPattern.littleEndian, toByteOffset: 2 * i, as: UInt16.self)
      }
    case .bf16:
      for i in 0..<count {
        let bits = bfloat16(floats[i])
        if bits & 0x7FFF == 0x7F80, floats[i].isFinite { overflows += 1 }
        out.storeBytes(of: bits.littleEndian, toByteOffset: 2 * i, as: UInt16.self)
      }
    case .f64:
      for i in 0..<count { out.storeBytes(of: Double(floats[i]).bitPattern.littleEndian, toByteOffset: 8 * i, as: UInt64.self) }
    default:
      for i in 0..<count { out.storeBytes(of: floats[i].bitPattern.littleEndian, toByteOffset: 4 * i, as: UInt32.self) }
    }
    return overflows
  }

  /// To the nearest, ties to even; a NaN stays one.
  static func bfloat16(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    if value.isNaN { return UInt16(bits >> 16) | 0x40 }
    return UInt16((bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
  }
}
