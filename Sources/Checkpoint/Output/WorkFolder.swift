import Platform
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// The hidden folder that a run works in until its output is whole, on the disk that the output goes to:
///
///     .NAME.partial-drover/
///         lock    locked as long as the run is alive; has its `WorkRecord`
///         new/    is being filled
///         pull    there where another run may go on with `new`, of which a journal knows what is right of it
///
/// A destination has only one: so two runs to one place meet at its lock before they work, and the next run finds what a killed one left.
final class WorkFolder: Sendable {
  static let new: FilePath.Component = "new"
  private static let lockName: FilePath.Component = "lock"
  private static let mark: FilePath.Component = "pull"

  /// What it is called for an output that is called `name`.
  static func name(for name: FilePath.Component) -> FilePath.Component { name.adding(before: ".", ".partial-drover") }

  let folder: OpenFolder
  /// `new`.
  let output: OpenFolder
  private let parent: OpenFolder
  private let name: FilePath.Component
  private let lock: FileDescriptor

  /// What becomes of `new` when the run ends before its time.
  enum Keeping {
    /// It is removed.
    case none
    /// It stays, for a run that goes on.
    case anew
    /// This run goes on with one that stayed.
    case resumed
  }

  /// Makes it, and removes what a killed run left of it, but for what it goes on with.
  /// - Parameter note: told where something is that a killed run had replaced and not yet removed.
  /// - Throws: `.output` where another run works on the same destination, or what is there is no leftover.
  init(at place: OutputPlace, _ keeping: Keeping = .none, note: (String) -> Void) throws(CheckpointError) {
    parent = place.workplace
    name = Self.name(for: place.name)
    (folder, lock) = try Self.take(name, at: place, keeping)
    do throws(CheckpointError) {
      if keeping == .resumed, let kept = Self.kept(folder, lock, place) {
        output = kept
        return
      }
      let leftover: Leftover
      do throws(Errno) {
        leftover = try Self.sweep(folder, lock, place, keeping)
      } catch { throw place.failure(error) }
      switch leftover {
      case .none: break
      case .unknown(let other):
        throw place.refusal(
          "can't be written: \(folder.path ?? "its work folder") holds \(other), which no killed reshard leaves; look at it and remove it yourself, or name another folder")
      case .pulled:
        throw place.refusal(
          "can't be written: \(folder.path ?? "its work folder") holds what an interrupted `drover pull` has made so far; run that pull again, throw it away with its --discard, or name another folder")
      case .replaced(let kept): note("a run that was killed had just replaced what lay in \(place.destination); that is kept in \(kept)")
      }
      do throws(Errno) {
        if keeping != .none {
          let mark = try folder.open(Self.mark, O_WRONLY | O_CREAT | O_NOFOLLOW, mode: 0o666)
          try? mark.close()
        }
        try folder.makeFolder(Self.new)
        output = try OpenFolder(Self.new, in: folder)
        try WorkRecord(output: try output.status()).write(to: lock)
      } catch { throw place.failure(error) }
    } catch {
      try? lock.close()
      throw error
    }
  }

  deinit { try? lock.close() }

  /// Removes it with all that was written, and lets other runs have the place.
  /// - Returns: whether nothing is left.
  func remove() -> Bool {
    do throws(Errno) {
      for name in try output.names() { try output.remove(name) }
      try folder.removeFolder(Self.new)
    } catch { if error != .noSuchFileOrDirectory { return false } }
    return close()
  }

  /// Notes down that the files of `new` are about to take their names in the destination: whoever comes after a kill knows them by that.
  func record(moving names: [FilePath.Component]) throws(Errno) {
    var record = WorkRecord(output: try output.status())
    for name in names { record.moving.append(WorkRecord.File(name, try output.status(of: name))) }
    try record.write(to: lock)
  }

  /// Removes it when `new` has gone to its place.
  func close() -> Bool {
    do throws(Errno) {
      try? folder.remove(Self.mark)
      try folder.remove(Self.lockName)
      try parent.removeFolder(name)
    } catch {
      // Where another run has just made a lock of its own, the folder is that run's.
      return error == .directoryNotEmpty || error == .noSuchFileOrDirectory
    }
    return true
  }

  // MARK: The lock

  private enum Attempt {
    case taken(OpenFolder, FileDescriptor)
    case inUse
    /// It was there, and the file system has no locks: nobody knows whether the run that made it is alive.
    case unknown
    /// Somebody removed it between two calls.
    case gone
  }

  private static func take(_ name: FilePath.Component, at place: OutputPlace, _ keeping: Keeping) throws(CheckpointError) -> (OpenFolder, FileDescriptor) {
    while true {
      let attempt: Attempt
      do throws(Errno) { attempt = try self.attempt(name, in: place.workplace, keeping) } catch { throw place.failure(error) }
      switch attempt {
      case .taken(let folder, let lock): return (folder, lock)
      case .inUse: throw place.refusal("is being written by another drover now; wait for that one, or name another folder")
      case .unknown:
        throw place.refusal(
          "can't be written: \((place.workplace.path ?? "").appending(name)) is there already, and this file system has no locks to tell whether another drover works in it; if none does, remove it")
      case .gone: continue
      }
    }
  }

