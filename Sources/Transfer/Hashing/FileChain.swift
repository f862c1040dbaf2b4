import Integrity

/// What goes through a file's bytes in their order: the hash that its publisher made, and who follows it. Both have always seen the same bytes.
final class FileChain: @unchecked Sendable {
  // Unchecked: only the thread that has taken it from its queue (`Landing`), or that makes it, touches it; of a round's, one hashes while one follows.
  private(set) var hash: FileHash
  private let follower: (any ContentFollower)?
  /// Whether the follower has seen all bytes so far.
  private(set) var isFollowed: Bool

  /// Of a follower's state in a journal.
  static let mostFollowerBytes = 1 << 20

  /// A file's beginning.
  /// - Parameter file: what is here of it, for the follower.
  init(_ algorithm: HashAlgorithm, follower: (any ContentFollower)?, of file: any FollowedFile) {
    hash = FileHash(algorithm)
    self.follower = follower
    isFollowed = follower != nil
    follower?.begin(file)
  }

  /// Goes on from a journal.
  /// - Parameter followerState: nil where there is none of this place.
  init(resuming hash: FileHash, follower: (any ContentFollower)?, followerState: [UInt8]?, of file: any FollowedFile) {
    self.hash = hash
    self.follower = follower
    isFollowed = false
    guard let follower else { return }
    if hash.position == 0 {
      follower.begin(file)
      isFollowed = true
    } else if let followerState {
      isFollowed = follower.resume(from: followerState, at: hash.position, of: file)
    }
  }

  /// Bytes hashed.
  var position: Int { hash.position }

  /// nil when nobody follows, or when it is too large for a journal.
  var followerState: [UInt8]? {
    guard isFollowed, let state = follower?.savedState(), state.count <= Self.mostFollowerBytes else { return nil }
    return state
  }

  /// Takes the bytes that follow.
  func take(_ bytes: UnsafeRawBufferPointer) {
    let offset = position
    hash.take(bytes)
    follow(bytes, at: offset)
  }

  /// Hashes for each file the bytes that follow, side by side. Whoever calls this has `follow` called for them too.
  static func hash(_ chains: [FileChain], _ pieces: [UnsafeRawBufferPointer]) {
    var hashes = chains.map { $0.hash }
    FileHash.take(&hashes, pieces)
    for (chain, hash) in zip(chains, hashes) { chain.hash = hash }
  }

  /// Undoes `hash` for bytes that couldn't be written, and that the follower hasn't been given.
  func putBack(_ earlier: FileHash) { hash = earlier }

  /// Gives the follower bytes that are hashed too, before, after or meanwhile on another thread.
  func follow(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    if isFollowed, !bytes.isEmpty { follower?.take(bytes, at: offset) }
  }
}
