#if canImport(Glibc)
  import Glibc
#endif

/// Hashes the leaves of a tensor's rectangle that lies in memory; see `TensorGrid`. One for each thread: it has room of its own.
public struct LeafHasher: ~Copyable {
  private var room: UnsafeMutableRawBufferPointer

  /// Leaves that are hashed side by side.
  private let lanes = SHA256.lanes

  /// Room for leaves that are gathered from rows which don't follow each other.
  public init() { room = .allocate(byteCount: (lanes + 1) * TensorGrid.bandBytes, alignment: 64) }

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
      var leaves: [UnsafeRawBufferPointer] = []
      leaves.reserveCapacity(lanes)
      var gathered = 0
      for index in 0..<count {
        let leaf = leaf(grid, bands[index / strips.count], strips[index % strips.count], rows, columns, base, pitch, &gathered)
        // Only leaves of one length are hashed side by side: nearly all are.
        if leaves.count == lanes || leaf.count != leaves.first?.count ?? leaf.count {
          Self.hash(leaves, to: out + 32 * (index - leaves.count))
          leaves.removeAll(keepingCapacity: true)
        }
        leaves.append(leaf)
      }
      Self.hash(leaves, to: out + 32 * (count - leaves.count))
      written = 32 * count
    }
  }

  /// A leaf's bytes: where they lie, or gathered.
  /// - Parameter gathered: how many leaves were gathered; their places in the room are taken in turns.
  private mutating func leaf(
    _ grid: TensorGrid, _ band: Range<Int>, _ strip: Range<Int>, _ rows: Range<Int>, _ columns: Range<Int>, _ base: UnsafeRawPointer, _ pitch: Int,
    _ gathered: inout Int
  ) -> UnsafeRawBufferPointer {
    let start = base + (band.lowerBound - rows.lowerBound) * pitch + grid.dtype.byteCount(strip.lowerBound - columns.lowerBound)
    let width = grid.dtype.byteCount(strip.count)
    let bytes = width * band.count
    if width == pitch || band.count == 1 { return UnsafeRawBufferPointer(start: start, count: bytes) }
    // No leaf of the grid is larger. One place more than there are lanes: a leaf is gathered before those that wait are hashed.
    let place = grid.dtype.byteCount(grid.stripColumns) * grid.bandRows
    guard let to = room.baseAddress.map({ $0 + gathered % (lanes + 1) * place }) else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    gathered += 1
    for index in 0..<band.count { memcpy(to + index * width, start + index * pitch, width) }
    return UnsafeRawBufferPointer(start: to, count: bytes)
  }

  /// - Parameter messages: of one length.
  private static func hash(_ messages: [UnsafeRawBufferPointer], to out: UnsafeMutablePointer<UInt8>) {
    var at = 0
    while at < messages.count {
      let kernel = SHA256Kernel.best(for: messages.count - at)
      let group = kernel == .sha ? messages[at...] : messages[at..<min(at + kernel.lanes, messages.count)]
      kernel.hash(group, to: out + 32 * at)
      at += group.count
    }
  }
}
