import Integrity
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

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
          let digest = try WholeTensor(tensor, in: files).fingerprint(progress)
          results.withLock { $0.digests[tensor.name] = digest }
        } catch {
          results.withLock { $0.failure = $0.failure ?? error }
        }
      }
    }
    var (digests, failure) = results.withLock { $0 }
    if let failure { throw failure }
    let (embedding, output) = (TensorName.Role.embedding.rawValue, TensorName.Role.output.rawValue)
    if digests[output] == nil { digests[output] = digests[embedding] }
    return CheckpointFingerprint(tensors: digests)
  }

  /// Bytes that `fingerprint` hashes.
  public var fingerprintBytes: Int { fingerprinted.reduce(0) { $0 + $1.byteCount } }

  private var fingerprinted: [LogicalTensor] {
    tensors.filter { tensor in
      switch TensorName(tensor.name)?.role {
      case .ropeFrequencies, .layerRoPEFrequencies: false
      default: true
      }
    }
  }
}

extension LogicalTensor {
  /// Bytes of a whole row.
  fileprivate var rowBytes: Int { columns / dtype.blockElements * dtype.blockBytes }
  fileprivate var byteCount: Int { rows * rowBytes }

  /// The row of the whole, as it lies on disk, that is row `row` in Meta's order.
  fileprivate func storedRow(_ row: Int) -> Int {
    switch rowOrder {
    case .pairs: return row
    case .halves(let headDim):
      let (head, within) = row.quotientAndRemainder(dividingBy: headDim)
      return head * headDim + within % 2 * (headDim / 2) + within / 2
    }
  }
}

/// Walks one tensor row by row in Meta's order, whatever pieces it lies in.
private struct WholeTensor {
  /// Parts that hold the same rows, side by side.
  private struct Band {
    var rows: Range<Int>
    var parts: [LogicalTensor.Part] = []
    /// Parts that hold what one of `parts` holds.
    var copies: [(copy: LogicalTensor.Part, of: LogicalTensor.Part)] = []
  }

  /// Bytes between two reports.
  private static let step = 4 << 20

  private let tensor: LogicalTensor
  private let files: [MappedFile]
  private var bands: [Band] = []

  init(_ tensor: LogicalTensor, in files: [MappedFile]) throws(CheckpointError) {
    self.tensor = tensor
    self.files = files
    for part in tensor.parts {
      if let index = bands.firstIndex(where: { $0.rows == part.rows }) {
        if let original = bands[index].parts.first(where: { $0.columns == part.columns }) {
          bands[index].copies.append((part, original))
        } else {
          bands[index].parts.append(part)
        }
      } else {
        bands.append(Band(rows: part.rows, parts: [part]))
      }
    }
    bands.sort { $0.rows.lowerBound < $1.rows.lowerBound }
    for index in bands.indices { bands[index].parts.sort { $0.columns.lowerBound < $1.columns.lowerBound } }
    guard Self.tile(bands.map(\.rows), tensor.rows), bands.allSatisfy({ Self.tile($0.parts.map(\.columns), tensor.columns) }) else {
      throw CheckpointError(.corrupt, in: tensor.parts.first.map { files[$0.file].path }, "has pieces of \(tensor.name) that don't make it whole")
    }
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

  func fingerprint(_ progress: (Int) -> Void) throws(CheckpointError) -> Digest {
    for band in bands {
      for (copy, original) in band.copies { try compare(copy, original) }
    }
    let isVector = tensor.shape.count == 1
    let widening: DType? = isVector && tensor.dtype != .f32 ? tensor.dtype : nil
    var hash = TensorFingerprint(dtype: isVector ? DType.f32.rawValue : tensor.dtype.rawValue, shape: tensor.shape)
    var unreported = 0
    func take(_ bytes: UnsafeRawBufferPointer) {
      if let widening { widen(bytes, widening).withUnsafeBytes { hash.update($0) } } else { hash.update(bytes) }
      unreported += bytes.count
      guard unreported >= Self.step else { return }
      progress(unreported)
      unreported = 0
    }
    if let part = onlyPart, isContiguous(part), tensor.rowOrder == .pairs {
      // It lies as it is hashed.
      let all = bytes(part, row: 0, count: tensor.byteCount)
      for start in stride(from: 0, to: all.count, by: Self.step) {
        take(UnsafeRawBufferPointer(rebasing: all[start..<min(all.count, start + Self.step)]))
      }
    } else {
      var band = 0
      for row in 0..<tensor.rows {
        let stored = tensor.storedRow(row)
        if !bands[band].rows.contains(stored) { band = bands.firstIndex { $0.rows.contains(stored) } ?? band }
        for part in bands[band].parts { withRow(stored, of: part, take) }
      }
    }
    progress(unreported)
    return hash.finalize()
  }

  private var onlyPart: LogicalTensor.Part? { bands.count == 1 && bands[0].parts.count == 1 ? bands[0].parts[0] : nil }

  private func isContiguous(_ part: LogicalTensor.Part) -> Bool {
    part.columnStride == tensor.dtype.blockBytes && (part.rows.count == 1 || part.rowStride == rowBytes(part))
  }

  private func rowBytes(_ part: LogicalTensor.Part) -> Int { part.columns.count / tensor.dtype.blockElements * tensor.dtype.blockBytes }

  /// `count` bytes from the beginning of row `row` of the part.
  private func bytes(_ part: LogicalTensor.Part, row: Int, count: Int) -> UnsafeRawBufferPointer {
    let start = part.offset + row * part.rowStride
    return UnsafeRawBufferPointer(rebasing: files[part.file].bytes[start..<start + count])
  }

  /// Calls `body` with what `part` holds of row `row` of the whole, in the order of the disk; gathered first if its elements lie apart.
  private func withRow<R>(_ row: Int, of part: LogicalTensor.Part, _ body: (UnsafeRawBufferPointer) -> R) -> R {
    let block = tensor.dtype.blockBytes
    let row = row - part.rows.lowerBound
    guard part.columnStride != block else { return body(bytes(part, row: row, count: rowBytes(part))) }
    let start = part.offset + row * part.rowStride
    let file = files[part.file].bytes
    var gathered: [UInt8] = []
    gathered.reserveCapacity(rowBytes(part))
    for index in 0..<part.columns.count / tensor.dtype.blockElements {
      let at = start + index * part.columnStride
      gathered.append(contentsOf: file[at..<at + block])
    }
    return gathered.withUnsafeBytes(body)
  }

  private func compare(_ copy: LogicalTensor.Part, _ original: LogicalTensor.Part) throws(CheckpointError) {
    for row in copy.rows {
      let isAlike = withRow(row, of: copy) { a in
        withRow(row, of: original) { b in areEqual(a, b) }
      }
      guard isAlike else {
        throw CheckpointError(
          .corrupt, in: files[copy.file].path,
          "holds another \(tensor.name) than \(files[original.file].path) (first in row \(row)), where all copies should be alike: one of the two files is damaged")
      }
    }
  }
}

private func areEqual(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
  guard a.count == b.count, let first = a.baseAddress, let second = b.baseAddress else { return a.count == b.count }
  return memcmp(first, second, a.count) == 0
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
