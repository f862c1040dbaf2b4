import Checkpoint
import Integrity

/// What a `ShardFollower` keeps in a journal, in bytes: of each weight its place in the file and in the tensor, and its hash as far as it is.
///
/// Numbers are LEB128 (seven bits a byte, the lowest first). A finished node is 32 bytes, so that a shard of 100 GB takes some 400 kB.
package struct FollowerState: Equatable {
  /// A weight's hash.
  package enum Hash: Equatable {
    case untouched
    /// - Parameter byteCount: bytes of the weight that the state has seen: to the end of a band.
    case open(NodeFolder.State, byteCount: Int)
    case done(RegionDigests)
  }

  package var weights: [(weight: ShardWeight, hash: Hash)]

  package static func == (a: Self, b: Self) -> Bool { a.weights.elementsEqual(b.weights) { $0.weight == $1.weight && $0.hash == $1.hash } }

  private static let version = 2

  package var encoded: [UInt8] {
    var out = StateWriter()
    out.put(Self.version)
    out.put(weights.count)
    for (weight, hash) in weights {
      let region = weight.region
      out.put(Array(weight.name.text.utf8))
      out.put(Array(region.stored.rawValue.utf8))
      out.put(region.grid.shape.count)
      for size in region.grid.shape { out.put(size) }
      // Heads of no rows are those that lie in Meta's order.
      for number in [region.rows.lowerBound, region.rows.count, region.columns.lowerBound, region.columns.count, weight.offset, weight.headDim ?? 0] {
        out.put(number)
      }
      switch hash {
      case .untouched: out.put(0)
      case .open(let state, let byteCount):
        out.put(1)
        out.put(byteCount)
        out.put(state.nextRow)
        out.put(state.done)
        out.put(state.open.count)
        for hash in state.open { out.put(hash) }
        out.put(state.leaves)
      case .done(let digests):
        out.put(2)
        out.put(digests.digests.flatMap(\.bytes))
        out.put(digests.leaves)
      }
    }
    return out.bytes
  }

  package init(_ weights: [(weight: ShardWeight, hash: Hash)]) { self.weights = weights }

  /// - Returns: nil for bytes that no follower wrote.
  package init?(decoding bytes: [UInt8]) {
    var input = StateReader(bytes)
    guard input.number() == Self.version, let count = input.number() else { return nil }
    weights = []
    for _ in 0..<count {
      guard let weight = Self.weight(&input), let hash = Self.hash(&input, weight.region) else { return nil }
      weights.append((weight, hash))
    }
    guard input.isAtEnd else { return nil }
  }

  private static func weight(_ input: inout StateReader) -> ShardWeight? {
    guard let name = input.text().flatMap({ TensorName($0) }), let dtype = input.text().flatMap({ DType(rawValue: $0) }), let dimensions = input.number(),
      (1...2).contains(dimensions)
    else { return nil }
    var shape: [Int] = []
    for _ in 0..<dimensions {
      guard let size = input.number(), (1..<1 << 31).contains(size) else { return nil }
      shape.append(size)
    }
    // Far above any tensor, and small enough that no product of sizes overflows.
    guard shape.reduce(1.0, { $0 * Double($1) }) < 1e14, shape[shape.count - 1] % dtype.blockElements == 0 else { return nil }
    let grid = TensorGrid(dtype: dtype, shape: shape, cut: name.role.cut)
    guard let rows = input.range(within: grid.rows), let columns = input.range(within: grid.columns), let offset = input.number(), offset < 1 << 62,
      let headDim = input.number()
    else { return nil }
    let region = GridRegion(grid, rows: rows, columns: columns, stored: dtype)
    let weight = ShardWeight(name: name, region: region, offset: offset, headDim: headDim == 0 ? nil : headDim)
    return weight.hasWholeHeads ? weight : nil
  }

  private static func hash(_ input: inout StateReader, _ region: GridRegion) -> Hash? {
    switch input.number() {
    case 0: return .untouched
    case 1:
      guard let byteCount = input.number(), let nextRow = input.number(), let done = input.bytes(), let openCount = input.number() else { return nil }
      var open: [[UInt8]] = []
      for _ in 0..<openCount {
        guard let hash = input.bytes() else { return nil }
        open.append(hash)
      }
      guard let leaves = input.leaves() else { return nil }
      return .open(NodeFolder.State(nextRow: nextRow, done: done, open: open, leaves: leaves), byteCount: byteCount)
    case 2:
      guard let bytes = input.bytes(), bytes.count == 32 * region.nodes.count, let leaves = input.leaves() else { return nil }
      let digests = stride(from: 0, to: bytes.count, by: 32).map { Digest(.sha256, bytes: Array(bytes[$0..<$0 + 32])) }
      return .done(RegionDigests(region: region, digests: digests, leaves: leaves))
    default: return nil
    }
  }
}

private struct StateWriter {
  private(set) var bytes: [UInt8] = []

  mutating func put(_ number: Int) {
    var rest = UInt(bitPattern: number)
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7F) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  mutating func put(_ string: [UInt8]) {
    put(string.count)
    bytes += string
  }

  mutating func put(_ leaves: [RegionDigests.Leaf: [UInt8]]) {
    put(leaves.count)
    for (leaf, digest) in leaves {
      put(leaf.row)
      put(leaf.column)
      put(digest)
    }
  }
}

/// Every call returns nil where the bytes end or make no sense.
private struct StateReader {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { rest = bytes[...] }

  var isAtEnd: Bool { rest.isEmpty }

  mutating func number() -> Int? {
    var value: UInt = 0
    for shift in stride(from: 0 as UInt, to: 63, by: 7) {
      guard let byte = rest.popFirst() else { return nil }
      value |= UInt(byte & 0x7F) << shift
      if byte < 0x80 { return Int(bitPattern: value) }
    }
    return nil
  }

  mutating func bytes() -> [UInt8]? {
    guard let count = number(), count <= rest.count else { return nil }
    defer { rest = rest.dropFirst(count) }
    return Array(rest.prefix(count))
  }

  mutating func text() -> String? { bytes().flatMap { String(validating: $0, as: UTF8.self) } }

  mutating func range(within size: Int) -> Range<Int>? {
    guard let start = number(), let count = number(), start <= size, count > 0, count <= size - start else { return nil }
    return start..<start + count
  }

  mutating func leaves() -> [RegionDigests.Leaf: [UInt8]]? {
    guard let count = number() else { return nil }
    var leaves: [RegionDigests.Leaf: [UInt8]] = [:]
    for _ in 0..<count {
      guard let row = number(), let column = number(), let digest = bytes(), digest.count == 32 else { return nil }
      leaves[.init(row: row, column: column)] = digest
    }
    return leaves
  }
}
