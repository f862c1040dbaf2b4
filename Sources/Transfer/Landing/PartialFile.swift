import CLinux
import Glibc
import Integrity
import Platform
import Synchronization

/// A file on its way: `NAME.part`, its journal `NAME.part.journal`, and what is known of both.
///
/// The network's thread writes, a hashing thread follows the prefix, the keeper's thread syncs and journals; each takes the lock for a moment only.
final class PartialFile: Sendable {
  /// Where the finished file goes.
  let path: String
  /// What errors and journals call it.
  let name: String
  let remote: String

  var partPath: String { path + ".part" }
  var journalPath: String { path + ".part.journal" }

  enum Origin {
    /// From this run's requests alone.
    case thisRun
    case earlierRun
    /// The finished file was here before.
    case finished
  }

  struct State {
    var descriptor: Int32 = -1
    /// Counts the fresh starts: what was read before one is not hashed after it.
    var generation = 0
    /// Whether it is known what the file on disk holds. Nothing of it is removed or journaled before.
    var isKnown = false
    /// Where what is here comes from; nil until that was found out.
    var origin: Origin?
    var length: Int?
    var validators = Validators()
    var expected: Digest?
    /// What was written and may be read.
    var written = RangeSet<Int>()
    var md5 = Chain<PrefixHash>()
    var sha256 = Chain<SHA256>()
    /// Where the prefix ended when this run began: what lies before isn't waited for.
    var prefixAtStart = 0
    /// Whether a connection waits for the hashes.
    var isHeld = false
    /// `errno` of a sync or a read that failed. Linux tells of a failed write-back once: after it no later sync may be believed.
    var failure: Int32 = 0
    /// Whether something changed since the last journal.
    var isDirty = false
    /// When the journal was last written, on the steady clock.
    var journaled = 0.0
    /// Seconds between two journals: at most one, and less where syncing is quick.
    var journalPause = 0.2
  }

  /// A hash that follows the prefix, each on a thread of its own.
  struct Chain<Hash: FollowingHash> {
    var hash = Hash()
    /// Whether a thread has it.
    var isBusy = false
  }

  /// Bytes that may lie between what was written and what is hashed. A file is not done before its hash is, so waiting costs no time, and what is
  /// hashed at once is never read again, by no later run either.
  static let mostUnhashed = 64 << 20

  let state = Mutex(State())
  /// Held while a journal is put in its place, so that none of what was thrown away comes after that.
  private let journaling = Mutex(())

  init(path: String, name: String, remote: String) {
    self.path = path
    self.name = name
    self.remote = remote
  }

  deinit {
    let descriptor = state.withLock { $0.descriptor }
    if descriptor >= 0 { close(descriptor) }
  }

