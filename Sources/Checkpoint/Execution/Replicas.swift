import Integrity
import Platform
import Synchronization

extension Checkpoint {
  /// Of a tensor that several shards have, one is read. They must be the same, or something would be lost.
  /// - Throws: `.corrupt` at the first difference that is found.
  func checkReplicas(_ threads: Int) throws(CheckpointError) {
    let replicas = replicas
    let resident = ResidentPages(files: files)
    let next = Atomic(0)
    let difference = Mutex<CheckpointError?>(nil)
    Workers.run(min(threads, max(1, replicas.count))) {
      while difference.withLock({ $0 == nil }) {
        let turn = next.add(1, ordering: .relaxed).oldValue
        guard turn < replicas.count else { return }
        let (tensor, a, b) = replicas[turn]
        let (fileA, fileB) = (files[a.file], files[b.file])
        if !a.isEqual(in: fileA, to: b, in: fileB, tensor.dtype) {
          let error = CheckpointError(
            .corrupt, in: fileB.path, byte: b.offset,
            "\(tensor.name) should be the same in shards \(a.rank) and \(b.rank), and isn't: one of the two is damaged")
          difference.withLock { $0 = error }
        }
        resident.didTouch(2 * (a.rows.count * tensor.dtype.byteCount(a.columns.count) + ResidentPages.around), of: fileA)
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

/// Gives pages of maps back before too many of them count as resident.
final class ResidentPages: Sendable {
  private let files: [MappedFile]
  private let touched = Atomic(0)

  static let limit = 32 << 20
  /// Bytes that the system maps around the one that is touched, if they are in the page cache, in large folios too.
  static let around = 256 << 10

  init(files: [MappedFile]) { self.files = files }

  func didTouch(_ bytes: Int, of file: MappedFile) {
    let sum = touched.add(bytes, ordering: .relaxed)
    if sum.oldValue / Self.limit != sum.newValue / Self.limit { for file in files { file.releasePages() } }
  }
}
