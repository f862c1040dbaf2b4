import CKernels
import Checkpoint
import Platform

/// The Llama transformer (arXiv:2302.13971, 2307.09288, 2407.21783), in float32, on weights where they are mapped.
///
/// All memory is taken when it is made. One thread at a time may use it; the work itself is spread over threads of its own, or another transformer's. What it
/// computes depends neither on the checkpoint's layout nor on which rows are computed together.
public final class Transformer {
  /// One token of a forward pass.
  public struct Row: Sendable, Equatable {
    public var token: Int
    /// Which of the `maxBatchSize` sequences it belongs to.
    public var slot: Int
    /// Its place in the sequence. Every earlier position must have been computed, in this pass or before.
    public var position: Int
    /// Positions of the sequence as far as they are known, which dynamic RoPE turns by.
    public var length: Int

    /// - Parameter length: nil where nothing is known behind `position`.
    public init(token: Int, slot: Int, position: Int, length: Int? = nil) {
      self.token = token
      self.slot = slot
      self.position = position
      self.length = max(position + 1, length ?? 0)
    }
  }

  public let params: ModelParams
  public let maxBatchSize: Int
  public let maxSequenceLength: Int
  /// The most rows that one pass takes.
  public let maxRows: Int
  public var threads: Int { compute.pool.threads }
  public var kernels: Kernels { compute.kernels }

  private let weights: Weights
  private let compute: Compute
  private let attention: Attention

  // The state, with the paper's letters; a row for each token of the pass.
  /// The residual stream, [maxRows, dim].
  private let x: Rows
  /// What a block reads, the residual stream normalised, and then what the block adds to it, [maxRows, dim].
  private let h: Rows
  /// Queries, [maxRows, heads * headDim].
  private let q: Rows
  /// Keys, [maxRows, kvHeads * headDim].
  private let k: Rows
  /// Values, [maxRows, kvHeads * headDim].
  private let v: Rows
  /// What attention makes of each head, side by side, [maxRows, heads * headDim].
  private let heads: Rows
  /// w1 · h, and then silu(w1 · h) * (w3 · h), [maxRows, hiddenDim].
  private let h1: Rows
  /// w3 · h, [maxRows, hiddenDim].
  private let h3: Rows
  /// The rows whose logits are asked for, normalised, [logitRows, dim].
  private let last: Rows
  /// [logitRows, vocabularySize]
  private let logits: Rows

  /// The rows of the last pass.
  private var pass: [Row] = []

  /// Rows whose logits are computed at once; at least the batch.
  private let logitRows: Int

  /// - Parameters:
  ///   - checkpoint: stays mapped as long as the transformer lives.
  ///   - threads: nil for one a processor.
  ///   - quantization: what matrices are quantized to, in memory; nil for what is stored.
  ///   - other: whose threads it computes on instead, while that one doesn't.
  ///   - kernels: nil for the fastest this processor runs, or what `DROVER_KERNEL` names.
  /// - Throws: `CheckpointError` when a file can't be mapped, or the checkpoint's description says what isn't honoured; `InferenceError` when tensors are missing, contradict the parameters, or don't fit into memory.
  public init(
    _ checkpoint: Checkpoint, maxBatchSize: Int, maxSequenceLength: Int, threads: Int? = nil, quantization: DTypeMix? = nil, sharingThreadsOf other: Transformer? = nil, kernels: Kernels? = nil
  ) throws {
    guard maxBatchSize > 0, maxSequenceLength > 0, maxSequenceLength < 1 << 28, maxBatchSize < 1 << 20 else {
      throw InferenceError.cacheTooLarge(sequences: maxBatchSize, length: maxSequenceLength)
    }
    try checkpoint.requireHonoured()
    params = checkpoint.params
    self.maxBatchSize = maxBatchSize
    self.maxSequenceLength = maxSequenceLength
    maxRows = max(maxBatchSize, min(512, maxBatchSize * maxSequenceLength))
    logitRows = max(maxBatchSize, 16)
    let chosen: Kernels
    if let kernels { chosen = kernels } else { chosen = try .preferred() }
    compute = try Compute(
      kernels: chosen, pool: other?.compute.pool ?? ThreadPool(threads: threads ?? Workers.available),
      columns: max(params.dim, params.hiddenDim, params.heads * params.headDim))
    weights = try Weights(checkpoint, quantization: quantization, compute)
    attention = try Attention(
      params, compute: compute, maxRows: maxRows, maxBatchSize: maxBatchSize, maxSequenceLength: maxSequenceLength)
    x = try Rows(count: maxRows, width: params.dim)
    h = try Rows(count: maxRows, width: params.dim)
    q = try Rows(count: maxRows, width: params.heads * params.headDim)
    k = try Rows(count: maxRows, width: params.kvHeads * params.headDim)
    v = try Rows(count: maxRows, width: params.kvHeads * params.headDim)
    heads = try Rows(count: maxRows, width: params.heads * params.headDim)
    h1 = try Rows(count: maxRows, width: params.hiddenDim)
    h3 = try Rows(count: maxRows, width: params.hiddenDim)
    last = try Rows(count: logitRows, width: params.dim)
    logits = try Rows(count: logitRows, width: params.vocabularySize)
  }