  /// Opens the partial file, made if it isn't there, and locks it.
  func open() throws(TransferError) {
    let descriptor = Glibc.open(partPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o666)
    guard descriptor >= 0 else { throw .disk(path: name, errno: errno) }
    // File systems without locks must do without.
    if flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
      close(descriptor)
      throw .busyFolder(name)
    }
    state.withLock { $0.descriptor = descriptor }
  }

  /// Forgets all content.
  func startAfresh() throws(TransferError) {
    let failure = journaling.withLock { _ in
      removeJournal()
      return forgetAll()
    }
    if failure != 0 { throw .disk(path: name, errno: failure) }
  }

  /// - Returns: 0, or `errno`.
  private func forgetAll() -> Int32 {
    state.withLock { state -> Int32 in
      state.generation += 1
      state.written = RangeSet()
      (state.md5.hash, state.sha256.hash, state.prefixAtStart) = (PrefixHash(), SHA256(), 0)
      state.length = nil
      state.validators = Validators()
      state.isKnown = ftruncate(state.descriptor, 0) == 0
      state.origin = .thisRun
      return state.isKnown ? 0 : errno
    }
  }

  /// Gives the file its length on disk, so that it can't run out of room on the way, where the file system can promise that.
  func allocate(_ length: Int) throws(TransferError) {
    let descriptor = state.withLock { $0.descriptor }
    guard length > 0, fallocate(descriptor, 0, 0, off_t(length)) != 0 else { return }
    if errno == ENOSPC || errno == EFBIG || errno == EDQUOT { throw .disk(path: name, errno: errno) }
  }

  /// Writes all of `bytes` at `offset`, without saying yet that they are there.
  /// - Returns: 0, or `errno`.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int, to descriptor: Int32) -> Int32 {
    var rest = bytes
    var offset = offset
    while !rest.isEmpty {
      let count = pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset))
      if count < 0 {
        if errno == EINTR { continue }
        return errno
      }
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
      offset += count
    }
    return 0
  }

  /// Says that a range was written.
  /// - Returns: whether the connection has to wait for the hashes.
  func publish(_ range: Range<Int>) -> Bool {
    state.withLock { state in
      guard !range.isEmpty else { return false }
      state.written.insert(contentsOf: range)
      state.isDirty = true
      guard state.unhashed > Self.mostUnhashed else { return false }
      state.isHeld = true
      return true
    }
  }

  /// Whether the hashes have come close enough for connections to go on.
  var hasCaughtUp: Bool {
    state.withLock { state in
      guard state.unhashed <= Self.mostUnhashed / 2 else { return false }
      state.isHeld = false
      return true
    }
  }

  /// Whether there is more to hash than the last few bytes.
  var isBehind: Bool { state.withLock { $0.failure == 0 && $0.written.prefixEnd - min($0.md5.hash.position, $0.sha256.hash.position) >= Self.turnBytes } }

  // MARK: Hashing

  /// A file's hash while a thread has it.
  struct HashingTurn<Hash: FollowingHash> {
    let generation: Int
    let descriptor: Int32
    var hash: Hash
    /// Where what is there ends.
    let end: Int
    /// Whether nothing is lost by leaving it for a moment.
    let canWait: Bool
  }

  /// Fewer bytes aren't worth a turn, but for the file's last ones.
  private static let turnBytes = 256 << 10
  /// With more than this a hash doesn't wait for company.
  private static let mostPatience = 16 << 20

  /// Takes a hash, if there is enough to read for it.
  func take<Hash>(_ chain: WritableKeyPath<State, Chain<Hash>> & Sendable) -> HashingTurn<Hash>? {
    state.withLock { state in
      let (end, position) = (state.written.prefixEnd, state[keyPath: chain].hash.position)
      guard !state[keyPath: chain].isBusy, state.failure == 0, end > position, end - position >= Self.turnBytes || end == state.length else { return nil }
      state[keyPath: chain].isBusy = true
      return HashingTurn(
        generation: state.generation, descriptor: state.descriptor, hash: state[keyPath: chain].hash, end: end,
        canWait: end - position < Self.mostPatience && end != state.length)
    }
  }

  /// Whether there will be more for a hash that no other thread has.
  func isGrowing<Hash>(_ chain: WritableKeyPath<State, Chain<Hash>> & Sendable) -> Bool {
    state.withLock { state in
      let end = state.written.prefixEnd
      return !state[keyPath: chain].isBusy && state.failure == 0 && 0 < end && end < state.length ?? 0
    }
  }

  /// Gives a hash back.
  /// - Returns: whether someone waits for it.
  func giveBack<Hash>(_ chain: WritableKeyPath<State, Chain<Hash>> & Sendable, _ turn: HashingTurn<Hash>) -> Bool {
    state.withLock { state in
      state[keyPath: chain].isBusy = false
      if state.generation == turn.generation { state[keyPath: chain].hash = turn.hash }
      return state.isHeld && state.unhashed <= Self.mostUnhashed / 2 || state.isWhole
    }
  }

  /// Whether every byte is here and hashed.
  var isWhole: Bool { state.withLock { $0.isWhole } }

  // MARK: Keeping

  /// Syncs what was written so far and then says so in the journal.
  /// - Parameter closing: that nothing will be written after this.
  func keep(closing: Bool) {
    let snapshot = state.withLock { state -> State? in
      guard state.isDirty || closing, state.isKnown, state.descriptor >= 0, state.length != nil, !state.written.isEmpty else { return nil }
      state.isDirty = false
      return state
    }
    let started = steadySeconds()
    guard let snapshot, snapshot.failure == 0, let length = snapshot.length else { return }
    guard fdatasync(snapshot.descriptor) == 0 else { return noteFailure(errno) }
    guard let identity = identity(of: snapshot.descriptor) else { return }
    let journal = Journal(
      remote: remote, length: length, validators: snapshot.validators, expected: snapshot.expected, safe: snapshot.written, hash: snapshot.md5.hash, sha256: snapshot.sha256.hash,
      identity: identity, isClosed: closing)
    guard let bytes = try? journal.encoded() else { return }
    journaling.withLock { _ in
      // What a fresh start has taken back must not outlive it.
      if state.withLock({ $0.generation == snapshot.generation }) { _ = AtomicFile.replace(journalPath, with: bytes) }
    }
    state.withLock { state in
      state.journaled = steadySeconds()
      state.journalPause = min(1, max(0.2, 5 * (state.journaled - started)))
    }
  }

  /// - Parameter generation: of the content that it is about; a fresh start leaves it behind.
  func noteFailure(_ code: Int32, generation: Int? = nil) {
    state.withLock { state in
      if generation ?? state.generation == state.generation { state.failure = code == 0 ? EIO : code }
    }
  }

  func identity(of descriptor: Int32) -> Journal.Identity? {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return nil }
    return Journal.Identity(inode: UInt64(status.st_ino), size: Int(status.st_size), modified: Journal.Identity.nanoseconds(status.st_mtim))
  }

  /// Gives the whole, verified file its final name, after a sync.
  func commit() throws(TransferError) {
    let (descriptor, length, failure) = state.withLock { ($0.descriptor, $0.length ?? 0, $0.failure) }
    guard failure == 0 else { throw .disk(path: name, errno: failure) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, Int(status.st_size) == length || ftruncate(descriptor, off_t(length)) == 0, fsync(descriptor) == 0,
      rename(partPath, path) == 0
    else { throw .disk(path: name, errno: errno) }
    removeJournal()
    guard AtomicFile.syncFolder(of: path) else { throw .disk(path: name, errno: errno) }
    closeDescriptor()
  }

  /// Removes what is here, or moves it aside.
  /// - Returns: where it was moved.
  func discard(keeping: Bool) -> String? {
    removeJournal()
    defer { closeDescriptor() }
    let aside = path + ".corrupt"
    if keeping, rename(partPath, aside) == 0 { return aside }
    unlink(partPath)
    return nil
  }

  /// Bytes that the file has on disk already.
  var bytesOnDisk: Int {
    let descriptor = state.withLock { $0.descriptor }
    var status = stat()
    guard descriptor >= 0, fstat(descriptor, &status) == 0 else { return 0 }
    return Int(status.st_blocks) * 512
  }

  /// Whether what arrived is what is there already under the final name.
  var isSameAsFinished: Bool {
    guard let new = AtomicFile.read(partPath, limit: 16 << 20), let old = AtomicFile.read(path, limit: 16 << 20) else { return false }
    return new == old
  }

  /// Leaves no empty partial file behind.
  func removeIfEmpty() {
    let isEmpty = state.withLock { $0.descriptor >= 0 && $0.isKnown && $0.written.isEmpty }
    if isEmpty { unlink(partPath) }
  }

  /// The one that a killed drover was about to put in its place too.
  private func removeJournal() {
    unlink(journalPath)
    unlink(AtomicFile.temporary(for: journalPath))
  }

  func closeDescriptor() {
    state.withLock { state in
      if state.descriptor >= 0 { close(state.descriptor) }
      state.descriptor = -1
    }
  }
}

