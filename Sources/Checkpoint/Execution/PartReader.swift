import Integrity

#if canImport(Glibc)
  import Glibc
#endif

/// Reads rectangles of tensors out of the files that their parts lie in. One for each thread: it has room of its own to read into.
///
/// Nothing is read through a map: a file that is cut short under one would end the program.
struct PartReader {
  private let files: [any ByteSource]
  private var raw = Room()
  private var replica = Room()
  private var strided = Room()
  private var floats = Room()
  private var conversions: [[DType]: RowConversion] = [:]
  /// Of the rectangle that is read.
  private var overflows = 0

  /// Bytes that are read at once to pick some of them.
  private static let mostSpan = 4 << 20
  /// As many bytes are read in about the time that a call takes.
  private static let leastSpan = 4096

  init(files: [any ByteSource]) { self.files = files }

  /// Writes a rectangle of a tensor to `out`, row by row in Meta's order, without gaps, as `plan.dtype`. Copies of it in other ranks' shards are read
  /// too, and compared.
  /// - Returns: how many finite numbers became infinite, since `plan.dtype` can't hold them.
  /// - Throws: where copies differ, naming tensor, ranks and byte.
  @discardableResult
  mutating func read(_ plan: TensorPlan, _ chunk: TensorPlan.Chunk, into out: UnsafeMutableRawPointer) throws(CheckpointError) -> Int {
    overflows = 0
    guard plan.quantizes else {
      try read(plan, chunk, as: plan.dtype, into: out)
      return overflows
    }
    // Blocks may lie across the edges of parts, so numbers are put side by side first.
    let count = chunk.rows.count * chunk.columns.count
    let numbers = floats.of(DType.f32.byteCount(count))
    try read(plan, chunk, as: .f32, into: numbers)
    try Quantizer.quantize(UnsafeBufferPointer(start: numbers.assumingMemoryBound(to: Float.self), count: count), chunk, of: plan, into: out)
    return overflows
  }

  private mutating func read(
    _ plan: TensorPlan, _ chunk: TensorPlan.Chunk, as dtype: DType, into out: UnsafeMutableRawPointer
  ) throws(CheckpointError) {
    let pitch = dtype.byteCount(chunk.columns.count)
    for source in plan.sources {
      let rows = source.part.rows.clamped(to: chunk.rows)
      let columns = source.part.columns.clamped(to: chunk.columns)
      guard !rows.isEmpty, !columns.isEmpty else { continue }
      for run in plan.tensor.rowOrder.runs(rows) {
        let to = out + (run.meta - chunk.rows.lowerBound) * pitch + dtype.byteCount(columns.lowerBound - chunk.columns.lowerBound)
        try read(plan, source, run, columns, as: dtype, into: to, pitch: run.step * pitch)
      }
    }
  }

  private mutating func read(
    _ plan: TensorPlan, _ source: TensorPlan.Source, _ run: LogicalTensor.RowOrder.Run, _ columns: Range<Int>, as output: DType, into out: UnsafeMutableRawPointer,
    pitch: Int
  ) throws(CheckpointError) {
    if source.part.coding != nil { return try readCodes(plan, source, run, columns, as: output, into: out, pitch: pitch) }
    let dtype = plan.tensor.dtype
    let part = source.part
    let rows = run.disk - part.rows.lowerBound..<run.disk - part.rows.lowerBound + run.count
    let first = columns.lowerBound - part.columns.lowerBound
    // Of quantized rows whole blocks, the first and last of which may be used in part.
    let blocks = first / dtype.blockElements..<(first + columns.count - 1) / dtype.blockElements + 1
    let width = blocks.count * dtype.blockBytes
    let isCopy = dtype == output
    let isDirect = isCopy && (pitch == width || rows.count == 1)
    let bytes = isDirect ? out : raw.of(rows.count * width)
    try read(part, dtype, rows, blocks, into: bytes)
    for other in source.replicas {
      let copy = replica.of(rows.count * width)
      try read(other, dtype, rows, blocks, into: copy)
      if memcmp(bytes, copy, rows.count * width) != 0 { throw difference(plan.tensor, part, other, rows, blocks, bytes, copy) }
    }
    if isDirect { return }
    if isCopy {
      for row in 0..<rows.count { memcpy(out + row * pitch, bytes + row * width, width) }
      return
    }
    let skip = first % dtype.blockElements
    var conversion = conversions.removeValue(forKey: [dtype, output]) ?? RowConversion(from: dtype, to: output)
    defer { conversions[[dtype, output]] = conversion }
    for row in 0..<rows.count {
      overflows += conversion.convert(UnsafeRawPointer(bytes) + row * width, first: skip, columns: columns.count, into: out + row * pitch)
    }
  }

