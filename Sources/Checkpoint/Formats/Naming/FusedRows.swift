import SystemPackage

/// How the rows of several matrices lie in one.
enum FusedRows: Equatable, Sendable {
  /// Those of wq, wk and wv: all queries, then all keys, then all values.
  case stacked
  /// The same group by group: the queries that share a key, that key, its value.
  case grouped
  /// Those of w1 and w3, one after the other.
  case feedForward

  /// The matrices in `tensor`.
  ///
  /// - Parameters:
  ///   - name: of the tensor, for errors.
  ///   - stated: says how many heads of each there are.
  ///   - description: the file that says so.
  func split(
    _ tensor: StoredTensor, _ name: String, _ stated: StatedParams, by description: FilePath, in path: FilePath
  ) throws(CheckpointError) -> [(role: TensorName.Role, tensor: StoredTensor)] {
    if self == .feedForward {
      guard tensor.shape.count == 2, tensor.rows % 2 == 0 else {
        throw CheckpointError(.corrupt, in: path, "\(name) has the shape \(tensor.shape), and w1 and w3 with as many rows each are due")
      }
      return Self.runs(of: tensor, [(.w1, tensor.rows / 2), (.w3, tensor.rows / 2)])
    }
    let (heads, kvHeads) = (stated.heads, stated.kvHeads ?? stated.heads)
    // A rank has as many of each thousand heads as the model.
    let group = kvHeads > 0 && heads % kvHeads == 0 ? heads / kvHeads : 0
    guard tensor.shape.count == 2, heads > 0, group > 0, heads < 1 << 30, tensor.rows % (self == .stacked ? group + 2 : heads + 2 * kvHeads) == 0 else {
      throw CheckpointError(
        .corrupt, in: path,
        "\(name) has the shape \(tensor.shape), which isn't that of \(heads) heads and twice \(kvHeads) for keys and values, as \(description) says: one of the two is of another model")
    }
    let keys = tensor.rows / (group + 2)
    if self == .stacked { return Self.runs(of: tensor, [(.wq, group * keys), (.wk, keys), (.wv, keys)]) }
    let width = keys / kvHeads
    let roles: [(role: TensorName.Role, heads: Int)] = [(.wq, group), (.wk, 1), (.wv, 1)]
    var made: [(role: TensorName.Role, tensor: StoredTensor)] = []
    var first = 0
    for (role, heads) in roles {
      var part = tensor
      part.shape[0] = heads * keys
      part.offset += first * width * tensor.strides[0]
      part.groups = StoredTensor.RowGroups(rows: heads * width, stride: (group + 2) * width * tensor.strides[0])
      made.append((role, part))
      first += heads
    }
    return made
  }

  private static func runs(of tensor: StoredTensor, _ rows: [(role: TensorName.Role, rows: Int)]) -> [(role: TensorName.Role, tensor: StoredTensor)] {
    var first = 0
    return rows.map { role, rows in
      var part = tensor
      part.shape[0] = rows
      part.offset += first * tensor.strides[0]
      first += rows
      return (role, part)
    }
  }
}
