import SystemPackage

/// The releases of Meta's whose weights are codes with scales beside them: 405B in FP8 and the int4 and int8 ones of 3.2. They become bfloat16, as Meta's own
/// code rescales them.
///
/// Source: `llama3/quantization/loader.py` and `hadamard_utils.py` of llama-models. The int4 reference also rounds what goes into each product to eight
/// bits; that isn't done here.
struct ScaledWeights {
  /// What `params.json` says of them.
  struct Stated: Equatable {
    /// Columns that share a scale; nil where it isn't said.
    var groupSize: Int?
    /// Whether the input of w2 is turned by a Hadamard transform.
    var isRotated = false
    /// Of the adaptors beside the weights; nil where none are said to be.
    var adaptorRank: Int?
    var adaptorScale: Double?
  }

  let stated: Stated
  /// What a person should know.
  private(set) var notes: [String] = []

  init(_ stated: Stated) { self.stated = stated }

  var isEmpty: Bool { notes.isEmpty }

  // MARK: 3.2

  /// Makes weights of the codes that have `scales` beside them, with zeros and adaptors where there are any.
  /// - Parameter path: of the file, for errors.
  mutating func join(_ stored: inout StoredTensors, in path: FilePath) throws(CheckpointError) {
    let names = stored.codes.keys.filter { $0.hasSuffix(".weight") && stored.tensors[String($0.dropLast("weight".count)) + "scales"] != nil }.sorted()
    for name in names {
      guard let (code, codes) = stored.codes[name], codes.shape.count == 2 else { continue }
      let stem = String(name.dropLast("weight".count))
      guard let tensor = stored.remove(stem + "scales"), let scales = StoredCoding.Table(tensor), scales.rows == codes.rows, codes.columns % scales.columns == 0 else {
        throw corrupt("\(stem)scales doesn't have a number for each row, or group of columns, of \(name), whose shape is \(codes.shape)", path)
      }
      var coding = StoredCoding(code: code, scales: scales)
      // The embedding and the output have a scale a row, whatever the groups of the others.
      if let size = stated.groupSize, scales.columns > 1, codes.columns / scales.columns != size {
        throw corrupt("\(stem)scales has one for \(codes.columns / scales.columns) columns, and params.json says group_size \(size)", path)
      }
      if let zeros = stored.remove(stem + "zeros") {
        guard let table = StoredCoding.Table(zeros), (table.rows, table.columns) == (scales.rows, scales.columns) else {
          throw corrupt("\(stem)zeros hasn't the shape of \(stem)scales", path)
        }
        coding.zeros = table
      }
      coding.adaptor = try adaptor(&stored, stem, codes, path)
      if stated.isRotated, case .weight(let weight)? = NamingScheme.meta.meaning(name), weight.role == .w2 {
        guard codes.columns.nonzeroBitCount == 1 else { throw corrupt("\(name) has \(codes.columns) columns, and SpinQuant's transform is one of a power of two", path) }
        coding.isRotated = true
      }
      stored.decode(name, by: coding)
    }
    if !names.isEmpty {
      for name in stored.codes.keys.sorted() where NamingScheme.meta.meaning(ofWrapped: name) != nil && stored.codes[name]?.code == .int8 {
        throw corrupt("\(name) is eight-bit codes as others are, and \(name.dropLast("weight".count))scales isn't there", path)
      }
      notes = ["the weights are eight-bit codes with scales: they are read as bfloat16, with adaptors and rotations worked in; what the reference rounds on the way through the layers isn't"]
    }
  }

  private func adaptor(_ stored: inout StoredTensors, _ stem: String, _ codes: StoredTensor, _ path: FilePath) throws(CheckpointError) -> StoredCoding.Adaptor? {
    let (first, second) = (stem + "adaptor.A.weight", stem + "adaptor.B.weight")
    guard let down = stored.remove(first) else { return nil }
    guard let rank = stated.adaptorRank, let scale = stated.adaptorScale, scale.isFinite else {
      throw corrupt("has \(first), and params.json says nothing of rank and scale (lora_args)", path)
    }
    guard let up = stored.remove(second), let a = StoredCoding.Table(down), let b = StoredCoding.Table(up), (a.rows, a.columns) == (rank, codes.columns),
      (b.rows, b.columns) == (codes.rows, rank)
    else { throw corrupt("\(first) and \(second) aren't an adaptor of rank \(rank) for a matrix of the shape \(codes.shape)", path) }
    return StoredCoding.Adaptor(a: a, b: b, scale: scale)
  }

  // MARK: 405B

  /// What the scales of a rank's FP8 weights are called.
  static func scalesFile(rank: Int) -> String { "fp8_scales_\(rank).pt" }

  /// Makes weights of a rank's FP8 codes.
  /// - Parameters:
  ///   - scales: what the rank's file of scales holds; its keys are `LAYER_feed_forward.w1_RANK`.
  ///   - path: of the weights' file.
  mutating func join(_ stored: inout StoredTensors, in path: FilePath, scales: StoredTensors, from scalesPath: FilePath, rank: Int) throws(CheckpointError) {
    var scales = scales
    for name in stored.codes.keys.sorted() {
      guard let (code, codes) = stored.codes[name], code == .float8, case .weight(let weight)? = NamingScheme.meta.meaning(ofWrapped: name), let layer = weight.layer,
        let matrix = [TensorName.Role.w1: "w1", .w2: "w2", .w3: "w3"][weight.role]
      else { continue }
      let key = "\(layer)_feed_forward.\(matrix)_\(rank)"
      guard let tensor = scales.remove(key) else { throw CheckpointError(.corrupt, in: scalesPath, "has no \(key), which \(path.lastComponent?.string ?? "") needs for \(name)") }
      guard codes.shape.count == 2, let table = StoredCoding.Table(tensor), (table.rows, table.columns) == (codes.rows, 1) else {
        throw CheckpointError(.corrupt, in: scalesPath, "has \(key) of the shape \(tensor.shape), and \(name) in \(path.lastComponent?.string ?? "") has \(codes.shape): one number for each row is due")
      }
      stored.decode(name, by: StoredCoding(code: code, scales: table))
    }
    if let key = scales.names.first {
      // Llama 4's are called otherwise.
      let isOfLlama3 = key.wholeMatch(of: /[0-9]+_feed_forward\.w[123]_[0-9]+/) != nil
      throw CheckpointError(isOfLlama3 ? .corrupt : .unsupported, in: scalesPath, "has \(key), for which \(path.lastComponent?.string ?? "") has no weight in float8: one of the two is of another model or rank")
    }
    notes = ["the feed-forward weights are float8 with a scale for each row: they are read as bfloat16"]
  }

  private func corrupt(_ message: String, _ path: FilePath) -> CheckpointError { CheckpointError(.corrupt, in: path, message) }
}