extension PartialFile.State {
  var unhashed: Int { written.prefixEnd - max(prefixAtStart, min(md5.hash.position, sha256.hash.position)) }

  /// Whether every byte is here and hashed.
  var isWhole: Bool { length.map { md5.hash.position == $0 && sha256.hash.position == $0 && written.prefixEnd == $0 } ?? false }
}

/// Files that are there whole or not at all.
enum AtomicFile {
  static func temporary(for path: String) -> String { path + ".new" }

  /// - Returns: whether it was done; if not, what was there before is there still.
  static func replace(_ path: String, with bytes: [UInt8]) -> Bool {
    let temporary = temporary(for: path)
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o666)
    guard descriptor >= 0 else { return false }
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      rest = rest.dropFirst(count)
    }
    let synced = rest.isEmpty && fdatasync(descriptor) == 0
    close(descriptor)
    guard synced, rename(temporary, path) == 0 else {
      unlink(temporary)
      return false
    }
    return true
  }

  /// Makes the names in a file's folder last.
  static func syncFolder(of path: String) -> Bool {
    let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    // Some network file systems can't, and need not.
    return fsync(descriptor) == 0 || errno == EINVAL || errno == ENOTSUP
  }

  /// The content of a file of at most `limit` bytes.
  static func read(_ path: String, limit: Int) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size <= limit else { return nil }
    let size = Int(status.st_size)
    var done = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      while done < size {
        let got = Glibc.read(descriptor, buffer.baseAddress.map { $0 + done }, size - done)
        if got < 0, errno == EINTR { continue }
        guard got > 0 else { break }
        done += got
      }
      count = done
    }
    return done == size ? bytes : nil
  }
}
