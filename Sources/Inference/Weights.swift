import CKernels
import Checkpoint
import Integrity
import Platform

/// A Llama model's weights by their place in the architecture. Matrices stay where they are mapped; the norms, a few kilobytes,
/// are float32 copies.
struct Weights {
  struct Layer {
    let attentionNorm: [Float]
    let wq: Matrix
    let wk: Matrix
    let wv: Matrix
    let wo: Matrix
    let ffnNorm: [Float]
    let w1: Matrix
    let w2: Matrix
    let w3: Matrix
  }

  let tokEmbeddings: Matrix
  let layers: [Layer]
  let norm: [Float]
  /// The embeddings themselves where they are tied.
  let output: Matrix
  private let files: [MappedFile]

  /// - Parameters:
  ///   - quantization: what matrices are computed with instead of what is stored; nil for that.
  ///   - compute: does that.
  /// - Throws: `CheckpointError` when a file can't be mapped, or copies in several shards differ; `InferenceError` when a tensor is missing, can't be read, or has another shape than `params` calls for.
  init(_ checkpoint: Checkpoint, quantization: DTypeMix?, _ compute: Compute) throws {
    // Of what shards have copies of, one is read; that they agree is seen to before.
    try checkpoint.checkCopies(threads: Workers.available)
    let params = checkpoint.params
    let files = try checkpoint.files.map { file throws(CheckpointError) in try file.mapped() }
    let byName = Dictionary(checkpoint.tensors.map { ($0.name, $0) }) { first, _ in first }

    func tensor(_ name: TensorName, _ shape: Int...) throws(InferenceError) -> LogicalTensor {
      guard let tensor = byName[name] else { throw .missingTensor(name: name) }
      guard tensor.shape == shape else { throw .wrongShape(name: name, shape: tensor.shape, expected: shape) }
      return tensor
    }
    func matrix(_ name: TensorName, _ rows: Int, _ columns: Int) throws -> Matrix {
      let bias = try name.role.bias.flatMap { byName[TensorName($0, layer: name.layer)] }.map { try tensor($0.name, rows, 1) }
      let tensor = try tensor(name, rows, columns)
      var matrix = try Matrix(tensor, of: checkpoint, in: files, bias: bias)
      if let dtype = quantization?.dtype(of: tensor, in: params), dtype.isQuantized { matrix = try Matrix(matrix, as: dtype, compute) }
      switch matrix.rowOrder {
      case .pairs: return matrix
      case .halves(let headDim):
        guard headDim == params.headDim, name.role.isRotated else {
          throw InferenceError.unreadableTensor(
            name: name, reason: "its rows are reordered for heads of \(headDim), where \(params.headDim) was expected")
        }
        return matrix
      }
    }
    func vector(_ name: TensorName) throws -> [Float] {
      let row = try Matrix(try tensor(name, params.dim), of: checkpoint, in: files)
      return [Float](unsafeUninitializedCapacity: padded(params.dim)) { buffer, count in
        guard let base = buffer.baseAddress else { return }
        row.unpack(rows: 0..<1, into: base, Kernels.reference)
        count = params.dim
      }
    }

    try Self.check(params)
    let queries = params.heads * params.headDim
    let keys = params.kvHeads * params.headDim
    // Shapes are rows × columns; a matrix multiplies a vector of as many elements as it has columns.
    // [vocabularySize, dim]
    tokEmbeddings = try matrix(TensorName(.tokEmbeddings), params.vocabularySize, params.dim)
    var layers: [Layer] = []
    for index in 0..<params.layers {
      func name(_ role: TensorName.Role) -> TensorName { TensorName(role, layer: index) }
      layers.append(
        Layer(
          attentionNorm: try vector(name(.attentionNorm)),  // [dim]
          wq: try matrix(name(.wq), queries, params.dim),  // [heads * headDim, dim]
          wk: try matrix(name(.wk), keys, params.dim),  // [kvHeads * headDim, dim]
          wv: try matrix(name(.wv), keys, params.dim),  // [kvHeads * headDim, dim]
          wo: try matrix(name(.wo), params.dim, queries),  // [dim, heads * headDim]
          ffnNorm: try vector(name(.ffnNorm)),  // [dim]
          w1: try matrix(name(.w1), params.hiddenDim, params.dim),  // [hiddenDim, dim]
          w2: try matrix(name(.w2), params.dim, params.hiddenDim),  // [dim, hiddenDim]
          w3: try matrix(name(.w3), params.hiddenDim, params.dim)))  // [hiddenDim, dim]
    }
    self.layers = layers
    self.files = files
    norm = try vector(TensorName(.norm))  // [dim]
    // [vocabularySize, dim]
    output =
      params.tiedEmbeddings && byName[TensorName(.output)] == nil
      ? tokEmbeddings : try matrix(TensorName(.output), params.vocabularySize, params.dim)
    try checkWhole()
  }

