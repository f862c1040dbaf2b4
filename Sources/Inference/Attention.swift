import CKernels
import Checkpoint

#if canImport(Glibc)
  import Glibc
#endif

/// Causal self-attention with grouped queries (arXiv:2305.13245) over a KV cache.
///
/// The queries of a group share their key and value head, so they are computed together, and so are those of a few neighbouring
/// positions: each key and value is read once for all of them.
final class Attention: Sendable {
  private let compute: Compute
  private let cache: KVCache
  private let rope: RoPE
  private let heads: Int
  private let kvHeads: Int
  private let headDim: Int
  private let maxRows: Int
  /// Rotated queries, [kvHeads, maxRows, heads / kvHeads, headDim]: the queries that share a key lie together.
  private let queries: FloatMemory
  /// Of the rows' positions, [maxRows, headDim]; see `RoPE.fill`.
  private let cosines: Rows
  private let sines: Rows
  /// For each thread: scores [tileRows * group, scoresStride], output [tileRows * group, headDim] and a key [headDim], the last two padded.
  private let scratch: [FloatMemory]
  /// Floats from one row of scores to the next.
  private let scoresStride: Int
  /// Neighbouring positions that are computed together, so that each key and value is read once for all of them.
  private let tileRows: Int

  /// Queries that share a key and value head.
  private var group: Int { heads / kvHeads }

  init(
    _ params: ModelParams, compute: Compute, maxRows: Int, maxBatchSize: Int, maxSequenceLength: Int
  ) throws(InferenceError) {
    self.compute = compute
    heads = params.heads
    kvHeads = params.kvHeads
    headDim = params.headDim
    self.maxRows = maxRows
    rope = RoPE(params)
    cache = try KVCache(
      layers: params.layers, kvHeads: kvHeads, headDim: headDim, maxBatchSize: maxBatchSize, maxSequenceLength: maxSequenceLength)
    queries = try FloatMemory(count: maxRows * heads * headDim, for: "the queries")
    cosines = try Rows(count: maxRows, width: headDim)
    sines = try Rows(count: maxRows, width: headDim)
    let group = params.heads / params.kvHeads
    tileRows = max(1, 16 / group)
    scoresStride = (maxSequenceLength + KVCache.block - 1) / KVCache.block * KVCache.block
    var scratch: [FloatMemory] = []
    for _ in 0..<compute.pool.threads {
      scratch.append(
        try FloatMemory(count: tileRows * group * (scoresStride + padded(headDim)) + padded(headDim), for: "attention's scores"))
    }
    self.scratch = scratch
  }

  /// Works out the angles of the rows' positions; the layers of one pass share them.
  func prepare(_ rows: [Transformer.Row]) {
    // Of sequences of one length, as those of a pass mostly are, the frequencies are the same.
    let lengths = Dictionary(Set(rows.map(\.length)).map { ($0, rope.frequencies(length: $0)) }) { first, _ in first }
    compute.forEachRow(rows.count) { row in
      rope.fill(position: rows[row].position, lengths[rows[row].length] ?? [], cosines: cosines[row], sines: sines[row])
    }
  }

  /// Rotates queries and keys, and puts keys and values into the cache.
  func append(
    layer: Int, rows: [Transformer.Row], q: Rows, k: Rows, v: Rows, qOrder: LogicalTensor.RowOrder, kOrder: LogicalTensor.RowOrder
  ) {
    let keyOffset = tileRows * group * (scoresStride + padded(headDim))
    let run = 16
    compute.pool.run((rows.count + run - 1) / run) { task, worker in
      let key = scratch[worker].base + keyOffset
      for row in task * run..<min((task + 1) * run, rows.count) {
        for head in 0..<heads {
          let query = queries.base + ((head / group * maxRows + row) * group + head % group) * headDim
          load(q[row] + head * headDim, order: qOrder, into: query)
          compute.kernels.table.rope(query, cosines[row], sines[row], headDim)
        }
        for head in 0..<kvHeads {
          load(k[row] + head * headDim, order: kOrder, into: key)
          compute.kernels.table.rope(key, cosines[row], sines[row], headDim)
          cache.store(
            key: key, value: v[row] + head * headDim, layer: layer, slot: rows[row].slot, head: head, position: rows[row].position)
        }
      }
    }
  }

  /// `out[row] = softmax(q · Kᵀ / √headDim) · V` over the row's own and all earlier positions of its sequence, head by head.
  func attend(layer: Int, rows: [Transformer.Row], into out: Rows) {
    let tiles = tiles(of: rows)
    // The last tiles attend to the most positions and take longest: begun first, they aren't what all threads wait for in the end.
    compute.pool.run(tiles.count * kvHeads) { task, worker in
      let tile = tiles[tiles.count - 1 - task / kvHeads]
      attend(
        layer: layer, slot: rows[tile.lowerBound].slot, head: task % kvHeads, tile: tile, rows: rows, into: out,
        scratch: scratch[worker].base)
    }
  }

  private func attend(
    layer: Int, slot: Int, head: Int, tile: Range<Int>, rows: [Transformer.Row], into out: Rows, scratch: UnsafeMutablePointer<Float>
  ) {
    let kernels = compute.kernels.table
    let count = tile.count * group
    let query = queries.base + (head * maxRows + tile.lowerBound) * group * headDim
    let positions = rows[tile.upperBound - 1].position + 1
    let keys = cache.keys(layer: layer, slot: slot, head: head)
    let scale = 1 / Float(headDim).squareRoot()

    for start in stride(from: 0, to: positions, by: KVCache.block) {
      kernels.gemm_nn(
        query, headDim, count, keys + start * headDim, KVCache.block, KVCache.block, headDim, scratch + start, scoresStride)
    }
    for index in 0..<count {
      let scores = scratch + index * scoresStride
      let seen = rows[tile.lowerBound + index / group].position + 1
      kernels.softmax(scores, seen, scale)
      (scores + seen).update(repeating: 0, count: positions - seen)
    }
    let width = padded(headDim)
    let mixed = scratch + tileRows * group * scoresStride
    kernels.gemm_nn(
      scratch, scoresStride, count, cache.values(layer: layer, slot: slot, head: head), width, width, positions, mixed, width)
    for index in 0..<count {
      (out[tile.lowerBound + index / group] + (head * group + index % group) * headDim).update(from: mixed + index * width, count: headDim)
    }
  }

  /// Runs of rows that are consecutive positions of one sequence.
  private func tiles(of rows: [Transformer.Row]) -> [Range<Int>] {
    var tiles: [Range<Int>] = []
    var start = 0
    for index in rows.indices {
      let next = index + 1
      if next < rows.count, next - start < tileRows, rows[next].slot == rows[index].slot, rows[next].position == rows[index].position + 1 {
        continue
      }
      tiles.append(start..<next)
      start = next
    }
    return tiles
  }

  /// Copies a head into the order of pairs.
  private func load(_ source: UnsafePointer<Float>, order: LogicalTensor.RowOrder, into out: UnsafeMutablePointer<Float>) {
    switch order {
    case .pairs: out.update(from: source, count: headDim)
    case .halves:
      for pair in 0..<headDim / 2 {
        out[2 * pair] = source[pair]
        out[2 * pair + 1] = source[headDim / 2 + pair]
      }
    }
  }
}