  /// The same of parts whose bytes are codes. What is written of them is what they are as bfloat16.
  private mutating func readCodes(
    _ plan: TensorPlan, _ source: TensorPlan.Source, _ run: LogicalTensor.RowOrder.Run, _ columns: Range<Int>, as output: DType, into out: UnsafeMutableRawPointer,
    pitch: Int
  ) throws(CheckpointError) {
    let part = source.part
    let rows = run.disk - part.rows.lowerBound..<run.disk - part.rows.lowerBound + run.count
    let within = columns.lowerBound - part.columns.lowerBound..<columns.upperBound - part.columns.lowerBound
    let floats = try decoded(part, rows, within)
    for other in source.replicas where try decoded(other, rows, within) != floats {
      throw CheckpointError(
        .corrupt, in: files[other.file].path, byte: other.offset, "\(plan.tensor.name) should be the same in shards \(part.rank) and \(other.rank), and isn't: one of the two is damaged")
    }
    var conversion = RowConversion(from: .bf16, to: output)
    var halves = [UInt16](repeating: 0, count: within.count)
    for row in 0..<rows.count {
      for column in 0..<within.count { halves[column] = RowConversion.bfloat16(floats[row * within.count + column]).littleEndian }
      overflows += halves.withUnsafeBytes { bytes in
        bytes.baseAddress.map { conversion.convert($0, first: 0, columns: within.count, into: out + row * pitch) } ?? 0
      }
    }
  }

  /// The numbers that codes stand for, row by row.
  /// - Parameters:
  ///   - rows, columns: of the part.
  private mutating func decoded(_ part: LogicalTensor.Part, _ rows: Range<Int>, _ columns: Range<Int>) throws(CheckpointError) -> [Float] {
    guard let coding = part.coding else { return [] }
    // A rotation mixes all columns.
    let width = coding.isRotated ? 0..<part.columns.count : columns
    var floats = [Float](repeating: 0, count: rows.count * width.count)
    let codes = Block(count: floats.count)
    try read(part, element: 1, rows, width, into: codes.baseAddress)
    let group = part.columns.count / coding.scales.columns
    let groups = width.lowerBound / group..<(width.upperBound - 1) / group + 1
    let scales = try numbers(coding.scales, rows, groups)
    let zeros = try coding.zeros.map { table throws(CheckpointError) in try numbers(table, rows, groups) }
    for row in 0..<rows.count {
      for column in 0..<width.count {
        let place = row * groups.count + (width.lowerBound + column) / group - groups.lowerBound
        let byte = codes.memory[row * width.count + column]
        let value = coding.code == .int8 ? Float(Int8(bitPattern: byte)) : Float8.float(byte)
        floats[row * width.count + column] = (value - (zeros?[place] ?? 0)) * scales[place]
      }
    }
    if let adaptor = coding.adaptor {
      let rank = adaptor.a.rows
      let a = try numbers(adaptor.a, 0..<rank, width)
      let b = try numbers(adaptor.b, rows, 0..<rank)
      for row in 0..<rows.count {
        for column in 0..<width.count {
          var sum: Float = 0
          for index in 0..<rank { sum += b[row * rank + index] * a[index * width.count + column] }
          floats[row * width.count + column] += Float(adaptor.scale) * sum
        }
      }
    }
    guard coding.isRotated else { return floats }
    for row in 0..<rows.count { Hadamard.transform(&floats, row * width.count..<(row + 1) * width.count) }
    return (0..<rows.count).flatMap { floats[$0 * width.count + columns.lowerBound..<$0 * width.count + columns.upperBound] }
  }

