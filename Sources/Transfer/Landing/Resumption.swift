import Glibc
import Integrity
import Synchronization

/// What is there already of a file before anything is fetched.
enum Preparation: Sendable {
  /// The finished file, with the digest that it should have, or without one to compare.
  case present(bytes: Int, md5: Digest)
  /// A partial file, perhaps empty, and what a person should know about it.
  case partial(note: String?)
  /// A file under the final name that isn't the finished one, and may be its beginning: another program's download.
  case beginning(size: Int, hash: PrefixHash, note: String?)
  case failed(TransferError)
}

extension PartialFile {
  /// Finds out what can be kept from earlier runs.
  ///
  /// - Parameters:
  ///   - expected: what the checklist says.
  ///   - trusting: whether a finished file without a digest to compare is taken as it is.
  ///   - isCancelled: asked from time to time.
  func prepare(expected: Digest?, trusting: Bool, isCancelled: () -> Bool) -> Preparation {
    state.withLock { $0.expected = expected }
    do throws(TransferError) {
      var beginning: (size: Int, hash: PrefixHash)?
      if let size = try sizeOfFinishedFile() {
        let hash = try Self.hash(path, name: name, isCancelled: isCancelled)
        if hash.position == size, expected.map({ $0 == hash.digest }) ?? trusting {
          removeLeftovers()
          return .present(bytes: size, md5: hash.digest)
        }
        // A link is somebody's own arrangement.
        if !isLink(path) { beginning = (size, hash) }
      }
      try open()
      let note = try resume(expected: expected, isCancelled: isCancelled)
      let isEmpty = state.withLock { $0.written.isEmpty }
      if isEmpty, let beginning { return .beginning(size: beginning.size, hash: beginning.hash, note: note) }
      return .partial(note: note)
    } catch {
      return .failed(error)
    }
  }

  /// Makes another program's beginning our partial file.
  func adopt(size: Int, hash: PrefixHash) throws(TransferError) {
    closeDescriptor()
    guard rename(path, partPath) == 0 else { throw .disk(path: name, errno: errno) }
    try open()
    state.withLock { state in
      state.written = RangeSet(0..<size)
      state.origin = .earlierRun
      state.md5.hash = hash
      state.prefixAtStart = size
      state.isDirty = true
    }
  }

  private func isLink(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
  }

