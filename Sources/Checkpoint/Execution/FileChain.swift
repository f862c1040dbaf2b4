import Integrity
import Platform

/// A digest over all of a file, whose stretches are done in almost the order of the file.
///
/// Such a hash is one serial chain. A stretch that comes too early waits as a copy; when there are too many of those, their threads wait with them. The
/// earliest stretch that is under way is always the next on the chain, so it never waits, and nobody waits in a circle.
final class FileChain: Sendable {
  private struct State {
    /// Bytes that were hashed or are being hashed.
    var position = 0
    var isBusy = false
    /// By offset.
    var waiting: [Int: [UInt8]] = [:]
    var waitingBytes = 0
    var md5: ChainedHash<MD5>?
    var sha256: ChainedHash<SHA256>?
    var isGivenUp = false
  }

  /// Bytes that may wait.
  static let mostWaiting = 16 << 20

  private let state: Monitor<State>
  /// Bytes that the plan knows, asked for when the chain comes to them.
  private let known: @Sendable (_ offset: Int) -> [UInt8]?

  init(_ algorithms: Set<HashAlgorithm>, known: @escaping @Sendable (_ offset: Int) -> [UInt8]?) {
    self.known = known
    var state = State()
    if algorithms.contains(.md5) { state.md5 = ChainedHash() }
    if algorithms.contains(.sha256) { state.sha256 = ChainedHash() }
    self.state = Monitor(state)
  }

  /// Takes a stretch of the file.
  func add(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    let copy = Array(bytes)
    state.wait { state -> Void? in
      guard state.waitingBytes < Self.mostWaiting || state.position == offset || state.isGivenUp else { return nil }
      state.waiting[offset] = copy
      state.waitingBytes += copy.count
      return ()
    }
    advance()
  }

  /// Hashes what can be hashed, unless another thread is at it.
  private func advance() {
    while let (bytes, md5, sha256) = state.update({ state -> ([UInt8], ChainedHash<MD5>?, ChainedHash<SHA256>?)? in
      guard !state.isBusy else { return nil }
      let waiting = state.waiting.removeValue(forKey: state.position)
      guard let bytes = waiting ?? known(state.position), !bytes.isEmpty else { return nil }
      if waiting != nil { state.waitingBytes -= bytes.count }
      state.isBusy = true
      state.position += bytes.count
      return (bytes, state.md5, state.sha256)
    }) {
      var (md5, sha256) = (md5, sha256)
      bytes.withUnsafeBytes {
        md5?.update($0)
        sha256?.update($0)
      }
      state.update { state in (state.md5, state.sha256, state.isBusy) = (md5, sha256, false) }
    }
  }

  /// Lets everyone go who waits: the file won't be finished.
  func giveUp() { state.update { $0.isGivenUp = true } }

  /// The digests, when all of the file has been taken.
  func finalize() -> [HashAlgorithm: ChainedDigest] {
    advance()
    return state.update { state in
      var digests: [HashAlgorithm: ChainedDigest] = [:]
      digests[.md5] = state.md5?.finalize()
      digests[.sha256] = state.sha256?.finalize()
      return digests
    }
  }
}
