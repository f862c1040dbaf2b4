import Integrity

/// The hash of a file's beginning, of the kind that its publisher made, with the chaining values that it has passed.
package struct FileHash: Sendable, Equatable {
  private enum Running: Sendable {
    case md5(ChainedHash<MD5>)
    case sha256(ChainedHash<SHA256>)
  }

  private var running: Running

  package init(_ algorithm: HashAlgorithm) {
    running = switch algorithm {
    case .md5: .md5(ChainedHash())
    case .sha256: .sha256(ChainedHash())
    }
  }

  /// Goes on from a saved `state`.
  /// - Parameter passed: all values up to there.
  /// - Returns: nil when the two don't fit together.
  package init?(state: [UInt8], passed: ChainStates) {
    let resumed: Running? = switch passed.algorithm {
    case .md5: MD5(state: state).flatMap { ChainedHash(resuming: $0, states: passed) }.map { .md5($0) }
    case .sha256: SHA256(state: state).flatMap { ChainedHash(resuming: $0, states: passed) }.map { .sha256($0) }
    }
    guard let resumed else { return nil }
    running = resumed
  }

  /// The hash as it was after the first `count` of the pieces whose values were passed.
  package init?(_ passed: ChainStates, pieces count: Int) {
    guard 0...passed.count ~= count else { return nil }
    self.init(passed.algorithm)
    guard count > 0 else { return }
    var values = passed
    values.truncate(to: count)
    let position = count * ChainStates.interval
    let resumed: Running? = switch passed.algorithm {
    case .md5: MD5(chain: values[count - 1], byteCount: position).flatMap { ChainedHash(resuming: $0, states: values) }.map { .md5($0) }
    case .sha256: SHA256(chain: values[count - 1], byteCount: position).flatMap { ChainedHash(resuming: $0, states: values) }.map { .sha256($0) }
    }
    guard let resumed else { return nil }
    running = resumed
  }

  private var hash: any StreamingHash {
    switch running {
    case .md5(let hash): hash.hash
    case .sha256(let hash): hash.hash
    }
  }

  package var algorithm: HashAlgorithm { passed.algorithm }
  /// Bytes hashed.
  package var position: Int { Int(hash.byteCount) }
  /// What `init(state:passed:)` takes.
  package var state: [UInt8] { hash.state }

  /// The chaining values so far, also that at the end of a last piece which is whole.
  package var passed: ChainStates {
    switch running {
    case .md5(let hash): hash.states
    case .sha256(let hash): hash.states
    }
  }

  /// Of a file that ends here.
  package var digest: ChainedDigest {
    switch running {
    case .md5(let hash): hash.finalize()
    case .sha256(let hash): hash.finalize()
    }
  }

  /// Hashes the bytes that follow.
  package mutating func take(_ bytes: UnsafeRawBufferPointer) {
    switch running {
    case .md5(var hash):
      hash.update(bytes)
      running = .md5(hash)
    case .sha256(var hash):
      hash.update(bytes)
      running = .sha256(hash)
    }
  }

  /// Hashes for each file the bytes that follow: several side by side take little longer than one.
  package static func take(_ hashes: inout [FileHash], _ chunks: [UnsafeRawBufferPointer]) {
    var (md5s, sha256s): ([ChainedHash<MD5>], [ChainedHash<SHA256>]) = ([], [])
    var (md5Chunks, sha256Chunks): ([UnsafeRawBufferPointer], [UnsafeRawBufferPointer]) = ([], [])
    for (hash, chunk) in zip(hashes, chunks) {
      switch hash.running {
      case .md5(let hash):
        md5s.append(hash)
        md5Chunks.append(chunk)
      case .sha256(let hash):
        sha256s.append(hash)
        sha256Chunks.append(chunk)
      }
    }
    if !md5s.isEmpty { ChainedHash.update(&md5s, with: md5Chunks) }
    if !sha256s.isEmpty { ChainedHash.update(&sha256s, with: sha256Chunks) }
    var (md5, sha256) = (md5s.makeIterator(), sha256s.makeIterator())
    for index in hashes.indices {
      switch hashes[index].running {
      case .md5: if let hash = md5.next() { hashes[index].running = .md5(hash) }
      case .sha256: if let hash = sha256.next() { hashes[index].running = .sha256(hash) }
      }
    }
  }

  package static func == (a: FileHash, b: FileHash) -> Bool { a.state == b.state && a.passed == b.passed }
}
