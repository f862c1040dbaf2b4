import SystemPackage

/// How the rows of wq, wk and wv lie in one matrix.
enum FusedHeads: Equatable, Sendable {
  /// All queries, then all keys, then all values.
  case stacked
  /// Group by group: the queries that share a key, that key, its value.
  case grouped

  /// The three in `tensor`.
  ///
  /// - Parameters:
  ///   - name: of the tensor, for errors.
  ///   - stated: says how many heads of each there are.
  ///   - description: the file that says so.
  func split(
    _ tensor: StoredTensor, _ name: String, _ stated: StatedParams, by description: FilePath, in path: FilePath
  ) throws(CheckpointError) -> [(role: TensorName.Role, tensor: StoredTensor)] {
    let (heads, kvHeads) = (stated.heads, stated.kvHeads ?? stated.heads)
    guard tensor.shape.count == 2, heads > 0, kvHeads > 0, heads % kvHeads == 0, heads < 1 << 30, tensor.rows % (heads + 2 * kvHeads) == 0 else {
      throw CheckpointError(
        .corrupt, in: path,
        "\(name) has the shape \(tensor.shape), which isn't that of \(heads) heads and twice \(kvHeads) for keys and values, as \(description) says: one of the two is of another model")
    }
    let width = tensor.rows / (heads + 2 * kvHeads)
    let roles: [(role: TensorName.Role, heads: Int)] = [(.wq, heads), (.wk, kvHeads), (.wv, kvHeads)]
    var made: [(role: TensorName.Role, tensor: StoredTensor)] = []
    var first = 0
    for (role, heads) in roles {
      var part = tensor
      part.shape[0] = heads * width
      switch self {
      case .stacked:
        part.offset += first * width * tensor.strides[0]
        first += heads
      case .grouped:
        let count = heads / kvHeads
        part.offset += first * width * tensor.strides[0]
        part.groups = StoredTensor.RowGroups(rows: count * width, stride: (stated.heads / kvHeads + 2) * width * tensor.strides[0])
        first += count
      }
      made.append((role, part))
    }
    return made
  }
}
