import Integrity
import Synchronization

/// One file of a download, as the network's thread sees it.
final class FileTask {
  enum Stage: Equatable {
    /// For its checklist.
    case waiting
    /// What is here already is being looked at.
    case preparing
    case fetching
    /// Everything is here; the hash catches up.
    case verifying
    case committing
    case finished(TransferReport.Status)
    case skipped
    case failed

    var isOver: Bool {
      switch self {
      case .finished, .skipped, .failed: true
      default: false
      }
    }
  }

  let index: Int
  let request: TransferRequest.File
  let part: PartialFile
  var stage = Stage.waiting
  var expected: Digest?
  var digest: Digest?
  var sha256: Digest?

  /// Whether the server answered for this file in this run.
  var isMet = false
  /// Whether nothing may start before it has.
  var mustBeMet = false
  /// Whether ranges can be asked for.
  var takesRanges = true
  /// Another program's beginning of the file, under its final name.
  var beginning: (size: Int, hash: PrefixHash)?
  var connections: [Connection] = []

  /// Failures in a row.
  var failures = 0
  /// Not before this time on the steady clock.
  var notBefore = 0.0
  /// Times that what was here had to be thrown away.
  var freshStarts = 0
  /// Bytes that were here before this run.
  var before = 0
  /// What the hash depends on was read from the wire in this run, in one answer whose length was promised.
  var isAboveDoubt = true
  var isAllocated = false

  init(index: Int, request: TransferRequest.File, part: PartialFile) {
    self.index = index
    self.request = request
    self.part = part
  }

  var isChecklist: Bool { request.path.hasSuffix(".chk") }

  var length: Int? { part.state.withLock { $0.length } }
  var validators: Validators { part.state.withLock { $0.validators } }
  var written: RangeSet<Int> { part.state.withLock { $0.written } }

  /// Bytes that neither are here nor are on their way.
  var gaps: RangeSet<Int> {
    let (length, written) = part.state.withLock { ($0.length, $0.written) }
    guard let length, length > 0 else { return RangeSet() }
    var gaps = RangeSet(0..<length).subtracting(written)
    for connection in connections where connection.published < connection.limit { gaps.remove(contentsOf: connection.published..<connection.limit) }
    return gaps
  }

  var isFullyWritten: Bool {
    part.state.withLock { state in state.length.map { state.written.prefixEnd == $0 } ?? false }
  }
}
