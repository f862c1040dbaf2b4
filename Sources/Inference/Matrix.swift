import CKernels
import Checkpoint
import Integrity
import Synchronization

/// A weight matrix, read where it lies in the mapped files: in row blocks, in column blocks, or in one piece.
final class Matrix: @unchecked Sendable {
  // Unchecked: nothing changes after `init`, and the segments point into `files` or `gathered`, which live as long.
  let name: TensorName
  let rows: Int
  let columns: Int
  /// In which order the rows lie on disk; the elements of a product come out in the same order.
  let rowOrder: LogicalTensor.RowOrder
  /// Bytes that are read for a row; work is divided by them.
  let rowBytes: Int
  private let type: drover_dtype
  /// Row blocks in order.
  private let bands: [Band]
  /// Whether all segments are whole vectors, as `gemv` needs them. Otherwise a row is first put together in memory; the sums have the same order.
  private let isVectorAligned: Bool
  private let files: [MappedFile]
  /// A copy in memory: in float32 of a matrix that no kernel reads where it lies (of a transposed view, in float64, or of codes), or in blocks of a type that was asked for. nil for all
  /// others.
  private let gathered: FloatMemory?
  /// What is added to each product, in the order of the rows on disk; nil where there is nothing.
  let bias: [Float]?

  /// A run of rows, and where their columns lie from left to right.
  private struct Band {
    let rows: Range<Int>
    let segments: [drover_segment]
  }

  /// - Parameters:
  ///   - files: those of `checkpoint`, mapped.
  ///   - bias: a tensor with as many elements as this one has rows.
  /// - Throws: `InferenceError.unreadableTensor` when the parts leave a hole or reach outside their file; `CheckpointError` for what must be read and can't.
  init(_ tensor: LogicalTensor, of checkpoint: Checkpoint, in files: [MappedFile], bias: LogicalTensor? = nil) throws {
    name = tensor.name
    rows = tensor.rows
    columns = tensor.columns
    let blockBytes = tensor.dtype.blockBytes
    let isApart = tensor.parts.contains { $0.columnStride != blockBytes && $0.columns.count > tensor.dtype.blockElements || $0.coding != nil }
    let order: LogicalTensor.RowOrder
    if !isApart, let kernelType = tensor.dtype.kernelType {
      order = tensor.rowOrder
      gathered = nil
      type = kernelType
      rowBytes = columns / tensor.dtype.blockElements * blockBytes
      bands = try Self.bands(of: tensor, in: files)
    } else {
      guard !tensor.dtype.isQuantized else { throw InferenceError.unreadableTensor(name: name, reason: "its quantized blocks lie apart") }
      let memory = try FloatMemory(count: rows * columns, for: "tensor \(name)")
      try checkpoint.readFloats(of: tensor, into: memory.base)
      order = .pairs
      gathered = memory
      type = drover_f32
      rowBytes = columns * 4
      bands = [Band(rows: 0..<rows, segments: [drover_segment(first: memory.base, row_stride: columns * 4, columns: columns)])]
    }
    rowOrder = order
    self.bias = try bias.map { try Self.bias($0, in: order, checkpoint) }
    isVectorAligned = bands.allSatisfy { $0.segments.allSatisfy { $0.columns % 16 == 0 } }
    self.files = files
  }

  /// The same matrix in blocks of a quantized type, whose bytes are those of ggml's reference quantizer.
  /// - Throws: `InferenceError.unreadableTensor` for numbers that the type can't hold.
  init(_ other: Matrix, as dtype: DType, _ compute: Compute) throws(InferenceError) {
    guard let kernelType = dtype.kernelType else { throw .unreadableTensor(name: other.name, reason: "it can't be quantized to \(dtype)") }
    name = other.name
    rows = other.rows
    columns = other.columns
    rowOrder = other.rowOrder
    bias = other.bias
    type = kernelType
    rowBytes = columns / dtype.blockElements * dtype.blockBytes
    let memory = try FloatMemory(count: (rows * rowBytes + 3) / 4, for: "tensor \(name) in \(dtype)")
    gathered = memory
    bands = [Band(rows: 0..<rows, segments: [drover_segment(first: memory.base, row_stride: rowBytes, columns: columns)])]
    isVectorAligned = columns % 16 == 0
    files = []
    let hasFailed = Atomic(false)
    compute.forEachRowOnAllThreads(rows) { [rowBytes, columns] row, scratch in
      other.unpack(rows: row..<row + 1, into: scratch, compute.kernels)
      let out = UnsafeMutableRawPointer(memory.base) + row * rowBytes
      guard drover_are_finite(scratch, columns) else { return hasFailed.store(true, ordering: .relaxed) }
      drover_quantize_best(kernelType, scratch, columns, out)
      if drover_first_infinite_scale(kernelType, out, columns) >= 0 { hasFailed.store(true, ordering: .relaxed) }
    }
    guard !hasFailed.load(ordering: .relaxed) else {
      throw .unreadableTensor(name: name, reason: "it holds a NaN, an infinity or a number too large for \(dtype); is it damaged? (try drover verify)")
    }
  }