  private static func attempt(_ name: FilePath.Component, in parent: OpenFolder, _ keeping: Keeping) throws(Errno) -> Attempt {
    // Of several runs only one makes it.
    var isOurs = true
    do { try parent.makeFolder(name) } catch {
      guard error == .fileExists else { throw error }
      isOurs = false
    }
    var descriptor: FileDescriptor?
    do throws(Errno) {
      let folder = try OpenFolder(name, in: parent)
      let lock = try folder.open(lockName, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o666)
      descriptor = lock
      let isLocked = try self.isLocked(lock)
      // Who goes on with what is there must do without, where a file system has no locks.
      if isLocked == false || isLocked == nil && !isOurs && keeping != .resumed {
        try? lock.close()
        return isLocked == nil ? .unknown : .inUse
      }
      // Whoever had the lock before may have removed it, and the folder: then another run has, or will have, a lock of its own.
      if try folder.status(of: lockName).inode == lock.stat().inode, try parent.status(of: name).inode == folder.status().inode { return .taken(folder, lock) }
      try? lock.close()
      return .gone
    } catch {
      try? descriptor?.close()
      if error == .noSuchFileOrDirectory { return .gone }
      throw error
    }
  }

  /// - Returns: nil where the file system has no locks.
  private static func isLocked(_ lock: FileDescriptor) throws(Errno) -> Bool? {
    if flock(lock.rawValue, LOCK_EX | LOCK_NB) == 0 { return true }
    switch Errno(rawValue: errno) {
    case .wouldBlock: return false
    case .noLocks, .notSupported, .noFunction, .invalidArgument: return nil
    case let error: throw error
    }
  }

  // MARK: Leftovers

  private enum Leftover {
    case none
    /// Something that a killed run of reshard doesn't leave.
    case unknown(FilePath.Component)
    /// What a pull goes on with.
    case pulled
    /// What the run had replaced: it was killed when its own folder had taken the place. It is kept, and lies here.
    case replaced(FilePath)
  }

  /// Removes what a killed run of reshard leaves, which is a folder of files, and nothing else: whoever keeps a journal can go on.
  private static func sweep(_ folder: OpenFolder, _ lock: FileDescriptor, _ place: OutputPlace, _ keeping: Keeping) throws(Errno) -> Leftover {
    let isPulled = try folder.names().contains(mark)
    // When its output has its name, nothing is left to go on with.
    if isPulled, keeping == .none, (try? folder.status(of: new)) != nil { return .pulled }
    let record = WorkRecord(in: lock)
    // First what has its name already: as long as `new` holds something, the rest is known for a leftover.
    if case .fill(let destination) = place.way, let record, isUnfinished(folder) { for name in record.moved(in: destination) { try destination.remove(name) } }
    if isPulled { try folder.remove(mark) }
    let names = try folder.names().filter { $0 != lockName }
    if let other = names.first(where: { $0 != new }) { return .unknown(other) }
    guard !names.isEmpty else { return .none }
    let left = try OpenFolder(new, in: folder)
    if let record, try left.status().inode.rawValue == record.output {
      let files = try left.names()
      for name in files { if try left.status(of: name).type != .regular || name.string.contains("journal") { return .unknown(name) } }
      for name in files { try left.remove(name) }
    }
    do { try folder.removeFolder(new) } catch {
      guard error == .directoryNotEmpty else { throw error }
      return .replaced(try place.keep(new, in: folder))
    }
    return .none
  }

  /// What a pull has made so far; files that had just got their names in a folder that is filled are taken back.
  /// - Returns: nil where this isn't what it has left.
  private static func kept(_ folder: OpenFolder, _ lock: FileDescriptor, _ place: OutputPlace) -> OpenFolder? {
    guard (try? folder.status(of: mark)) != nil, let record = WorkRecord(in: lock), let left = try? OpenFolder(new, in: folder), let status = try? left.status(),
      status.inode.rawValue == record.output
    else { return nil }
    if case .fill(let destination) = place.way {
      for name in record.moved(in: destination) { try? destination.renameNew(name, to: name, in: left) }
    }
    return left
  }

  /// Whether `new` is an output that has no name yet, and not what one has replaced.
  static func holdsOutput(at place: OutputPlace) -> Bool {
    guard let folder = try? OpenFolder(name(for: place.name), in: place.workplace), let status = try? folder.status(of: new) else { return false }
    guard let lock = try? folder.open(lockName, O_RDONLY | O_NOFOLLOW) else { return true }
    defer { try? lock.close() }
    return WorkRecord(in: lock).map { $0.output == status.inode.rawValue } ?? true
  }

  /// Whether files are left in `new`. When all of them have their names in the destination, the output is whole, and no leftover.
  private static func isUnfinished(_ folder: OpenFolder) -> Bool { !((try? OpenFolder(new, in: folder).names())?.isEmpty ?? true) }

  /// What a killed run had moved into `destination` when it was killed: some files of an output, and not all.
  /// - Parameter name: of its work folder, in the destination.
  static func leftovers(in destination: OpenFolder, of name: FilePath.Component) -> [FilePath.Component] {
    guard let folder = try? OpenFolder(name, in: destination), isUnfinished(folder), let lock = try? folder.open(lockName, O_RDONLY | O_NOFOLLOW) else { return [] }
    defer { try? lock.close() }
    return WorkRecord(in: lock)?.moved(in: destination) ?? []
  }
}