  /// A rectangle of a table as float32.
  private mutating func numbers(_ table: StoredCoding.Table, _ rows: Range<Int>, _ columns: Range<Int>) throws(CheckpointError) -> [Float] {
    let bytes = Block(count: rows.count * columns.count * table.dtype.blockBytes)
    try read(table.part, element: table.dtype.blockBytes, rows, columns, into: bytes.baseAddress)
    var floats = [Float](repeating: 0, count: rows.count * columns.count)
    var conversion = RowConversion(from: table.dtype, to: .f32)
    floats.withUnsafeMutableBytes { floats in
      if let to = floats.baseAddress { _ = conversion.convert(bytes.baseAddress, first: 0, columns: rows.count * columns.count, into: to) }
    }
    return floats
  }

  /// The first row of each part, in the order of `tensor.parts`.
  mutating func firstRows(of tensor: LogicalTensor) throws(CheckpointError) -> [[UInt8]] {
    var rows: [[UInt8]] = []
    for part in tensor.parts {
      if part.coding != nil {
        rows.append(try decoded(part, 0..<1, 0..<part.columns.count).flatMap { RowConversion.bfloat16($0).littleEndianBytes })
        continue
      }
      let blocks = part.columns.count / tensor.dtype.blockElements
      let count = blocks * tensor.dtype.blockBytes
      let row = raw.of(count)
      try read(part, tensor.dtype, 0..<1, 0..<blocks, into: row)
      rows.append([UInt8](UnsafeRawBufferPointer(start: row, count: count)))
    }
    return rows
  }

  /// Checks a claim that was made of layer 0: parts that aren't copies of each other differ in their first rows.
  mutating func checkFirstRowsDiffer(_ plan: TensorPlan) throws(CheckpointError) {
    var tensor = plan.tensor
    tensor.parts = plan.sources.map(\.part)
    var seen: [[UInt8]: LogicalTensor.Part] = [:]
    for (part, row) in zip(tensor.parts, try firstRows(of: tensor)) {
      guard let other = seen.updateValue(part, forKey: row) else { continue }
      throw sameFirstRow(tensor, other, part)
    }
  }

  /// What is wrong where two parts that aren't copies of each other begin alike.
  func sameFirstRow(_ tensor: LogicalTensor, _ other: LogicalTensor.Part, _ part: LogicalTensor.Part) -> CheckpointError {
    CheckpointError(
      .corrupt, in: files[part.file].path, byte: part.offset,
      "\(tensor.name) begins with the same row in shards \(other.rank) and \(part.rank), which layer 0 has as different heads. "
        + "A shard is damaged or of another model, or heads are alike by chance: then --kv-heads N says how many the model has")
  }

  /// SHA-256 of the first row of a source's part.
  mutating func firstRow(of plan: TensorPlan, source: Int) throws(CheckpointError) -> Digest {
    var tensor = plan.tensor
    tensor.parts = [plan.sources[source].part]
    return SHA256.hash(try firstRows(of: tensor)[0])
  }

  /// SHA-256 of what a copy has of a chunk of its source, as it lies there.
  mutating func copyDigest(of plan: TensorPlan, _ part: LogicalTensor.Part, _ chunk: TensorPlan.Chunk) throws(CheckpointError) -> Digest {
    let dtype = plan.tensor.dtype
    let (rows, columns) = (part.rows.clamped(to: chunk.rows), part.columns.clamped(to: chunk.columns))
    let first = columns.lowerBound - part.columns.lowerBound
    let blocks = first / dtype.blockElements..<(first + columns.count - 1) / dtype.blockElements + 1
    var hash = SHA256()
    for run in plan.tensor.rowOrder.runs(rows) {
      let count = run.count * blocks.count * dtype.blockBytes
      let bytes = replica.of(count)
      try read(part, dtype, run.disk - part.rows.lowerBound..<run.disk - part.rows.lowerBound + run.count, blocks, into: bytes)
      hash.update(UnsafeRawBufferPointer(start: bytes, count: count))
    }
    return hash.finalize()
  }

  /// Holds copies of a chunk, of which others were written before, against those.
  /// - Parameters:
  ///   - unseen: the files whose copies are compared.
  ///   - digest: of the others'.
  mutating func compare(_ plan: TensorPlan, source: Int, _ chunk: TensorPlan.Chunk, unseen: Set<Int>, with digest: Digest) throws(CheckpointError) {
    let parts = [plan.sources[source].part] + plan.sources[source].replicas
    for part in parts where unseen.contains(part.file) {
      guard try copyDigest(of: plan, part, chunk) != digest else { continue }
      let other = parts.first { !unseen.contains($0.file) } ?? part
      throw CheckpointError(
        .corrupt, in: files[part.file].path, byte: part.offset,
        "\(plan.tensor.name) should be the same in shards \(other.rank) and \(part.rank), and isn't: one of the two is damaged")
    }
  }

