/// The keys and values of every position seen, for `maxBatchSize` sequences of up to `maxSequenceLength` positions, in float32.
///
/// For each layer, sequence and head: keys in blocks of 64 positions, [positions / 64, headDim, 64], so that a query is multiplied with the keys of
/// sixteen positions in one vector, and scores need no sums across lanes; then values as rows, [positions, headDim] with rows padded to whole vectors.
/// Positions that were never stored take no memory.
final class KVCache: Sendable {
  static let block = 64

  private let memory: FloatMemory
  private let headDim: Int
  private let kvHeads: Int
  private let slots: Int
  /// Elements of one head's keys, and of its values.
  private let keysPlane: Int
  private let valuesPlane: Int

  init(layers: Int, kvHeads: Int, headDim: Int, maxBatchSize: Int, maxSequenceLength: Int) throws(InferenceError) {
    self.headDim = headDim
    self.kvHeads = kvHeads
    slots = maxBatchSize
    let positions = Self.wholeBlocks(maxSequenceLength)
    keysPlane = positions &* headDim
    valuesPlane = positions &* padded(headDim)
    let size = Self.elements(layers: layers, kvHeads: kvHeads, headDim: headDim, slots: maxBatchSize, positions: maxSequenceLength)
    memory = try FloatMemory(count: size, for: "a KV cache of \(maxBatchSize) × \(maxSequenceLength) positions")
  }

  private static func wholeBlocks(_ positions: Int) -> Int { (positions + block - 1) / block * block }

  /// Numbers in a cache; `Int.max` for more than that.
  static func elements(layers: Int, kvHeads: Int, headDim: Int, slots: Int, positions: Int) -> Int {
    [layers, slots, kvHeads, wholeBlocks(positions), headDim + padded(headDim)].reduce(1) { size, factor in
      let (product, overflow) = size.multipliedReportingOverflow(by: factor)
      return overflow ? .max : product
    }
  }

  /// Blocks of keys of one head of one sequence.
  func keys(layer: Int, slot: Int, head: Int) -> UnsafeMutablePointer<Float> {
    memory.base + ((layer * slots + slot) * kvHeads + head) * (keysPlane + valuesPlane)
  }

  /// Rows of values of one head of one sequence, padded to whole vectors.
  func values(layer: Int, slot: Int, head: Int) -> UnsafeMutablePointer<Float> {
    keys(layer: layer, slot: slot, head: head) + keysPlane
  }

  /// Puts one position's key and value of one head in.
  func store(
    key: UnsafePointer<Float>, value: UnsafePointer<Float>, layer: Int, slot: Int, head: Int, position: Int
  ) {
    var place = keys(layer: layer, slot: slot, head: head) + position / Self.block * Self.block * headDim + position % Self.block
    for i in 0..<headDim {
      place.pointee = key[i]
      place += Self.block
    }
    (values(layer: layer, slot: slot, head: head) + position * padded(headDim)).update(from: value, count: headDim)
  }
}
