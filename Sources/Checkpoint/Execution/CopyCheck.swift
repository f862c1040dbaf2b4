extension Checkpoint {
  /// Reads what several shards have copies of (norms, buffers, key and value heads that ranks share), and compares it: for those who don't read all weights.
  ///
  /// - Parameters:
  ///   - isCancelled: asked now and then.
  /// - Throws: `.corrupt` where copies differ, naming tensor, shards and byte; `.cancelled`.
  public func checkCopies(threads: Int, isCancelled: @escaping @Sendable () -> Bool = { false }) throws(CheckpointError) {
    var copied: [TensorPlan] = []
    var reader = PartReader(files: files)
    for tensor in tensors where tensor.parts.count > 1 {
      let plan = try TensorPlan(tensor, as: tensor.dtype, to: [])
      if plan.sources.contains(where: { !$0.replicas.isEmpty }) {
        copied.append(plan)
      } else if tensor.firstRowsDiffer {
        try reader.checkFirstRowsDiffer(plan)
      }
    }
    _ = try PlanExecution(copied, from: files, proves: false, isCancelled: isCancelled).run(threads: threads)
  }

  /// Of one tensor: whether it bears out what layer 0's first rows alone say of key and value heads. Reads a row of each shard.
  package func checkFirstRowsDiffer(_ tensor: LogicalTensor) throws(CheckpointError) {
    guard tensor.firstRowsDiffer else { return }
    var reader = PartReader(files: files)
    try reader.checkFirstRowsDiffer(try TensorPlan(tensor, as: tensor.dtype, to: []))
  }
}
