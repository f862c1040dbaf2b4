import Integrity

/// A weight as one file has it: a rectangle of the whole tensor, row by row without gaps.
package struct ShardWeight: Sendable, Equatable {
  package let name: TensorName
  /// Which rectangle of which grid.
  package let region: GridRegion
  /// Byte of the file at which it begins.
  package let offset: Int
  /// Rows of a head, where each head's rows lie in halves (Hugging Face's wq and wk); nil where they lie in Meta's order.
  package let headDim: Int?

  package init(name: TensorName, region: GridRegion, offset: Int, headDim: Int? = nil) {
    (self.name, self.region, self.offset, self.headDim) = (name, region, offset, headDim)
  }

  package var bytes: Range<Int> { offset..<offset + region.storedBytes }

  /// What puts its rows into Meta's order; nil where they lie so.
  package var headOrder: HeadOrder? { headDim.map { HeadOrder(headDim: $0, rowBytes: region.storedRowBytes) } }

  /// Whether the rectangle has whole heads, which can be cut into halves, and which fit into memory.
  package var hasWholeHeads: Bool {
    guard let headDim else { return true }
    return headDim > 0 && headDim % 2 == 0 && region.rows.lowerBound % headDim == 0 && region.rows.upperBound % headDim == 0
      && headDim <= HeadOrder.mostBytes / max(1, region.storedRowBytes)
  }
}

extension ShardWeight {
  /// The weights of a file, from its directory alone, by their places in it: of a `.pth` or safetensors shard with Meta's names, of a file of Hugging
  /// Face's, or of a GGUF, which have whole tensors.
  ///
  /// What only other files could tell is taken for granted: that shards have the same shapes. Whoever makes something of it compares the whole
  /// checkpoint's tensors in the end (`init(_:of:)`). Tensors whose elements lie apart are left out.
  ///
  /// - Parameters:
  ///   - rank: the shard's number.
  ///   - ranks: how many shards there are.
  ///   - kvHeads: of the model, which tells on how many ranks each of them lies; nil for one rank.
  ///   - headDim: asked how wide heads are, where the file has their rows in halves; nil where nothing tells, and then those are left out.
  /// - Throws: what the readers and `headDim` throw.
  package static func read(
    _ file: any ByteSource, rank: Int, ranks: Int, kvHeads: Int?, headDim: () throws(CheckpointError) -> Int?
  ) throws(CheckpointError) -> [ShardWeight] {
    let (stored, hasHalves) = try Self.stored(file, ranks: ranks)
    let halves = hasHalves && stored.keys.contains { $0.role.isRotated } ? try headDim() : nil
    let dim = stored[TensorName(.norm)]?.columns
    var weights: [ShardWeight] = []
    for (name, tensor) in stored where !name.role.isBuffer && (!hasHalves || !name.role.isRotated || halves != nil) {
      let copies = name.role == .wk || name.role == .wv ? kvHeads.map { max(1, ranks / max(1, $0)) } ?? 1 : 1
      // Ranks are files, and dimensions are those of tensors in a file: far from overflow.
      var (rows, columns) = (0..<tensor.rows, 0..<tensor.columns)
      var shape = tensor.shape
      if shape.count == 2 {
        switch name.role.split(embeddingAxis: tensor.columns == dim ? 0 : 1) {
        case .axis(0):
          rows = rank / copies * tensor.rows..<(rank / copies + 1) * tensor.rows
          shape[0] *= max(1, ranks / copies)
        case .axis:
          columns = rank * tensor.columns..<(rank + 1) * tensor.columns
          shape[1] *= ranks
        case .whole: break
        }
      }
      let grid = TensorGrid(dtype: tensor.dtype, shape: shape, cut: name.role.cut)
      let headDim = hasHalves && name.role.isRotated ? halves : nil
      if let weight = ShardWeight(name, grid, stored: tensor.dtype, rows, columns, tensor.part, headDim: headDim) { weights.append(weight) }
    }
    return weights.sorted { $0.offset < $1.offset }
  }

  /// What can be followed, by Meta's names, and whether heads' rows lie in halves.
  private static func stored(_ file: any ByteSource, ranks: Int) throws(CheckpointError) -> (tensors: [TensorName: StoredTensor], hasHalves: Bool) {
    var named: [(name: TensorName, tensor: StoredTensor)] = []
    var hasHalves = false
    if try WeightsFile.Kind(file) == .gguf {
      for (info, tensor) in try GGUFHeader(file).tensors(index: 0) { if let name = GGUFNames.metaName(info.name) { named.append((name, tensor)) } }
    } else {
      let read = try WeightsFile.read(file, index: 0)
      let scheme = NamingScheme.of(read.names) ?? .meta
      hasHalves = scheme.rotatesHalves
      for text in read.names {
        // Codes, whose scales lie elsewhere, and matrices that lie in one are read when all is here.
        if case .weight(let name)? = scheme.meaning(ofWrapped: text), let tensor = read.tensors[text] { named.append((name, tensor)) }
      }
    }
    var stored: [TensorName: StoredTensor] = [:]
    // So are, of several shards, biases and experts, whose rows aren't one run.
    for (name, tensor) in named where ranks == 1 || !name.role.isBias && !name.role.isCutByExpert { stored[name] = name.role.isBias ? tensor.asColumn : tensor }
    return (stored, hasHalves)
  }

  /// A part of a tensor of a whole checkpoint.
  /// - Returns: nil where its bytes don't follow each other in the order in which they are hashed.
  package init?(_ part: LogicalTensor.Part, of tensor: LogicalTensor) {
    guard part.coding == nil else { return nil }
    let headDim: Int? = if case .halves(let headDim) = tensor.rowOrder { headDim } else { nil }
    self.init(
      tensor.name, TensorGrid(dtype: tensor.dtype, shape: tensor.shape, cut: tensor.name.role.cut), stored: tensor.dtype, part.rows, part.columns, part,
      headDim: headDim)
  }

  private init?(
    _ name: TensorName, _ grid: TensorGrid, stored: DType, _ rows: Range<Int>, _ columns: Range<Int>, _ part: LogicalTensor.Part, headDim: Int?
  ) {
    guard rows.upperBound <= grid.rows, columns.upperBound <= grid.columns else { return nil }
    guard part.rowStride == stored.byteCount(columns.count) || rows.count == 1, part.columnStride == stored.blockBytes || columns.count == stored.blockElements
    else { return nil }
    self.init(name: name, region: GridRegion(grid, rows: rows, columns: columns, stored: stored), offset: part.offset, headDim: headDim)
    guard hasWholeHeads else { return nil }
  }
}