  private func sizeOfFinishedFile() throws(TransferError) -> Int? {
    var status = stat()
    guard stat(path, &status) == 0 else {
      if errno == ENOENT { return nil }
      throw .disk(path: name, errno: errno)
    }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .disk(path: name, errno: status.st_mode & S_IFMT == S_IFDIR ? EISDIR : EEXIST) }
    return Int(status.st_size)
  }

  private func removeLeftovers() {
    var status = stat()
    if stat(journalPath, &status) == 0 {
      unlink(journalPath)
      unlink(partPath)
    }
  }

  /// Reads the journal, and keeps of the partial file what it vouches for.
  private func resume(expected: Digest?, isCancelled: () -> Bool) throws(TransferError) -> String? {
    let descriptor = state.withLock { $0.descriptor }
    guard let identity = identity(of: descriptor) else { throw .disk(path: name, errno: errno) }
    func afresh(_ why: String) throws(TransferError) -> String {
      try startAfresh()
      return "\(name): \(why); it is fetched afresh"
    }
    guard identity.size > 0 else {
      try startAfresh()
      return nil
    }
    if access(journalPath, R_OK) != 0, errno != ENOENT { throw .disk(path: name + ".part.journal", errno: errno) }
    guard let bytes = AtomicFile.read(journalPath, limit: Journal.mostBytes) else { return try afresh("the partial file has no journal to say what is good of it") }
    guard let journal = Journal(decoding: bytes) else { return try afresh("the partial file's journal was damaged") }
    guard journal.remote == remote else { return try afresh("the partial file's journal is another file's") }
    if let expected, let before = journal.expected, expected != before { return try afresh("the checklist has changed since the partial file was begun") }
    let isInDoubt = doubts(journal, identity)
    let kept = isInDoubt ? check(journal, descriptor, isCancelled: isCancelled) : (safe: journal.safe, hash: journal.hash)
    // Over bytes that were found to be the same it is the same.
    let sha256 = journal.sha256.position <= kept.safe.prefixEnd ? journal.sha256 : SHA256()
    // Cut short, it vouches for less than there is.
    if isInDoubt, isCancelled() { throw .interrupted }
    state.withLock { state in
      state.isKnown = true
      state.origin = .earlierRun
      state.length = journal.length
      state.validators = journal.validators
      state.written = kept.safe
      (state.md5.hash, state.sha256.hash, state.prefixAtStart) = (kept.hash, sha256, kept.safe.prefixEnd)
    }
    guard isInDoubt else { return nil }
    let lost = journal.safe.total - kept.safe.total
    return "\(name): the partial file was touched since drover wrote it, so it was read and compared: "
      + (lost == 0 ? "nothing is lost" : "\(lost) of \(journal.safe.total) bytes are in doubt and fetched again")
  }

  /// Seconds that a killed drover may have written on after its last journal: one is due every second, and takes time itself. Longer, on a disk
  /// that is slow to sync, costs no more than reading what is here.
  private static let mostBehind = 15

  /// Whether someone else may have written to the partial file since the journal was.
  private func doubts(_ journal: Journal, _ now: Journal.Identity) -> Bool {
    if now.inode != journal.identity.inode || now.size != journal.identity.size { return true }
    if journal.isClosed { return now.modified != journal.identity.modified }
    // A drover that was killed wrote on for a moment after its last journal.
    var status = stat()
    guard stat(journalPath, &status) == 0 else { return true }
    let latest = Journal.Identity.nanoseconds(status.st_mtim) &+ Self.mostBehind * 1_000_000_000
    return now.modified < journal.identity.modified || now.modified > latest
  }

  /// Reads a partial file that is in doubt, and keeps what agrees with the journal's marks.
  private func check(_ journal: Journal, _ descriptor: Int32, isCancelled: () -> Bool) -> (safe: RangeSet<Int>, hash: PrefixHash) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    defer { buffer.deallocate() }
    let interval = PrefixHash.markInterval
    let marks = journal.hash.marks
    var safe = RangeSet<Int>()
    var prefix: PrefixHash?
    for start in stride(from: 0, to: journal.hash.position, by: interval) {
      let end = min(start + interval, journal.hash.position)
      let count = start / interval * PrefixHash.markBytes
      guard var hash = PrefixHash(marks: marks[..<count]), !isCancelled() else { break }
      let before = hash
      while hash.position < end {
        let got = pread(descriptor, buffer.baseAddress, min(buffer.count, end - hash.position), off_t(hash.position))
        if got < 0, errno == EINTR { continue }
        guard got > 0 else { break }
        hash.take(UnsafeRawBufferPointer(rebasing: buffer[..<got]))
      }
      let isWholeBlock = end - start == interval
      let agrees = hash.position == end && (isWholeBlock ? hash.marks.elementsEqual(marks[..<(count + PrefixHash.markBytes)]) : hash.state == journal.hash.state)
      if agrees { safe.insert(contentsOf: start..<end) } else if prefix == nil { prefix = before }
    }
    return (safe, prefix ?? (safe.prefixEnd == journal.hash.position ? journal.hash : PrefixHash()))
  }

  private static func hash(_ path: String, name: String, isCancelled: () -> Bool) throws(TransferError) -> PrefixHash {
    let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .disk(path: name, errno: errno) }
    defer { close(descriptor) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    defer { buffer.deallocate() }
    var hash = PrefixHash()
    while true {
      if isCancelled() { throw .interrupted }
      let got = read(descriptor, buffer.baseAddress, min(buffer.count, hash.room))
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { throw .disk(path: name, errno: errno) }
      if got == 0 { return hash }
      hash.take(UnsafeRawBufferPointer(rebasing: buffer[..<got]))
    }
  }
}
