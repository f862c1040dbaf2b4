import Integrity

/// A weight as one shard has it: a rectangle of the whole tensor, row by row without gaps.
package struct ShardWeight: Sendable, Equatable {
  package let name: TensorName
  /// Which rectangle of which grid.
  package let region: GridRegion
  /// Byte of the file at which it begins.
  package let offset: Int

  package init(name: TensorName, region: GridRegion, offset: Int) { (self.name, self.region, self.offset) = (name, region, offset) }

  package var bytes: Range<Int> { offset..<offset + region.storedBytes }
}

extension ShardWeight {
  /// The weights of a `.pth` or safetensors shard with Meta's names, from its directory alone, by their places in the file.
  ///
  /// What only the other shards could tell is taken for granted: that they have the same shapes. Whoever makes something of it compares the whole
  /// checkpoint's tensors in the end (`init(_:of:)`). Tensors whose elements lie apart are left out.
  ///
  /// - Parameters:
  ///   - rank: the shard's number.
  ///   - ranks: how many shards there are.
  ///   - kvHeads: of the model, which tells on how many ranks each of them lies; nil for one rank.
  /// - Throws: what the readers throw.
  package static func read(_ file: any ByteSource, rank: Int, ranks: Int, kvHeads: Int?) throws(CheckpointError) -> [ShardWeight] {
    let read = try WeightsFile.read(file, index: 0)
    var stored: [TensorName: StoredTensor] = [:]
    for text in read.names {
      // Biases, codes, whose scales lie elsewhere, and experts whose rows aren't one run are read when all is here.
      if let name = TensorName(text), !name.role.isBias, !name.role.isCutByExpert, let tensor = read.tensors[text] { stored[name] = tensor }
    }
    let dim = stored[TensorName(.norm)]?.columns
    var weights: [ShardWeight] = []
    for (name, tensor) in stored where !name.role.isBuffer {
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
      if let weight = ShardWeight(name, grid, stored: tensor.dtype, rows, columns, tensor.part) { weights.append(weight) }
    }
    return weights.sorted { $0.offset < $1.offset }
  }

  /// A part of a tensor of a whole checkpoint.
  /// - Returns: nil where its bytes don't follow each other in the order in which they are hashed.
  package init?(_ part: LogicalTensor.Part, of tensor: LogicalTensor) {
    guard tensor.rowOrder == .pairs, part.coding == nil else { return nil }
    self.init(
      tensor.name, TensorGrid(dtype: tensor.dtype, shape: tensor.shape, cut: tensor.name.role.cut), stored: tensor.dtype, part.rows, part.columns, part)
  }

  private init?(_ name: TensorName, _ grid: TensorGrid, stored: DType, _ rows: Range<Int>, _ columns: Range<Int>, _ part: LogicalTensor.Part) {
    guard rows.upperBound <= grid.rows, columns.upperBound <= grid.columns else { return nil }
    guard part.rowStride == stored.byteCount(columns.count) || rows.count == 1, part.columnStride == stored.blockBytes || columns.count == stored.blockElements
    else { return nil }
    self.init(name: name, region: GridRegion(grid, rows: rows, columns: columns, stored: stored), offset: part.offset)
  }
}
