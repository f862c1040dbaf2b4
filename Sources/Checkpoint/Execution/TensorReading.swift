import Integrity

extension Checkpoint {
  /// Reads a whole tensor in Meta's order, as float32.
  ///
  /// - Parameter out: room for all of its elements.
  /// - Throws: where the parts can't be read, leave something out, or copies of them differ.
  package func readFloats(of tensor: LogicalTensor, into out: UnsafeMutablePointer<Float>) throws(CheckpointError) {
    let plan = try TensorPlan(tensor, as: .f32, to: [])
    var reader = PartReader(files: files)
    let step = max(1, ReshardPlan.chunkBytes / max(1, 4 * tensor.columns))
    for start in stride(from: 0, to: tensor.rows, by: step) {
      let chunk = TensorPlan.Chunk(rows: start..<min(start + step, tensor.rows), columns: 0..<tensor.columns)
      try reader.read(plan, chunk, into: UnsafeMutableRawPointer(out + start * tensor.columns))
    }
  }
}
