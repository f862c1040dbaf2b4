import Integrity
import Platform
import Synchronization

extension Checkpoint {
  /// Of a tensor that several shards have, one is read. They must be the same, or something would be lost.
  /// - Throws: `.corrupt` at the first difference that is found.
  func checkReplicas(_ threads: Int) throws(CheckpointError) {
    let replicas = replicas
    let next = Atomic(0)
    let difference = Mutex<CheckpointError?>(nil)
    Workers.run(min(threads, max(1, replicas.count))) {
      while difference.withLock({ $0 == nil }) {
        let turn = next.add(1, ordering: .relaxed).oldValue
        guard turn < replicas.count else { return }
        let (tensor, a, b) = replicas[turn]
        let (fileA, fileB) = (files[a.file], files[b.file])
        do throws(CheckpointError) {
          guard try !a.isEqual(in: fileA, to: b, in: fileB, tensor.dtype) else { continue }
          throw CheckpointError(
            .corrupt, in: fileB.path, byte: b.offset,
            "\(tensor.name) should be the same in shards \(a.rank) and \(b.rank), and isn't: one of the two is damaged")
        } catch {
          difference.withLock { $0 = $0 ?? error }
        }
      }
    }
    if let error = difference.withLock({ $0 }) { throw error }
  }

  /// Pieces that should hold the same: one tensor's copies in several shards.
  private var replicas: [(tensor: LogicalTensor, a: LogicalTensor.Part, b: LogicalTensor.Part)] {
    tensors.flatMap { tensor in
      tensor.parts.enumerated().compactMap { index, part in
        tensor.parts[..<index].first { $0.rows == part.rows && $0.columns == part.columns }.map { (tensor, $0, part) }
      }
    }
  }
}