  /// Runs up to `maxRows` tokens through all layers and extends the KV cache by them.
  ///
  /// Rows of one sequence stand in the order of their positions. Tokens, slots and positions must be in range.
  public func forward(_ rows: [Row]) {
    let n = rows.count
    precondition(n <= maxRows, "more rows than a pass takes")
    precondition(
      rows.allSatisfy {
        (0..<maxBatchSize).contains($0.slot) && (0..<maxSequenceLength).contains($0.position)
          && (0..<params.vocabularySize).contains($0.token)
      },
      "a row outside the batch, the sequence or the vocabulary")
    pass = rows
    attention.prepare(rows)
    compute.gather(weights.tokEmbeddings, rows.map(\.token), into: x)

    for (index, layer) in weights.layers.enumerated() {
      // x = x + wo · attention(wq · h, wk · h, wv · h), where h = norm(x)
      compute.rmsNorm(x, n, layer.attentionNorm, epsilon: params.normEpsilon, into: h)
      compute.multiply(h, n, (layer.wq, q), (layer.wk, k), (layer.wv, v))
      attention.append(layer: index, rows: rows, q: q, k: k, v: v, qOrder: layer.wq.rowOrder, kOrder: layer.wk.rowOrder)
      attention.attend(layer: index, rows: rows, into: heads)
      compute.multiply(heads, n, (layer.wo, h))
      compute.add(h, to: x, n)

      // x = x + w2 · (silu(w1 · h) * (w3 · h)), where h = norm(x)
      compute.rmsNorm(x, n, layer.ffnNorm, epsilon: params.normEpsilon, into: h)
      compute.multiply(h, n, (layer.w1, h1), (layer.w3, h3))
      compute.swiglu(h1, h3, n)
      compute.multiply(h1, n, (layer.w2, h))
      compute.add(h, to: x, n)
    }
  }

  /// The logits after row `indices[i]` of the last pass, `body(i, logits)` for each, in order.
  ///
  /// The buffer is valid during the call, and may be written to.
  ///
  /// - Throws: `InferenceError.notFinite` for logits of which any is a NaN or an infinity, `CheckpointError` where weights were lost while they were read, and what
  ///   `body` throws.
  public func withLogits(of indices: [Int], _ body: (_ index: Int, _ logits: UnsafeMutableBufferPointer<Float>) throws -> Void) throws {
    for start in stride(from: 0, to: indices.count, by: logitRows) {
      let run = indices[start..<min(start + logitRows, indices.count)]
      for (row, index) in run.enumerated() { last[row].update(from: x[index], count: params.dim) }
      compute.rmsNorm(last, run.count, weights.norm, epsilon: params.normEpsilon, into: last)
      compute.multiply(last, run.count, (weights.output, logits))
      try weights.checkWhole()
      for row in 0..<run.count {
        guard drover_are_finite(logits[row], params.vocabularySize) else {
          throw InferenceError.notFinite(position: pass[indices[start + row]].position, tensor: weights.firstNotFinite(compute.kernels))
        }
        try body(start + row, UnsafeMutableBufferPointer(start: logits[row], count: params.vocabularySize))
      }
    }
  }

  /// The log of the sum of the exponentials of `logits`: `logits[i] - logSumExp` is token i's log-probability.
  public func logSumExp(_ logits: UnsafeMutableBufferPointer<Float>) -> Float {
    compute.kernels.logSumExp(logits)
  }

  /// Weight bytes that are read for every decoded token.
  public var weightBytes: Int { weights.bytesRead }
}
