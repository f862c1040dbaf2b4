import Platform
import SystemPackage

/// All that lists say of one file, and how it is found out whether it is so, in one read of the file.
///
/// - What a checklist claims is always computed. Where a receipt knows the states of that very hash, it is followed in pieces.
/// - Of a receipt one claim is enough, since each is of all bytes: the digest that a checklist claims too; else the weights and the rest; else the
///   stronger digest.
struct FileCheck {
  enum Way: Equatable {
    /// From the first byte to the last.
    case whole
    /// Each piece from the state before it.
    case pieces
    /// Weights, many at a time.
    case content
    /// Elsewhere: only git's name for it is known.
    case blob
  }

  let path: FilePath
  let claims: [Verification.Claim]
  /// nil where there is no such file.
  let size: Int?
  let way: Way
  private(set) var md5: ChainCheck?
  private(set) var sha256: ChainCheck?
  private(set) var content: ContentCheck?
  /// git's names for it, as stores have them.
  private var blobs: [GitBlobID] = []
  private var actualBlob: GitBlobID?
  /// Computed from the first byte to the last.
  private var actual: [HashAlgorithm: Digest] = [:]
  private var failure: Errno?

  init(_ path: FilePath, _ claims: [Verification.Claim]) {
    (self.path, self.claims) = (path, claims)
    size = Directory.size(of: path)
    var chains: [HashAlgorithm: ChainCheck] = [:]
    for claim in claims {
      switch claim.content {
      case .digest(let digest), .stored(.hash(let digest), _): chains[digest.algorithm, default: ChainCheck(digest.algorithm)].add(claim.source, digest)
      case .stored(.blob(let id), _): blobs.append(id)
      case .receipt: break
      }
    }
    let listed = Set(chains.keys)
    for claim in claims {
      guard case .receipt(let file) = claim.content else { continue }
      let both = [file.md5, file.sha256].compactMap { $0 }
      var needed = both.filter { listed.contains($0.digest.algorithm) }
      if needed.isEmpty {
        if content == nil, let content = file.content { self.content = ContentCheck(content, length: file.bytes) } else { needed = both.suffix(1) }
      }
      for chain in needed { chains[chain.digest.algorithm, default: ChainCheck(chain.digest.algorithm)].add(claim.source, chain, length: file.bytes) }
    }
    (md5, sha256) = (chains[.md5], chains[.sha256])
    let lengths = Set(chains.values.compactMap(\.known?.length))
    if chains.isEmpty, content == nil, !blobs.isEmpty {
      way = .blob
    } else if chains.isEmpty {
      way = size == nil ? .whole : .content
    } else if content == nil, chains.values.allSatisfy(\.hasStates), lengths.count == 1, let length = lengths.first, length > ChainStates.interval,
      // Where only the receipt knows the length, the checklist's digest may still be right.
      size == length || size != nil && listed.isEmpty
    {
      way = .pieces
    } else {
      way = .whole
    }
  }

  /// What is to be read.
  mutating func stretches(file: Int) -> [Stretch] {
    let size = size ?? 0
    switch way {
    case .whole:
      let all = content?.stretches(size: size, whole: true).first
      return [Stretch(file: file, bytes: 0..<size, md5: md5.map { _ in MD5() }, sha256: sha256.map { _ in SHA256() }, content: all)]
    case .blob: return []
    case .content:
      return (content?.stretches(size: size) ?? []).map { Stretch(file: file, bytes: $0.bytes, content: $0) }
    case .pieces:
      let count = (md5 ?? sha256)?.pieceCount(size: size) ?? 0
      return (0..<count).map { piece in
        Stretch(
          file: file, bytes: (md5 ?? sha256)?.bytes(of: piece..<piece + 1) ?? 0..<0, md5: md5?.start(MD5.self, at: piece),
          sha256: sha256?.start(SHA256.self, at: piece))
      }
    }
  }

  /// Takes what came of the stretches.
  mutating func take(_ outcomes: [Result<Stretch.Outcome, Errno>]) {
    var done: [Stretch.Outcome] = []
    do throws(Errno) { for outcome in outcomes { done.append(try outcome.get()) } } catch {
      failure = error
      return
    }
    content?.take(done.compactMap(\.content))
    switch way {
    case .whole:
      actual[.md5] = done.first?.md5?.finalize().digest
      actual[.sha256] = done.first?.sha256?.finalize().digest
    case .pieces:
      md5?.take(done.compactMap(\.md5))
      sha256?.take(done.compactMap(\.sha256))
    case .content, .blob: break
    }
  }