  /// - Throws: where weights that were read had been lost: what was computed with them is worth nothing.
  func checkWhole() throws(CheckpointError) {
    for file in files { try file.checkWhole() }
  }

  /// The bytes that every decoded token reads.
  var bytesRead: Int {
    layers.reduce(output.rows * output.rowBytes) { sum, layer in
      sum + [layer.wq, layer.wk, layer.wv, layer.wo, layer.w1, layer.w2, layer.w3].reduce(0) { $0 + $1.rows * $1.rowBytes }
    }
  }

  /// The first tensor, in the order of the computation, that holds a NaN or an infinity. Reads all weights up to it.
  func firstNotFinite(_ kernels: Kernels) -> TensorName? {
    func isFinite(_ matrix: Matrix) -> Bool {
      var row = [Float](repeating: 0, count: padded(matrix.columns))
      return row.withUnsafeMutableBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return true }
        return (0..<matrix.rows).allSatisfy { index in
          matrix.unpack(rows: index..<index + 1, into: base, kernels)
          return drover_are_finite(base, matrix.columns)
        }
      }
    }
    func isFinite(_ vector: [Float]) -> Bool { vector.allSatisfy(\.isFinite) }

    if !isFinite(tokEmbeddings) { return tokEmbeddings.name }
    for (index, layer) in layers.enumerated() {
      if !isFinite(layer.attentionNorm) { return TensorName(.attentionNorm, layer: index) }
      for matrix in [layer.wq, layer.wk, layer.wv, layer.wo] where !isFinite(matrix) { return matrix.name }
      if !isFinite(layer.ffnNorm) { return TensorName(.ffnNorm, layer: index) }
      for matrix in [layer.w1, layer.w3, layer.w2] where !isFinite(matrix) { return matrix.name }
    }
    if !isFinite(norm) { return TensorName(.norm) }
    return isFinite(output) ? nil : output.name
  }

  private static func check(_ params: ModelParams) throws(InferenceError) {
    let sizes = [params.dim, params.layers, params.heads, params.kvHeads, params.headDim, params.hiddenDim, params.vocabularySize]
    // Far above any model, and small enough that no product of two of them overflows.
    guard sizes.allSatisfy({ (1..<1 << 28).contains($0) }) else { throw .badParameters("a size is not positive, or is absurd: \(params)") }
    guard params.heads % params.kvHeads == 0 else {
      throw .badParameters("\(params.heads) heads can't share \(params.kvHeads) key and value heads evenly")
    }
    guard params.headDim % 2 == 0 else { throw .badParameters("RoPE needs heads of even width, not \(params.headDim)") }
    guard params.ropeTheta > 0, params.ropeTheta.isFinite, params.normEpsilon >= 0 else {
      throw .badParameters("RoPE's theta is \(params.ropeTheta) and the norm's epsilon \(params.normEpsilon)")
    }
  }
}
