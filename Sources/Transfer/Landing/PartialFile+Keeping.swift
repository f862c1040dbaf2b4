import CLinux
import Glibc
import Integrity
import Platform
import SystemPackage

/// What the keeper's thread does with a partial file.
extension PartialFile {
  /// Syncs what was written so far and then says so in the journal.
  func keep(_ snapshot: Landing.Snapshot, isClosed: Bool) -> Bool {
    let state = state.peek { $0 }
    guard let descriptor, state.isKnown, state.failure == nil, let length = state.length, !state.written.isEmpty else { return true }
    guard fdatasync(descriptor.rawValue) == 0 else {
      noteFailure(Errno(rawValue: errno))
      return true
    }
    guard let identity = Journal.Identity(of: descriptor) else { return false }
    let journal = Journal(
      remote: remote, length: length, validators: state.validators, expected: state.expected, safe: state.written, hash: snapshot.hash,
      followerState: snapshot.followerState, identity: identity, isClosed: isClosed)
    guard let bytes = try? journal.encoded() else { return false }
    do throws(Errno) {
      // The journal of before, should it come back after a power failure, is true too.
      try SmallFile.write(bytes, to: journalPath, syncsFolder: false)
      return true
    } catch { return false }
  }

  private func noteFailure(_ error: Errno) { state.update { $0.failure = $0.failure ?? error } }

  func startAfresh() throws(TransferError) {
    removeJournal()
    state.update { state in
      state.generation += 1
      state.written = RangeSet()
      state.length = nil
      state.validators = Validators()
      state.origin = .thisRun
      state.isKnown = false
    }
    guard ftruncate(try opened().rawValue, 0) == 0 else { throw self.failure(Errno(rawValue: errno)) }
    state.update { $0.isKnown = true }
  }

  /// Gives the whole, verified file its final name, after a sync. What had that name and isn't this file is kept under another one.
  ///
  /// The journal of a large file stays, so that a later run for the files that are missing reads none of this one: `FinishedFile` removes it.
  /// - Parameter snapshot: of the whole file's chain.
  /// - Returns: what the other file is called now.
  func commit(_ snapshot: Landing.Snapshot) throws(TransferError) -> String? {
    let (length, failure) = state.peek { ($0.length ?? 0, $0.failure) }
    if let failure { throw self.failure(failure) }
    let descriptor = try opened()
    var status = stat()
    guard fstat(descriptor.rawValue, &status) == 0, Int(status.st_size) == length || ftruncate(descriptor.rawValue, off_t(length)) == 0,
      fsync(descriptor.rawValue) == 0
    else { throw self.failure(Errno(rawValue: errno)) }
    // It is true before the file has its name and after, whenever drover may be killed.
    let isJournaled = length > FinishedFile.leastBytes && keep(snapshot, isClosed: true)
    var kept: String?
    do throws(Errno) {
      kept = try takeName(snapshot.hash, isJournaled: isJournaled)
      try SmallFile.syncFolder(of: path)
    } catch { throw self.failure(error) }
    closeDescriptor()
    return kept
  }

  /// Gives the file, which is whole and synced, its final name. That name isn't synced yet.
  /// - Parameters:
  ///   - hash: of all of it.
  ///   - isJournaled: whether its journal stays.
  /// - Returns: what the other file is called now.
  func takeName(_ hash: FileHash, isJournaled: Bool) throws(Errno) -> String? {
    var kept: String?
    if !isRepaired, !isOtherReplaceable, !isOtherABeginning(of: hash) { kept = try SetAside.move(path, ending: ".orig")?.string }
    try partPath.rename(to: path)
    if !isJournaled { removeJournal() }
    return kept
  }

  /// Whether what has the final name is what an earlier download put there, to the byte.
  private var isOtherReplaceable: Bool {
    guard let replaceable, let other = state.peek({ $0.other }), Journal.Identity(ofNamed: path) == other.identity else { return false }
    return other.hash.digest.digest == replaceable
  }

  /// Whether what has the final name is the beginning of this file, byte for byte, so that nothing is lost with it.
  /// - Parameter whole: the hash of all of this file.
  private func isOtherABeginning(of whole: FileHash) -> Bool {
    guard let other = state.peek({ $0.other }), let now = Journal.Identity(ofNamed: path), now == other.identity, other.hash.algorithm == whole.algorithm else { return false }
    let passed = other.hash.passed
    guard passed.count <= whole.passed.count, (0..<passed.count).allSatisfy({ whole.passed[$0] == passed[$0] }), var hash = FileHash(whole.passed, pieces: passed.count) else {
      return false
    }
    // The rest is less than a piece.
    let rest = hash.position..<other.hash.position
    guard rest.count <= ChainStates.interval, let bytes = PartlyHere(self).bytes(in: rest) else { return false }
    bytes.withUnsafeBytes { hash.take($0) }
    return hash == other.hash
  }

  func discard(keeping: Bool) -> String? {
    removeJournal()
    defer { closeDescriptor() }
    if keeping, let aside = try? SetAside.move(partPath, as: path, ending: ".corrupt") { return aside.string }
    partPath.remove()
    return nil
  }

  var bytesOnDisk: Int {
    var status = stat()
    guard let descriptor, fstat(descriptor.rawValue, &status) == 0 else { return 0 }
    return Int(status.st_blocks) * 512
  }

  /// Whether what arrived is what is there already under the final name.
  var isSameAsFinished: Bool {
    guard let new = try? SmallFile.read(partPath, atMost: Self.mostChecklistBytes), let old = try? SmallFile.read(path, atMost: Self.mostChecklistBytes) else { return false }
    return new == old
  }

  /// Larger lists than this are not lists.
  static let mostChecklistBytes = 16 << 20

  /// And the one that a killed drover was about to put in its place.
  func removeJournal() {
    journalPath.remove()
    SmallFile.temporary(for: journalPath).remove()
  }
}
