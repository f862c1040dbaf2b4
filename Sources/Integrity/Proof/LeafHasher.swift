import CKernels

#if canImport(Glibc)
  import Glibc
#endif

/// Hashes the leaves of a tensor's rectangle that lies in memory; see `TensorGrid`. One for each thread: it has room of its own.
public struct LeafHasher: ~Copyable {
  private var room: UnsafeMutableRawBufferPointer

  /// Leaves that are hashed side by side.
  private let lanes = max(2, SHA256.lanes)

  /// Room for leaves that are gathered from rows which don't follow each other: a band each, at most.
  public init() { room = .allocate(byteCount: lanes * TensorGrid.bandBytes, alignment: 64) }

  deinit { room.deallocate() }

  /// The digests of the leaves that lie in `rows` and `columns`, 32 bytes each, band by band and within a band from left to right. Of a leaf that
  /// the rectangle cuts, what lies in the rectangle is hashed.
  ///
  /// - Parameters:
  ///   - base: the first element of the rectangle, as it is hashed (vectors: float32).
  ///   - pitch: bytes from one row to the next.
  public mutating func digests(_ grid: TensorGrid, rows: Range<Int>, columns: Range<Int>, at base: UnsafeRawPointer, pitch: Int) -> [UInt8] {
    let strips = grid.leafColumns(columns)
    var bands: [Range<Int>] = []
    var row = rows.lowerBound
    while row < rows.upperBound {
      bands.append(grid.band(at: row).clamped(to: rows))
      row = bands[bands.count - 1].upperBound
    }
    let count = bands.count * strips.count
    return [UInt8](unsafeUninitializedCapacity: 32 * count) { digests, written in
      guard let out = digests.baseAddress else { return }
      for first in stride(from: 0, to: count, by: lanes) {
        let group = (first..<min(first + lanes, count)).map { index in
          leaf(grid, bands[index / strips.count], strips[index % strips.count], rows, columns, base, pitch, lane: index - first)
        }
        Self.hash(group, to: out + 32 * first)
      }
      written = 32 * count
    }
  }

  /// A leaf's bytes: where they lie, or gathered.
  private mutating func leaf(
    _ grid: TensorGrid, _ band: Range<Int>, _ strip: Range<Int>, _ rows: Range<Int>, _ columns: Range<Int>, _ base: UnsafeRawPointer, _ pitch: Int, lane: Int
  ) -> UnsafeRawBufferPointer {
    let start = base + (band.lowerBound - rows.lowerBound) * pitch + grid.dtype.byteCount(strip.lowerBound - columns.lowerBound)
    let width = grid.dtype.byteCount(strip.count)
    let bytes = width * band.count
    if width == pitch || band.count == 1 { return UnsafeRawBufferPointer(start: start, count: bytes) }
    guard let to = room.baseAddress.map({ $0 + lane * TensorGrid.bandBytes }) else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    for index in 0..<band.count { memcpy(to + index * width, start + index * pitch, width) }
    return UnsafeRawBufferPointer(start: to, count: bytes)
  }

  private static func hash(_ messages: [UnsafeRawBufferPointer], to out: UnsafeMutablePointer<UInt8>) {
    if SHA256Kernel.best == .sha, messages.count == 2, let x = messages[0].baseAddress, let y = messages[1].baseAddress {
      return drover_sha256_two(
        x.assumingMemoryBound(to: UInt8.self), messages[0].count, out, y.assumingMemoryBound(to: UInt8.self), messages[1].count, out + 32)
    }
    var hashes = messages.map { _ in SHA256() }
    SHA256.update(&hashes, with: messages)
    for (index, hash) in hashes.enumerated() {
      for (byte, value) in hash.finalize().bytes.enumerated() { out[32 * index + byte] = value }
    }
  }
}
