/// Hashes a rectangle of a tensor that comes row by row: a shard's part of it, or all of it. See `TensorGrid` for what is hashed.
public struct RegionHasher: Sendable {
  public let region: GridRegion
  /// Bytes taken so far.
  public private(set) var byteCount = 0

  private let pitch: Int
  private var folder: NodeFolder
  /// Where the row of the next byte's band begins and ends; rows of the whole tensor.
  private var band: Range<Int>
  /// Bytes of that band that were taken.
  private var begun = 0
  /// What was taken of a band that isn't whole.
  private var bytes: [UInt8] = []

  public init(_ region: GridRegion) {
    self.region = region
    pitch = region.storedRowBytes
    folder = NodeFolder(region)
    band = region.grid.band(at: region.rows.lowerBound).clamped(to: region.rows)
  }

  public var isComplete: Bool { byteCount == region.storedBytes }

  /// Takes the bytes that follow, as they are stored: rows first, without gaps. More than the region has is a mistake of the caller's.
  /// - Parameter leaves: the calling thread's.
  public mutating func update(_ bytes: UnsafeRawBufferPointer, _ leaves: inout LeafHasher) {
    precondition(byteCount + bytes.count <= region.storedBytes)
    byteCount += bytes.count
    var rest = bytes
    while !rest.isEmpty {
      if begun == 0, !region.widens, let base = rest.baseAddress, let rows = wholeBands(rest.count) {
        fold(rows, base, pitch, &leaves)
        rest = UnsafeRawBufferPointer(rebasing: rest[(rows.count * pitch)...])
        continue
      }
      let size = band.count * pitch
      let count = min(rest.count, size - begun)
      self.bytes += rest[..<count]
      begun += count
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      guard begun == size else { continue }
      let whole = region.widens ? Widening.float32(self.bytes, from: region.stored) : self.bytes
      whole.withUnsafeBytes { buffer in
        if let base = buffer.baseAddress { fold(band, base, buffer.count / max(1, band.count), &leaves) }
      }
      self.bytes.removeAll(keepingCapacity: true)
    }
  }

  /// The rows of the bands, from the next one on, that `byteCount` bytes hold wholly; nil where they hold none.
  private func wholeBands(_ byteCount: Int) -> Range<Int>? {
    var end = band.lowerBound
    let most = end + byteCount / max(1, pitch)
    while end < region.rows.upperBound {
      let next = region.grid.band(at: end).upperBound
      let clamped = min(next, region.rows.upperBound)
      guard clamped <= most else { break }
      end = clamped
    }
    return end > band.lowerBound ? band.lowerBound..<end : nil
  }

  /// Hashes whole bands that lie in memory, all their leaves side by side.
  private mutating func fold(_ rows: Range<Int>, _ base: UnsafeRawPointer, _ pitch: Int, _ leaves: inout LeafHasher) {
    let digests = leaves.digests(region.grid, rows: rows, columns: region.columns, at: base, pitch: pitch)
    let size = 32 * region.grid.leafColumns(region.columns).count
    var at = 0
    while at < digests.count {
      folder.fold(band, digests[at..<at + size])
      at += size
      nextBand()
    }
  }

  private mutating func nextBand() {
    begun = 0
    guard band.upperBound < region.rows.upperBound else { return }
    band = region.grid.band(at: band.upperBound).clamped(to: region.rows)
  }

  /// The digests of the region, when all of it was taken.
  public mutating func finalize() -> RegionDigests {
    precondition(isComplete)
    return folder.finalize()
  }

  // MARK: Keeping

  /// Bytes that were taken before the band begun: from there a saved state goes on.
  public var savedBytes: Int { byteCount - begun }

  /// What `init(_:state:)` needs to go on at `savedBytes`.
  public var state: NodeFolder.State { folder.state }

  /// Goes on from a saved state.
  /// - Parameter byteCount: `savedBytes` when it was saved.
  /// - Returns: nil when they don't fit the region.
  public init?(_ region: GridRegion, state: NodeFolder.State, byteCount: Int) {
    self.init(region)
    guard byteCount >= 0, byteCount <= region.storedBytes, byteCount % pitch == 0, let folder = NodeFolder(region, state) else { return nil }
    let row = region.rows.lowerBound + byteCount / pitch
    guard folder.nextRow == row else { return nil }
    self.folder = folder
    self.byteCount = byteCount
    if row < region.rows.upperBound { band = region.grid.band(at: row).clamped(to: region.rows) }
  }
}

/// A rectangle of a tensor, and how its elements are stored.
public struct GridRegion: Sendable, Equatable {
  public let grid: TensorGrid
  /// Of the whole tensor, in Meta's order.
  public let rows: Range<Int>
  public let columns: Range<Int>
  /// `grid.dtype`, but for vectors, which are widened to float32.
  public let stored: DType

  public init(_ grid: TensorGrid, rows: Range<Int>, columns: Range<Int>, stored: DType) {
    self.grid = grid
    self.rows = rows
    self.columns = columns
    self.stored = stored
  }

  /// All of a tensor.
  public init(whole grid: TensorGrid, stored: DType) { self.init(grid, rows: 0..<grid.rows, columns: 0..<grid.columns, stored: stored) }

  var widens: Bool { stored != grid.dtype }
  public var storedRowBytes: Int { stored.byteCount(columns.count) }
  public var storedBytes: Int { rows.count * storedRowBytes }

  /// The nodes that the region touches, row-major.
  public var nodes: [Int] {
    guard !rows.isEmpty, !columns.isEmpty else { return [] }
    return (rows.lowerBound / grid.nodeRows...(rows.upperBound - 1) / grid.nodeRows).flatMap { row in
      (columns.lowerBound / grid.nodeColumns...(columns.upperBound - 1) / grid.nodeColumns).map { row * grid.nodesPerRow + $0 }
    }
  }

  /// Whether something of `node` lies in the region.
  func touches(_ node: Int) -> Bool {
    let place = grid.node(node)
    return place.rows.overlaps(rows) && place.columns.overlaps(columns)
  }

  /// Whether all of `node` lies in the region.
  public func holds(_ node: Int) -> Bool {
    let place = grid.node(node)
    return place.rows.clamped(to: rows) == place.rows && place.columns.clamped(to: columns) == place.columns
  }
}

/// Float32 from bfloat16 and float16, exactly, with every NaN as it was.
public enum Widening {
  /// - Parameter bytes: little-endian elements of `dtype`; float32 comes back as it is.
  public static func float32(_ bytes: some Collection<UInt8>, from dtype: DType) -> [UInt8] {
    guard dtype == .bf16 || dtype == .f16 else { return Array(bytes) }
    var wide: [UInt8] = []
    wide.reserveCapacity(2 * bytes.count)
    var low: UInt8?
    for byte in bytes {
      guard let first = low else {
        low = byte
        continue
      }
      low = nil
      let bits = UInt16(byte) << 8 | UInt16(first)
      let float = dtype == .bf16 ? UInt32(bits) << 16 : float32Bits(ofFloat16: bits)
      withUnsafeBytes(of: float.littleEndian) { wide += $0 }
    }
    return wide
  }

  /// IEEE 754 binary16 to binary32. In integers: arithmetic would make signalling NaNs quiet.
  private static func float32Bits(ofFloat16 bits: UInt16) -> UInt32 {
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
}
