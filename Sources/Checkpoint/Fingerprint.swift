import Integrity
import Synchronization

extension Checkpoint {
  /// Computes the fingerprint of every tensor, side by side on all cores; `TensorFingerprint` has the definition.
  ///
  /// Reads all weights once. Copies of a tensor in several shards (norms; key and value heads that ranks share) are compared on the way.
  ///
  /// - Parameter progress: called on any thread with the number of bytes that were hashed since its last call; in all `fingerprintBytes`.
  /// - Throws: `.corrupt` where copies differ, naming the tensor and the file.
  public func fingerprint(progress: @escaping @Sendable (_ bytes: Int) -> Void = { _ in }) throws(CheckpointError) -> CheckpointFingerprint {
    // The largest first, so that no core is left with one of them in the end.
    let work = fingerprinted.sorted { $0.byteCount > $1.byteCount }
    let next = Atomic(0)
    let results = Mutex((digests: [String: Digest](), failure: CheckpointError?.none))
    Workers.run(min(Workers.available, work.count)) {
      while true {
        let index = next.add(1, ordering: .relaxed).oldValue
        guard index < work.count, results.withLock({ $0.failure == nil }) else { return }
        let tensor = work[index]
        do throws(CheckpointError) {
          try checkCopies(of: tensor)
          var walk = try TensorWalk(tensor, in: files)
          while !walk.isDone { progress(walk.advance(4 << 20)) }
          let digest = walk.finalize()
          results.withLock { $0.digests[tensor.name] = digest }
        } catch {
          results.withLock { $0.failure = $0.failure ?? error }
        }
      }
    }
    let (digests, failure) = results.withLock { $0 }
    if let failure { throw failure }
    return CheckpointFingerprint(stored: digests)
  }

  private func checkCopies(of tensor: LogicalTensor) throws(CheckpointError) {
    for (index, copy) in tensor.parts.enumerated() {
      guard let original = tensor.parts[..<index].first(where: { $0.rows == copy.rows && $0.columns == copy.columns }),
        !copy.isEqual(in: files[copy.file], to: original, in: files[original.file], tensor.dtype)
      else { continue }
      throw CheckpointError(
        .corrupt, in: files[copy.file].path,
        "holds another \(tensor.name) than \(files[original.file].path), where all copies should be alike: one of the two files is damaged")
    }
  }

  /// Bytes that `fingerprint` hashes.
  public var fingerprintBytes: Int { fingerprinted.reduce(0) { $0 + $1.byteCount } }

  /// The tensors that have a fingerprint.
  var fingerprinted: [LogicalTensor] {
    tensors.filter { tensor in
      switch TensorName(tensor.name)?.role {
      case .ropeFrequencies, .layerRoPEFrequencies: false
      default: true
      }
    }
  }
}

extension CheckpointFingerprint {
  /// From the digests of the tensors that a checkpoint holds: a tied output projection is the embedding table.
  init(stored digests: [String: Digest]) {
    var digests = digests
    let (embedding, output) = (TensorName.Role.embedding.rawValue, TensorName.Role.output.rawValue)
    if digests[output] == nil { digests[output] = digests[embedding] }
    self.init(tensors: digests)
  }
}

extension LogicalTensor {
  /// Bytes of the whole.
  fileprivate var byteCount: Int { rows * (columns / dtype.blockElements * dtype.blockBytes) }
}

/// One tensor on its way into its fingerprint: row by row in Meta's order, whatever pieces it lies in.
struct TensorWalk {
  /// Parts that hold the same rows, side by side.
  private struct Band {
    var rows: Range<Int>
    var parts: [LogicalTensor.Part] = []
  }

  let tensor: LogicalTensor
  private let files: [MappedFile]
  private let bands: [Band]
  private var hash: TensorFingerprint
  /// Where the next stretch begins.
  private var row = 0
  private var offset = 0

  /// - Throws: when the tensor's parts don't make it whole.
  init(_ tensor: LogicalTensor, in files: [MappedFile]) throws(CheckpointError) {
    self.tensor = tensor
    self.files = files
    var bands: [Band] = []
    for part in tensor.parts {
      if let index = bands.firstIndex(where: { $0.rows == part.rows }) {
        if !bands[index].parts.contains(where: { $0.columns == part.columns }) { bands[index].parts.append(part) }
      } else {
        bands.append(Band(rows: part.rows, parts: [part]))
      }
    }
    bands.sort { $0.rows.lowerBound < $1.rows.lowerBound }
    for index in bands.indices { bands[index].parts.sort { $0.columns.lowerBound < $1.columns.lowerBound } }
    guard Self.tile(bands.map(\.rows), tensor.rows), bands.allSatisfy({ Self.tile($0.parts.map(\.columns), tensor.columns) }) else {
      throw CheckpointError(.corrupt, in: tensor.parts.first.map { files[$0.file].path }, "has pieces of \(tensor.name) that don't make it whole")
    }
    self.bands = bands
    hash = TensorFingerprint(dtype: (tensor.shape.count == 1 ? .f32 : tensor.dtype).rawValue, shape: tensor.shape)
  }