  /// Reads rows and blocks of a part, without gaps.
  private mutating func read(
    _ part: LogicalTensor.Part, _ dtype: DType, _ rows: Range<Int>, _ blocks: Range<Int>, into out: UnsafeMutableRawPointer
  ) throws(CheckpointError) { try read(part, element: dtype.blockBytes, rows, blocks, into: out) }

  /// - Parameter element: bytes that an element, or a block, has in the file.
  private mutating func read(
    _ part: LogicalTensor.Part, element: Int, _ rows: Range<Int>, _ blocks: Range<Int>, into out: UnsafeMutableRawPointer
  ) throws(CheckpointError) {
    let width = blocks.count * element
    let start = part.offset + rows.lowerBound * part.rowStride + blocks.lowerBound * part.columnStride
    let needed = rows.count * width
    let span = (rows.count - 1) * part.rowStride + (blocks.count - 1) * part.columnStride + element
    if span == needed, part.columnStride == element || blocks.count == 1 {
      return try files[part.file].read(into: UnsafeMutableRawBufferPointer(start: out, count: span), at: start)
    }
    if span > Self.mostSpan || span > max(2 * needed, Self.leastSpan) {
      // What lies between isn't worth reading: in halves, cut where the file has the longer way.
      let cutsRows = rows.count > 1 && (blocks.count <= 1 || (rows.count - 1) * part.rowStride >= (blocks.count - 1) * part.columnStride)
      if cutsRows {
        let half = rows.count / 2
        try read(part, element: element, rows.prefix(half), blocks, into: out)
        return try read(part, element: element, rows.dropFirst(half), blocks, into: out + half * width)
      }
      if blocks.count > 1 {
        // Both halves of each row; they are put side by side.
        let half = blocks.count / 2
        let (left, right) = (Block(count: rows.count * half * element), Block(count: rows.count * (blocks.count - half) * element))
        try read(part, element: element, rows, blocks.prefix(half), into: left.baseAddress)
        try read(part, element: element, rows, blocks.dropFirst(half), into: right.baseAddress)
        for row in 0..<rows.count {
          memcpy(out + row * width, left.baseAddress + row * half * element, half * element)
          memcpy(out + row * width + half * element, right.baseAddress + row * (blocks.count - half) * element, (blocks.count - half) * element)
        }
        return
      }
    }
    let bytes = strided.of(span)
    try files[part.file].read(into: UnsafeMutableRawBufferPointer(start: bytes, count: span), at: start)
    for row in 0..<rows.count {
      let (from, to) = (bytes + row * part.rowStride, out + row * width)
      if part.columnStride == element {
        memcpy(to, from, width)
      } else {
        for block in 0..<blocks.count { memcpy(to + block * element, from + block * part.columnStride, element) }
      }
    }
  }

  private func difference(
    _ tensor: LogicalTensor, _ part: LogicalTensor.Part, _ other: LogicalTensor.Part, _ rows: Range<Int>, _ blocks: Range<Int>,
    _ bytes: UnsafeMutableRawPointer, _ copy: UnsafeMutableRawPointer
  ) -> CheckpointError {
    let element = tensor.dtype.blockBytes
    let width = blocks.count * element
    let count = rows.count * width
    var at = 0
    while at < count, bytes.load(fromByteOffset: at, as: UInt8.self) == copy.load(fromByteOffset: at, as: UInt8.self) { at += 1 }
    let (row, column) = (rows.lowerBound + at / width, blocks.lowerBound + at % width / element)
    return CheckpointError(
      .corrupt, in: files[other.file].path, byte: other.offset + row * other.rowStride + column * other.columnStride + at % element,
      "\(tensor.name) should be the same in shards \(part.rank) and \(other.rank), and isn't: one of the two is damaged"
        + (tensor.firstRowsDiffer ? ", or layer 0's heads are alike by chance: then --kv-heads N says how many the model has" : ""))
  }
}
