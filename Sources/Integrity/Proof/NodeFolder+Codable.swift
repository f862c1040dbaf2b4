import FoundationEssentials

/// As a journal has it: a finished node is 32 bytes.
extension NodeFolder.State: Codable {
  private struct Document: Codable {
    var nextRow: Int
    var done: Data
    var open: [Data]
    /// By its first row and column, eight bytes each, the digest of a leaf.
    var leaves: Data
  }

  private static let leafBytes = 8 + 8 + 32

  public init(from decoder: any Decoder) throws {
    let document = try Document(from: decoder)
    let bytes = [UInt8](document.leaves)
    guard bytes.count % Self.leafBytes == 0 else {
      throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "leaves have \(Self.leafBytes) bytes each"))
    }
    var leaves: [RegionDigests.Leaf: [UInt8]] = [:]
    for start in stride(from: 0, to: bytes.count, by: Self.leafBytes) {
      func number(_ at: Int) -> Int { Int(truncatingIfNeeded: (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[at + $1]) << UInt64(8 * $1) }) }
      leaves[.init(row: number(start), column: number(start + 8))] = Array(bytes[start + 16..<start + Self.leafBytes])
    }
    self.init(nextRow: document.nextRow, done: [UInt8](document.done), open: document.open.map { [UInt8]($0) }, leaves: leaves)
  }

  public func encode(to encoder: any Encoder) throws {
    var bytes: [UInt8] = []
    for (leaf, digest) in leaves.sorted(by: { ($0.key.row, $0.key.column) < ($1.key.row, $1.key.column) }) {
      for number in [leaf.row, leaf.column] { withUnsafeBytes(of: UInt64(number).littleEndian) { bytes += $0 } }
      bytes += digest
    }
    try Document(nextRow: nextRow, done: Data(done), open: open.map { Data($0) }, leaves: Data(bytes)).encode(to: encoder)
  }
}