  /// Whether `ranges` follow each other from 0 to `count`.
  private static func tile(_ ranges: [Range<Int>], _ count: Int) -> Bool {
    var end = 0
    for range in ranges {
      guard range.lowerBound == end else { return false }
      end = range.upperBound
    }
    return end == count
  }

  var isDone: Bool { row == tensor.rows }

  func finalize() -> Digest { hash.finalize() }

  /// Hashes on, whole rows until there are `budget` bytes, or a stretch of that length where all lies as it is hashed.
  /// - Returns: bytes hashed.
  mutating func advance(_ budget: Int, _ resident: ResidentPages? = nil) -> Int {
    if let part = bands.count == 1 && bands[0].parts.count == 1 ? bands[0].parts[0] : nil, tensor.rowOrder == .pairs, isContiguous(part) {
      let count = min(budget, tensor.byteCount - offset)
      take(bytes(part, at: part.offset + offset, count))
      resident?.didTouch(count, of: files[part.file])
      offset += count
      if offset == tensor.byteCount { row = tensor.rows }
      return count
    }
    var taken = 0
    var band = 0
    while taken < budget, row < tensor.rows {
      let stored = tensor.rowOrder.diskRow(row)
      if !bands[band].rows.contains(stored) { band = bands.firstIndex { $0.rows.contains(stored) } ?? band }
      for part in bands[band].parts {
        let count = hashRow(stored, of: part)
        resident?.didTouch(count, of: files[part.file])
        taken += count
      }
      row += 1
    }
    return taken
  }

  private func isContiguous(_ part: LogicalTensor.Part) -> Bool {
    part.columnStride == tensor.dtype.blockBytes && (part.rows.count == 1 || part.rowStride == rowBytes(part))
  }

  private func rowBytes(_ part: LogicalTensor.Part) -> Int { part.columns.count / tensor.dtype.blockElements * tensor.dtype.blockBytes }

  private func bytes(_ part: LogicalTensor.Part, at start: Int, _ count: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: files[part.file].bytes[start..<start + count])
  }

  /// Hashes what `part` holds of the row that lies at `row` of the whole; its elements may lie apart.
  private mutating func hashRow(_ row: Int, of part: LogicalTensor.Part) -> Int {
    let block = tensor.dtype.blockBytes
    let start = part.offset + (row - part.rows.lowerBound) * part.rowStride
    let count = rowBytes(part)
    guard part.columnStride != block else {
      take(bytes(part, at: start, count))
      return count
    }
    var gathered: [UInt8] = []
    gathered.reserveCapacity(count)
    for index in 0..<count / block { gathered.append(contentsOf: bytes(part, at: start + index * part.columnStride, block)) }
    gathered.withUnsafeBytes { take($0) }
    return count
  }

  private mutating func take(_ bytes: UnsafeRawBufferPointer) {
    guard tensor.shape.count == 1, tensor.dtype != .f32 else { return hash.update(bytes) }
    widen(bytes, tensor.dtype).withUnsafeBytes { hash.update($0) }
  }
}

/// The float32 values of bfloat16 or float16 `bytes`, exactly.
private func widen(_ bytes: UnsafeRawBufferPointer, _ dtype: DType) -> [UInt8] {
  var widened: [UInt8] = []
  widened.reserveCapacity(bytes.count * 2)
  for at in stride(from: 0, to: bytes.count - 1, by: 2) {
    let bits = UInt16(bytes[at]) | UInt16(bytes[at + 1]) << 8
    let float = dtype == .bf16 ? UInt32(bits) << 16 : float32Bits(ofFloat16: bits)
    withUnsafeBytes(of: float.littleEndian) { widened.append(contentsOf: $0) }
  }
  return widened
}

/// IEEE 754 binary16 to binary32. In integers: arithmetic would make signalling NaNs quiet.
private func float32Bits(ofFloat16 bits: UInt16) -> UInt32 {
  let sign = UInt32(bits >> 15) << 31
  let exponent = UInt32(bits >> 10 & 0x1F)
  let fraction = UInt32(bits & 0x3FF)
  switch exponent {
  case 0:
    guard fraction != 0 else { return sign }
    // Subnormal: the highest bit set becomes the implicit one.
    let shift = UInt32(fraction.leadingZeroBitCount) - 21
    return sign | (113 - shift) << 23 | (fraction << shift & 0x3FF) << 13
  case 0x1F: return sign | 0x7F80_0000 | fraction << 13
  default: return sign | (exponent + 112) << 23 | fraction << 13
  }
}
