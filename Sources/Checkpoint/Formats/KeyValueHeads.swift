import Integrity

/// How many key and value heads a model has whose ranks have one each. Where there are more ranks than heads, each head is repeated on the ranks that
/// share it, and shapes don't tell: Meta's own 405B at MP 16 says `n_kv_heads: 16` for a model of 8.
///
/// What is known decides: the catalog's shape, then what the caller says. Else the first row of each rank's part of layer 0's wk must do. It makes a claim
/// that every layer has to bear out where weights are read (`LogicalTensor.firstRowsDiffer`); nothing is taken for a copy because bytes are alike by chance.
struct KeyValueHeads {
  /// Copies not counted.
  let count: Int
  /// Whether nothing but layer 0's first rows says so.
  let isClaim: Bool

  /// As shapes tell.
  init(count: Int) { (self.count, isClaim) = (count, false) }

  /// - Parameters:
  ///   - ranks: each with one head.
  ///   - known: what the catalog's releases of these shapes have.
  ///   - said: what the caller says.
  ///   - wk: layer 0's, cut by rows, with a part for each rank.
  ///   - corrupt: makes an error that names the checkpoint.
  init(
    ranks: Int, known: Int?, said: Int?, wk: LogicalTensor, files: [any ByteSource], corrupt: (String) -> CheckpointError
  ) throws(CheckpointError) {
    let known = known.flatMap { $0 > 0 && ranks % $0 == 0 ? $0 : nil }
    if let known, let said, known != said {
      throw CheckpointError(.refused, "--kv-heads says \(said) key and value heads; the releases of the catalog that have these shapes have \(known)")
    }
    if let count = known ?? said {
      guard count > 0, ranks % count == 0 else {
        throw CheckpointError(.refused, "--kv-heads says \(count) key and value heads, which don't lie evenly on \(ranks) ranks with one head each")
      }
      (self.count, isClaim) = (count, false)
      return
    }
    var reader = PartReader(files: files)
    let groups = Self.groups(try reader.firstRows(of: wk))
    guard let copies = Self.copies(groups) else {
      throw corrupt(
        "\(wk.name) has one key head in each of \(ranks) shards, and their first rows don't tell which are copies: alike are those of ranks "
          + "\(Self.list(groups)). A shard is damaged or of another model, or heads are alike by chance: then --kv-heads N says how many the model has")
    }
    (count, isClaim) = (ranks / copies, true)
  }

  /// Ranks with the same row, each group in order, the groups by their first rank.
  private static func groups(_ rows: [[UInt8]]) -> [[Int]] {
    var groups: [[Int]] = []
    var places: [[UInt8]: Int] = [:]
    for (rank, row) in rows.enumerated() {
      if let place = places[row] {
        groups[place].append(rank)
      } else {
        places[row] = groups.count
        groups.append([rank])
      }
    }
    return groups
  }

  /// On how many ranks each head lies; nil where groups aren't of one size, side by side.
  private static func copies(_ groups: [[Int]]) -> Int? {
    let copies = groups[0].count
    for (number, group) in groups.enumerated() where group != Array(number * copies..<(number + 1) * copies) { return nil }
    return copies
  }

  private static func list(_ groups: [[Int]]) -> String {
    groups.map { "{" + $0.map(String.init).joined(separator: ", ") + "}" }.joined(separator: " ")
  }
}