  var hasBlobs: Bool { !blobs.isEmpty && failure == nil }

  /// Takes git's name for the file.
  mutating func take(_ blob: Result<GitBlobID, Errno>) {
    switch blob {
    case .success(let id): actualBlob = id
    case .failure(let error): failure = failure ?? error
    }
  }

  // MARK: Hashing on

  /// Pieces that have to be hashed on from the last good state, to tell a damaged file from a damaged receipt.
  /// - Parameter limit: the longest run of pieces that is worth it.
  func doubtful(file: Int, limit: Int) -> [(run: Range<Int>, stretch: Stretch)] {
    guard failure == nil else { return [] }
    func runs(_ chain: ChainCheck?) -> [Range<Int>] { (chain?.doubtfulRuns ?? []).filter { $0.count <= limit } }
    let md5s = runs(md5).map { ($0, Stretch(file: file, bytes: md5?.bytes(of: $0) ?? 0..<0, md5: md5?.start(MD5.self, at: $0.lowerBound))) }
    let sha256s = runs(sha256).map {
      ($0, Stretch(file: file, bytes: sha256?.bytes(of: $0) ?? 0..<0, sha256: sha256?.start(SHA256.self, at: $0.lowerBound)))
    }
    return md5s + sha256s
  }

  mutating func take(_ outcome: Result<Stretch.Outcome, Errno>, through run: Range<Int>) {
    switch outcome {
    case .success(let outcome):
      if let hash = outcome.md5 { md5?.take(hash, through: run) }
      if let hash = outcome.sha256 { sha256?.take(hash, through: run) }
    case .failure(let error): failure = failure ?? error
    }
  }

  // MARK: What came of it

  /// Receipts whose states the file shows to be wrong.
  var wrongReceipts: [FilePath] { [md5, sha256].compactMap { $0 }.filter(\.hasWrongStates).compactMap(\.known?.receipt) }

  var finding: Verification.Finding {
    let chains = [md5, sha256].compactMap { $0 }
    var damaged = (way == .pieces ? chains.flatMap { $0.damaged(size: size ?? 0) } : []) + (content?.damaged ?? [])
    if chains.count > 1 { damaged = Array(Set(damaged)).sorted { $0.offset < $1.offset } }
    func isRight(_ chain: ChainCheck) -> Bool {
      way == .pieces ? chain.damaged(size: size ?? 0).isEmpty : chain.claims.allSatisfy { $0.digest == actual[chain.algorithm] }
    }
    let shown = chains.first { !isRight($0) } ?? chains.first
    // Of several claims the one that doesn't hold.
    let expected = shown.map { chain in (chain.claims.first { way == .whole && $0.digest != actual[chain.algorithm] } ?? chain.claims[0]).digest }
    let status: Verification.Status
    switch failure {
    case .noSuchFileOrDirectory?, .notDirectory?: status = .missing
    case let failure?: status = .unreadable(failure)
    case nil:
      let isOK = blobs.allSatisfy { $0 == actualBlob } && chains.allSatisfy(isRight) && damaged.isEmpty && claims.allSatisfy { $0.bytes ?? size == size }
      status = isOK ? .ok : .mismatch
    }
    return Verification.Finding(
      path: path, claims: claims, algorithm: shown?.algorithm ?? .sha256, expected: expected, actual: failure == nil ? shown.flatMap { actual[$0.algorithm] } : nil,
      bytes: failure == nil ? size ?? 0 : 0, status: status, damaged: status == .mismatch && !damaged.isEmpty ? damaged : nil,
      disputes: chains.filter(\.isDisputed).flatMap(\.claims).map { .init(source: $0.source, digest: $0.digest) },
      blob: shownBlob(isOK: chains.allSatisfy(isRight)).map { ($0, failure == nil ? actualBlob : nil) })
  }

  /// The name of git's that is shown: one that doesn't hold before others, and none where a digest tells already.
  private func shownBlob(isOK: Bool) -> GitBlobID? {
    guard way == .blob || isOK && blobs.contains(where: { $0 != actualBlob }) else { return nil }
    return blobs.first { $0 != actualBlob } ?? blobs.first
  }
}
