import Glibc
import Integrity
import Platform
import SystemPackage

/// What is there already of a file before anything is fetched.
enum Preparation: Sendable {
  /// The finished file, with the digest that it should have, or without one to compare.
  case present(FileChain)
  /// A partial file, perhaps empty, what goes on through it, and what a person should know about it.
  case partial(FileChain, note: String?)
  /// A file under the final name that isn't the finished one, and may be its beginning: another program's download.
  case beginning(FileChain, note: String?)
  /// A store on this machine had it, and all of it is in the partial file now.
  case copied(FileChain)
  /// The same of a small file, whose bytes are in memory and haven't gone through the chain.
  case content([UInt8], FileChain)
  case failed(TransferError)
}

/// Finds out what can be kept of a file from earlier runs. Nothing that drover didn't write is changed by that.
struct Resumption {
  let part: PartialFile
  /// What the checklist says.
  let expected: Digest?
  /// git's name for it, where that is what its publisher says.
  let blob: GitBlobID?
  /// What is right of a damaged file under the final name; nil where that isn't known to be one.
  let repair: FileRepair?
  /// Where else on this machine it may be; nil where nobody knows of a place.
  let stored: StoredCopy?
  let follower: (any ContentFollower)?
  /// Whether a finished file without a digest to compare is taken as it is.
  let isTrusting: Bool
  /// Asked from time to time.
  let isCancelled: @Sendable () -> Bool

  private var name: String { part.name }
  var newChain: FileChain { FileChain(expected?.algorithm ?? .sha256, follower: follower, of: PartlyHere(part)) }

  func prepare() -> Preparation {
    part.state.update { $0.expected = expected }
    do throws(TransferError) {
      if let repair { return try prepare(repair) }
      var beginning: FileChain?
      if let size = try sizeOfFinishedFile() {
        let known = journaledFinishedFile()
        let chain: FileChain
        if let known { chain = known } else { chain = try hashFinishedFile() }
        if chain.position == size, isRight(chain) {
          if known == nil { removeLeftovers() }
          return .present(chain)
        }
        // A link is somebody's own arrangement.
        if !isLink { beginning = chain }
      }
      var note: String?
      if beginning == nil, try isNothingHere() {
        if let copied = try copied(&note) { return copied }
        part.state.update { ($0.isKnown, $0.origin) = (true, .thisRun) }
        return .partial(newChain, note: note)
      }
      let wasShared = try part.open()
      var (chain, why) = wasShared ? (nil, try startAfresh("the partial file had another name too, which keeps what was here")) : try resume()
      let isEmpty = part.state.peek { $0.written.isEmpty }
      if isEmpty || stored?.isOnly ?? false {
        if let copied = try copied(&note) { return copied }
        if note != nil { (chain, why) = (nil, note) }
      }
      if isEmpty, let beginning { return .beginning(beginning, note: why) }
      return .partial(chain ?? newChain, note: why)
    } catch {
      return .failed(error)
    }
  }

  /// Whether no earlier run has left anything: then nothing is made before the first bytes are here. What a run that was killed has left of a small file is
  /// removed: it had no journal yet, and comes again in a moment.
  private func isNothingHere() throws(TransferError) -> Bool {
    var status = stat()
    guard part.journalPath.withPlatformString({ lstat($0, &status) }) != 0, errno == ENOENT else { return false }
    guard part.partPath.withPlatformString({ lstat($0, &status) }) == 0 else { return errno == ENOENT }
    guard status.st_mode & S_IFMT == S_IFREG, Int(status.st_size) <= WholeFile.mostBytes, expected != nil || blob != nil else { return false }
    // Not one that somebody is at work on.
    try part.open()
    part.closeDescriptor()
    part.partPath.remove()
    return true
  }

  /// Whether the finished file is the one that is wanted.
  private func isRight(_ chain: FileChain) -> Bool {
    if let expected { return expected == chain.hash.digest.digest }
    if let blob { return (try? GitBlobID(ofFileAt: part.path)) == blob }
    return isTrusting
  }

