import CLinux
import Glibc
import Integrity
import Platform
import Synchronization
import SystemPackage

/// A file on its way: `NAME.part`, its journal `NAME.part.journal`, and what is known of both.
///
/// Workers write (`Landing`), the keeper's thread syncs, journals, names and removes (`PartialFile+Keeping`); each takes the lock for a moment only.
final class PartialFile: LandingPlace {
  /// Where the finished file goes.
  let path: FilePath
  /// What errors and journals call it.
  let name: String
  let remote: String
  /// SHA-256 of what under the final name needn't be kept.
  let replaceable: Digest?
  /// Whether what has the final name is known to be damaged.
  let isRepaired: Bool

  let partPath: FilePath
  let journalPath: FilePath
  /// Where all of them are.
  let folder: FilePath

  enum Origin {
    /// From this run's requests alone.
    case thisRun
    case earlierRun
    /// The finished file was here before.
    case finished
  }

  struct State {
    /// Counts the fresh starts: what was read before one isn't of the file as it is after it.
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
    /// A sync that failed. Linux tells of a failed write-back once: after it no later sync may be believed.
    var failure: Errno?
    /// The partial file, while it is open.
    var descriptor: FileDescriptor?
    /// Another content under the final name.
    var other: OtherContent?
  }

  /// A file under the final name that isn't the finished one: as it was, and what it hashed to.
  struct OtherContent {
    let identity: Journal.Identity
    let hash: FileHash
  }

  let state = Monitor(State())
  /// Held by who opens it.
  private let opening = Lock()

  init(path: FilePath, name: String, remote: String, replaceable: Digest? = nil, isRepaired: Bool = false) {
    self.path = path
    (partPath, journalPath, folder) = (path.adding(".part"), path.adding(".part.journal"), path.removingLastComponent())
    self.name = name
    self.remote = remote
    self.replaceable = replaceable
    self.isRepaired = isRepaired
  }

  deinit { closeDescriptor() }

  /// The partial file, while it is open.
  var descriptor: FileDescriptor? { state.peek { $0.descriptor } }

  /// Opens the partial file, made if it isn't there, and locks it.
  /// - Returns: whether there was one with another name too. What is written to such a file changes there as well, so it was left to its other name.
  @discardableResult func open() throws(TransferError) -> Bool {
    var wasShared = false
    // As long as others rename, remove or link it in the same moment; nobody does so for long.
    for _ in 0..<100 {
      let descriptor: FileDescriptor
      do {
        descriptor = try FileDescriptor.open(
          partPath, .readWrite, options: [.create, .closeOnExec, .noFollow], permissions: [.ownerReadWrite, .groupReadWrite, .otherReadWrite])
      } catch { throw failure(error) }
      // File systems without locks must do without.
      if flock(descriptor.rawValue, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
        try? descriptor.close()
        throw .busyFolder(name)
      }
      // Between opening and locking, a drover that had the lock may have given the file its final name: then this is the finished file.
      var (opened, named) = (stat(), stat())
      if fstat(descriptor.rawValue, &opened) == 0, partPath.withPlatformString({ lstat($0, &named) }) == 0, opened.st_ino == named.st_ino, opened.st_dev == named.st_dev {
        if opened.st_nlink == 1 || opened.st_mode & S_IFMT != S_IFREG {
          state.update { $0.descriptor = descriptor }
          return wasShared
        }
        wasShared = true
        partPath.remove()
      }
      try? descriptor.close()
    }
    throw .busyFolder(name)
  }

  /// The partial file; opened now where nothing was here of it, and nothing was written yet.
  func opened() throws(TransferError) -> FileDescriptor {
    try opening.hold { () throws(TransferError) in
      if let descriptor { return descriptor }
      try open()
      guard let descriptor else { throw failure(Errno.badFileDescriptor) }
      return descriptor
    }
  }

  func closeDescriptor() {
    state.update { state in
      try? state.descriptor?.close()
      state.descriptor = nil
    }
  }

  /// Gives the file its length on disk, where the file system can promise that.
  func allocate(_ length: Int) throws(TransferError) {
    guard length > 0 else { return }
    let descriptor = try opened()
    // FAT32 has no files of 4 GiB. Linux lets nobody seek beyond what a file system's files can have, also where it can't promise room.
    if lseek(descriptor.rawValue, off_t(length), SEEK_SET) < 0, errno == EINVAL { throw .disk(path: name, errno: EFBIG) }
    var limit = rlimit()
    if getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0, limit.rlim_cur < UInt64(length) { throw .disk(path: name, errno: EFBIG) }
    if fallocate(descriptor.rawValue, 0, 0, off_t(length)) != 0, [ENOSPC, EFBIG, EDQUOT].contains(errno) { throw failure(Errno(rawValue: errno)) }
  }

  var askableEnd: Int { .max }

  func write(_ block: Block, _ range: Range<Int>) throws(Errno) {
    let descriptor: FileDescriptor
    do throws(TransferError) { descriptor = try opened() } catch {
      if case .disk(_, let code) = error { throw Errno(rawValue: code) }
      throw .resourceBusy
    }
    try descriptor.write(all: block[range], at: range.lowerBound)
  }

  func read(into memory: UnsafeMutableRawBufferPointer, at offset: Int) throws(Errno) {
    guard let descriptor else { throw .badFileDescriptor }
    try descriptor.readAll(into: memory, at: offset)
  }

  /// Leaves no empty partial file behind.
  func close() {
    if state.peek({ $0.descriptor != nil && $0.isKnown && $0.written.isEmpty }) { partPath.remove() }
    closeDescriptor()
  }
}

extension RangeSet<Int> {
  /// Where the range that begins at 0 ends.
  package var prefixEnd: Int { ranges.first.map { $0.lowerBound == 0 ? $0.upperBound : 0 } ?? 0 }

  /// Numbers in the set.
  var total: Int { ranges.reduce(0) { $0 + $1.count } }
}
