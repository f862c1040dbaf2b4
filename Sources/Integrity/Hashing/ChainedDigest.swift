/// The digest of a file, and the chaining values that its hash passed on the way: what it takes to follow the hash in pieces.
public struct ChainedDigest: Sendable, Equatable {
  public var digest: Digest
  /// Of the digest's algorithm. Files of one piece have none.
  public var states: ChainStates

  /// - Parameter states: nil for none, as files of at most `ChainStates.interval` bytes have.
  public init(_ digest: Digest, states: ChainStates? = nil) {
    precondition(states?.algorithm ?? digest.algorithm == digest.algorithm)
    self.digest = digest
    self.states = states ?? ChainStates(digest.algorithm)
  }

  /// Of bytes that are in memory.
  public init(of bytes: [UInt8], _ algorithm: HashAlgorithm) {
    switch algorithm {
    case .md5: self = Self.hash(bytes, MD5.self)
    case .sha256: self = Self.hash(bytes, SHA256.self)
    }
  }

  private static func hash<Hash: StreamingHash>(_ bytes: [UInt8], _: Hash.Type) -> ChainedDigest {
    var hash = ChainedHash<Hash>()
    bytes.withUnsafeBytes { hash.update($0) }
    return hash.finalize()
  }

  /// Whether all values of a file of `length` bytes are there, and no others.
  public func isComplete(forFile length: Int) -> Bool { states.count == ChainStates.count(ofFile: length) }
}

/// A hash that keeps the chaining values which it passes at multiples of `ChainStates.interval`.
public struct ChainedHash<Hash: StreamingHash>: Sendable {
  public private(set) var hash: Hash
  /// Those that were passed since the hash began, or since `init(from:)`.
  public private(set) var states = ChainStates(Hash.algorithm)

  public init() { hash = Hash() }

  /// Goes on from `hash`, whose values so far are known elsewhere.
  public init(from hash: Hash) { self.hash = hash }

  /// Goes on from `hash`.
  /// - Parameter states: all values that it has passed.
  /// - Returns: nil when there are more or fewer of them.
  public init?(resuming hash: Hash, states: ChainStates) {
    guard states.algorithm == Hash.algorithm, UInt64(states.count) == hash.byteCount / UInt64(ChainStates.interval) else { return nil }
    (self.hash, self.states) = (hash, states)
  }

  /// Hashes `bytes` after those that came before.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes
    while rest.count >= room {
      let head = UnsafeRawBufferPointer(rebasing: rest[..<room])
      rest = UnsafeRawBufferPointer(rebasing: rest[room...])
      hash.update(head)
      states.append(hash.chain)
    }
    hash.update(rest)
  }

  /// Several at once, side by side.
  public static func update(_ hashes: inout [ChainedHash], with chunks: [UnsafeRawBufferPointer]) {
    var plain = hashes.map { $0.hash }
    var rest = chunks
    while true {
      // Up to the next value that is kept, where a chunk reaches so far.
      let heads = rest.indices.map { UnsafeRawBufferPointer(rebasing: rest[$0].prefix(room(plain[$0]))) }
      Hash.update(&plain, with: heads)
      for index in rest.indices {
        if !heads[index].isEmpty, room(plain[index]) == ChainStates.interval { hashes[index].states.append(plain[index].chain) }
        rest[index] = UnsafeRawBufferPointer(rebasing: rest[index].dropFirst(heads[index].count))
      }
      if rest.allSatisfy({ $0.isEmpty }) { break }
    }
    for index in hashes.indices { hashes[index].hash = plain[index] }
  }

  /// The digest of all bytes so far, and the values that a file of this length has.
  public func finalize() -> ChainedDigest {
    var states = states
    states.truncate(to: ChainStates.count(ofFile: Int(hash.byteCount)))
    return ChainedDigest(hash.finalize(), states: states)
  }

  private var room: Int { Self.room(hash) }

  /// Bytes until the next value that is kept.
  private static func room(_ hash: Hash) -> Int { ChainStates.interval - Int(hash.byteCount % UInt64(ChainStates.interval)) }
}
