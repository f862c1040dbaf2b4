/// Whoever makes something of a file's bytes on their way, such as its fingerprint, and so never has to read them.
///
/// Its functions are called by one thread at a time, though not always by the same one. It sees bytes before the file's digest is known: what it makes of
/// them counts only when the download's report says that the file `isFollowed` and, where something vouches for it, verified.
public protocol ContentFollower: AnyObject, Sendable {
  /// The file's first byte comes next, also where others came before: then the file begins anew.
  /// - Parameter file: what is here of it, now and later.
  func begin(_ file: any FollowedFile)

  /// Goes on from what `savedState` gave in an earlier run.
  /// - Parameter offset: of the byte that comes next.
  /// - Returns: whether it can. If not, nothing more of this file is given to it, unless the file begins anew.
  func resume(from state: [UInt8], at offset: Int, of file: any FollowedFile) -> Bool

  /// Takes the bytes that follow, from the buffer that the network filled. To return late delays the file.
  func take(_ bytes: UnsafeRawBufferPointer, at offset: Int)

  /// All that is needed to go on behind the bytes taken so far; kept in the file's journal. At most `FileChain.mostFollowerBytes`, else it isn't kept.
  func savedState() -> [UInt8]
}
