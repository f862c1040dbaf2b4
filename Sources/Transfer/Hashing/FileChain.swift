import Integrity

/// What goes through a file's bytes in their order: the hash that its publisher made, and who follows it. Both have always seen the same bytes.
final class FileChain: @unchecked Sendable {
  // Unchecked: only the thread that has taken it from its queue (`Landing`), or that makes it, touches it.
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
    if isFollowed { follower?.take(bytes, at: offset) }
  }

  /// Takes for each file the bytes that follow: their hashes go side by side.
  static func take(_ chains: [FileChain], _ slices: [UnsafeRawBufferPointer]) {
    var hashes = chains.map(\.hash)
    FileHash.take(&hashes, slices)
    for (index, chain) in chains.enumerated() {
      let offset = chain.position
      chain.hash = hashes[index]
      if chain.isFollowed, !slices[index].isEmpty { chain.follower?.take(slices[index], at: offset) }
    }
  }
}