  private var isLink: Bool {
    var status = stat()
    return part.path.withPlatformString({ lstat($0, &status) }) == 0 && status.st_mode & S_IFMT == S_IFLNK
  }

  private func sizeOfFinishedFile() throws(TransferError) -> Int? {
    var status = stat()
    guard part.path.withPlatformString({ stat($0, &status) }) == 0 else {
      if errno == ENOENT { return nil }
      throw .disk(path: name, errno: errno)
    }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .disk(path: name, errno: status.st_mode & S_IFMT == S_IFDIR ? EISDIR : EEXIST) }
    return Int(status.st_size)
  }

  /// What an earlier run knew of the finished file, if nobody has touched it since.
  private func journaledFinishedFile() -> FileChain? {
    guard let bytes = try? SmallFile.read(part.journalPath, atMost: Journal.mostBytes), let journal = Journal(decoding: bytes), journal.isClosed,
      journal.remote == part.remote, journal.hash.position == journal.length, let file = try? OpenFile(part.path),
      Journal.Identity(of: file.descriptor) == journal.identity, journal.hash.algorithm == expected?.algorithm ?? .sha256
    else { return nil }
    return FileChain(resuming: journal.hash, follower: follower, followerState: journal.followerState, of: PartlyHere(part, finished: file))
  }

  private func removeLeftovers() {
    guard part.journalPath.allows(F_OK) else { return }
    part.removeJournal()
    part.partPath.remove()
  }

  /// Reads the journal, and keeps of the partial file what it vouches for.
  /// - Returns: nil for the chain when there is nothing to go on from.
  func resume() throws(TransferError) -> (FileChain?, note: String?) {
    guard let descriptor = part.descriptor, let identity = Journal.Identity(of: descriptor) else { throw .disk(path: name, errno: errno) }
    func afresh(_ why: String) throws(TransferError) -> (FileChain?, String?) { (nil, try startAfresh(why)) }
    guard identity.size > 0 else {
      try part.startAfresh()
      return (nil, nil)
    }
    let bytes: [UInt8]
    do throws(Errno) { bytes = try SmallFile.read(part.journalPath, atMost: Journal.mostBytes) } catch {
      if error == .permissionDenied { throw .disk(path: name + ".part.journal", errno: error.rawValue) }
      return try afresh("the partial file has no journal to say what is good of it")
    }
    guard let journal = Journal(decoding: bytes) else { return try afresh("the partial file's journal was damaged") }
    guard journal.remote == part.remote else { return try afresh("the partial file's journal is another file's") }
    if let expected, let before = journal.expected, expected != before { return try afresh("the checklist has changed since the partial file was begun") }
    if expected == nil, !journal.validators.isStrong {
      return try afresh("no checklist vouches for it, and the server gave no strong ETag that would tell whether the rest still belongs to what is here")
    }
    let isInDoubt = doubts(journal, identity)
    func goOn(_ safe: RangeSet<Int>) {
      part.state.update { state in
        (state.isKnown, state.origin) = (true, .earlierRun)
        (state.length, state.validators, state.written) = (journal.length, journal.validators, safe)
      }
    }
    guard isInDoubt else {
      // The follower may have to read some of what is here.
      goOn(journal.safe)
      return (chain(of: journal), nil)
    }
    let (chain, safe) = check(journal, descriptor)
    // Cut short, it vouches for less than there is.
    if isCancelled() { throw .interrupted }
    goOn(safe)
    let lost = journal.safe.total - safe.total
    return (
      chain,
      "\(name): the partial file was touched since drover wrote it, so it was read and compared: "
        + (lost == 0 ? "nothing is lost" : "\(lost) of \(journal.safe.total) bytes are in doubt and fetched again")
    )
  }

  private func startAfresh(_ why: String) throws(TransferError) -> String {
    try part.startAfresh()
    return "\(name): \(why); it is fetched afresh"
  }

  /// The chain as the journal has it, unless the file's digest is of another kind now: then what is here is read for it.
  private func chain(of journal: Journal) -> FileChain {
    guard journal.hash.algorithm == expected?.algorithm ?? .sha256 else { return newChain }
    return FileChain(resuming: journal.hash, follower: follower, followerState: journal.followerState, of: PartlyHere(part))
  }

  /// Whether someone else may have written to the partial file since the journal was.
  private func doubts(_ journal: Journal, _ now: Journal.Identity) -> Bool {
    guard let own = FileStamp(ofNamed: part.journalPath) else { return true }
    return now.isInDoubt(since: journal.identity, isClosed: journal.isClosed, length: journal.length, journal: own)
  }

  /// Reads what the journal's hash has seen of a partial file that is in doubt, and keeps the pieces that end in the values that it passed.
  private func check(_ journal: Journal, _ descriptor: FileDescriptor) -> (FileChain, safe: RangeSet<Int>) {
    let states = journal.hash.passed
    let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: ChainStates.interval, alignment: 4096)
    defer { piece.deallocate() }
    var safe = RangeSet<Int>()
    // The bytes that are right up to the first that aren't go to the follower too.
    let chain = FileChain(journal.hash.algorithm, follower: follower, of: PartlyHere(part))
    for index in 0...states.count {
      let range = index * ChainStates.interval..<min((index + 1) * ChainStates.interval, journal.hash.position)
      guard !range.isEmpty, !isCancelled(), var hash = FileHash(states, pieces: index) else { break }
      let bytes = UnsafeMutableRawBufferPointer(rebasing: piece[..<range.count])
      guard (try? descriptor.readAll(into: bytes, at: range.lowerBound)) != nil else { continue }
      hash.take(UnsafeRawBufferPointer(bytes))
      guard index < states.count ? hash.passed[index] == states[index] : hash == journal.hash else { continue }
      safe.insert(contentsOf: range)
      if chain.position == range.lowerBound { chain.take(UnsafeRawBufferPointer(bytes)) }
    }
    return (chain.hash.algorithm == expected?.algorithm ?? .sha256 ? chain : newChain, safe)
  }

  /// Reads the file under its final name.
  private func hashFinishedFile() throws(TransferError) -> FileChain {
    do {
      let file = try OpenFile(part.path)
      let chain = FileChain(expected?.algorithm ?? .sha256, follower: follower, of: PartlyHere(part, finished: file))
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: BlockPool.blockBytes, alignment: 4096)
      defer { buffer.deallocate() }
      while true {
        if isCancelled() { throw TransferError.interrupted }
        let count = try file.read(into: buffer, at: chain.position)
        if count == 0 {
          part.state.update { state in state.other = Journal.Identity(of: file.descriptor).map { .init(identity: $0, hash: chain.hash) } }
          return chain
        }
        chain.take(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      }
    } catch let error as TransferError { throw error } catch { throw part.failure(error) }
  }
}

extension PartialFile {
  /// Copies another program's beginning of the file into the partial file. The original stays as it is until the new file is whole.
  /// - Parameter count: its bytes.
  func copyBeginning(_ count: Int, isCancelled: () -> Bool) throws(TransferError) {
    guard let descriptor else { throw failure(Errno.badFileDescriptor) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: BlockPool.blockBytes, alignment: 4096)
    defer { buffer.deallocate() }
    do throws(Errno) {
      let source = try OpenFile(path)
      for offset in stride(from: 0, to: count, by: buffer.count) {
        if isCancelled() { throw .canceled }
        let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(buffer.count, count - offset)])
        try source.descriptor.readAll(into: piece, at: offset)
        try descriptor.write(all: UnsafeRawBufferPointer(piece), at: offset)
      }
    } catch { throw error == .canceled ? .interrupted : failure(error) }
    state.update { state in
      state.written = RangeSet(0..<count)
      (state.isKnown, state.origin) = (true, .earlierRun)
    }
  }
}
