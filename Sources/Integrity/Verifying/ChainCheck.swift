import SystemPackage

/// One hash of a file, and what lists say that it must be.
struct ChainCheck {
  let algorithm: HashAlgorithm
  /// Who says what.
  private(set) var claims: [(source: FilePath, digest: Digest)] = []
  /// The states that a receipt has of the digest that all claim, and the length that it says the file has.
  private(set) var known: (chain: ChainedDigest, length: Int, receipt: FilePath)?
  /// States that the file shows to be wrong.
  private(set) var hasWrongStates = false
  /// Of the pieces that can be looked at alone, whether they are right; nil where the file or a state is wrong, and it isn't known which.
  private var isRight: [Bool?] = []

  init(_ algorithm: HashAlgorithm) { self.algorithm = algorithm }

  mutating func add(_ source: FilePath, _ digest: Digest) { claims.append((source, digest)) }

  mutating func add(_ receipt: FilePath, _ chain: ChainedDigest, length: Int) {
    claims.append((receipt, chain.digest))
    known = known ?? (chain, length, receipt)
  }

  var isDisputed: Bool { claims.contains { $0.digest != claims[0].digest } }

  /// Whether the states lead to the digest that all claim.
  var hasStates: Bool { known != nil && !isDisputed }

  // MARK: Pieces

  /// Pieces of a file of `size` bytes that can be looked at alone: the last one only where the length is what the receipt says.
  func pieceCount(size: Int) -> Int {
    guard let known else { return 0 }
    return size == known.length ? known.chain.states.count + 1 : min(size, known.length) / ChainStates.interval
  }

  /// The bytes of some pieces.
  func bytes(of pieces: Range<Int>) -> Range<Int> {
    let start = pieces.lowerBound * ChainStates.interval
    return start..<max(start, min(pieces.upperBound * ChainStates.interval, known?.length ?? 0))
  }

  /// The hash at the beginning of piece `index`, from the recorded state.
  func start<Hash: StreamingHash>(_: Hash.Type, at index: Int) -> Hash? {
    guard index > 0, let known else { return Hash() }
    return Hash(chain: known.chain.states[index - 1], byteCount: index * ChainStates.interval)
  }

  /// Whether what was hashed up to the end of piece `index` is what the receipt has there.
  /// - Parameter first: the piece at which the hash began.
  private func fits<Hash: StreamingHash>(_ hash: ChainedHash<Hash>, from first: Int, at index: Int) -> Bool {
    guard let known else { return false }
    if index == known.chain.states.count { return hash.finalize().digest == known.chain.digest }
    return index - first < hash.states.count && hash.states[index - first].elementsEqual(known.chain.states[index])
  }

  /// Takes what came of each piece alone.
  mutating func take<Hash: StreamingHash>(_ pieces: [ChainedHash<Hash>]) {
    isRight = pieces.indices.map { fits(pieces[$0], from: $0, at: $0) ? true : nil }
  }

  /// Neighbouring pieces that are in doubt: either they are damaged, or the states between them are. Hashing on from the state before them tells.
  var doubtfulRuns: [Range<Int>] {
    var runs: [Range<Int>] = []
    for (index, isRight) in isRight.enumerated() where isRight == nil {
      if let last = runs.last, last.upperBound == index { runs[runs.count - 1] = last.lowerBound..<index + 1 } else { runs.append(index..<index + 1) }
    }
    return runs.filter { $0.count > 1 }
  }

  /// Takes a hash that went on from the state before `run` to its end. As far as it comes to a recorded state, the file is right, and what
  /// differs between is wrong in the receipt; the piece after that is damaged.
  mutating func take<Hash: StreamingHash>(_ hash: ChainedHash<Hash>, through run: Range<Int>) {
    var next = run.lowerBound
    if let last = run.last(where: { fits(hash, from: run.lowerBound, at: $0) }) {
      hasWrongStates = true
      for piece in run.lowerBound...last { isRight[piece] = true }
      next = last + 1
    }
    if next < run.upperBound { isRight[next] = false }
  }

  // MARK: What came of it

  /// The pieces that are damaged.
  func damaged(size: Int) -> [Verification.Damage] {
    guard let known else { return [] }
    var damaged = isRight.indices.filter { isRight[$0] != true }.map { Verification.Damage(bytes(of: $0..<$0 + 1)) }
    // What can't be looked at alone, because the file is shorter or longer.
    if size != known.length { damaged.append(Verification.Damage(isRight.count * ChainStates.interval..<max(size, known.length))) }
    return damaged
  }
}