  /// The elements of a bias in the order of a matrix' rows.
  private static func bias(_ tensor: LogicalTensor, in order: LogicalTensor.RowOrder, _ checkpoint: Checkpoint) throws -> [Float] {
    var values = [Float](repeating: 0, count: tensor.rows)
    try values.withUnsafeMutableBufferPointer { if let base = $0.baseAddress { try checkpoint.readFloats(of: tensor, into: base) } }
    guard case .halves(let headDim) = order else { return values }
    return values.indices.map { row in
      let (head, within) = (row / headDim * headDim, row % headDim)
      // Row j * headDim/2 + i of a head is Meta's 2i + j.
      return values[head + within % (headDim / 2) * 2 + within / (headDim / 2)]
    }
  }

  /// `y[i] = dot(row rows.lowerBound + i, x)`; x is padded with zeros to whole vectors. `scratch` holds a padded row.
  func multiply(
    rows: Range<Int>, by x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    _ kernels: Kernels
  ) {
    guard isVectorAligned else {
      for row in rows {
        unpack(rows: row..<row + 1, into: scratch, kernels)
        kernels.table.gemm_nt(x, 0, 1, scratch, 0, 1, padded(columns), y + (row - rows.lowerBound), 0)
      }
      return
    }
    for band in bands where band.rows.overlaps(rows) {
      let run = band.rows.clamped(to: rows)
      band.segments.withUnsafeBufferPointer { segments in
        guard let first = segments.baseAddress else { return }
        kernels.table.gemv(
          type, first, segments.count, run.lowerBound - band.rows.lowerBound, run.count, x, y + (run.lowerBound - rows.lowerBound))
      }
    }
  }

  /// The values of some rows, each padded with zeros to whole vectors.
  func unpack(rows: Range<Int>, into out: UnsafeMutablePointer<Float>, _ kernels: Kernels) {
    let stride = padded(columns)
    for band in bands where band.rows.overlaps(rows) {
      for row in band.rows.clamped(to: rows) {
        let start = out + (row - rows.lowerBound) * stride
        var at = start
        for segment in band.segments {
          kernels.table.unpack(type, segment.first + (row - band.rows.lowerBound) * segment.row_stride, segment.columns, at)
          at += segment.columns
        }
        while at < start + stride {
          at.pointee = 0
          at += 1
        }
      }
    }
  }

  private static func bands(of tensor: LogicalTensor, in files: [MappedFile]) throws(InferenceError) -> [Band] {
    func unreadable(_ reason: String) -> InferenceError { .unreadableTensor(name: tensor.name, reason: reason) }
    let blockElements = tensor.dtype.blockElements
    let bounds = Set(tensor.parts.flatMap { [$0.rows.lowerBound, $0.rows.upperBound] }).sorted()
    guard bounds.first == 0, bounds.last == tensor.rows else { throw unreadable("its parts don't cover its rows") }
    var bands: [Band] = []
    for (lower, upper) in zip(bounds, bounds.dropFirst()) {
      var segments: [drover_segment] = []
      var covered = 0
      let parts = tensor.parts.filter { $0.rows.lowerBound <= lower && upper <= $0.rows.upperBound }
      for part in parts.sorted(by: { $0.columns.lowerBound < $1.columns.lowerBound }) where part.columns.upperBound > covered {
        // Replicated parts cover the same columns: the first is taken.
        let skipped = covered - part.columns.lowerBound
        guard skipped >= 0, part.columns.lowerBound % blockElements == 0, part.columns.upperBound % blockElements == 0,
          covered % blockElements == 0
        else { throw unreadable("its parts don't fit together along the columns") }
        let bytes = try checkedBytes(of: part, tensor: tensor, in: files)
        let start = (lower - part.rows.lowerBound) * part.rowStride + skipped / blockElements * tensor.dtype.blockBytes
        segments.append(drover_segment(first: bytes + start, row_stride: part.rowStride, columns: part.columns.upperBound - covered))
        covered = part.columns.upperBound
      }
      guard covered == tensor.columns else { throw unreadable("its parts don't cover its columns") }
      bands.append(Band(rows: lower..<upper, segments: segments))
    }
    return bands
  }

  /// The first byte of `part`, once all of it is known to lie in its file.
  private static func checkedBytes(
    of part: LogicalTensor.Part, tensor: LogicalTensor, in files: [MappedFile]
  ) throws(InferenceError) -> UnsafeRawPointer {
    let outside = InferenceError.unreadableTensor(name: tensor.name, reason: "a part of it lies outside its file")
    guard files.indices.contains(part.file), part.offset >= 0, part.rowStride >= 0, part.columnStride >= 0, !part.rows.isEmpty,
      !part.columns.isEmpty
    else { throw outside }
    let (rowBytes, rowOverflow) = (part.rows.count - 1).multipliedReportingOverflow(by: part.rowStride)
    let blocks = part.columns.count / tensor.dtype.blockElements
    let (columnBytes, columnOverflow) = max(blocks - 1, 0).multipliedReportingOverflow(by: part.columnStride)
    guard !rowOverflow, !columnOverflow else { throw outside }
    let (span, spanOverflow) = rowBytes.addingReportingOverflow(columnBytes)
    let (end, endOverflow) = (part.offset + tensor.dtype.blockBytes).addingReportingOverflow(span)
    let bytes = files[part.file].bytes
    guard !spanOverflow, !endOverflow, end <= bytes.count, let base = bytes.baseAddress else { throw outside }
    return base + part.offset
  }
}
