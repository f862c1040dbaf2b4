import CLinux
import Platform
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// The folder of an output while it is filled, in a work folder on the same disk. It appears in its place when it is complete and synced, or not at all.
///
/// Everything is done by way of folders that are open: whatever is renamed or put in the way meanwhile, nothing else is written to or removed.
final class OutputFolder: Sendable {
  private let place: OutputPlace
  private let work: WorkFolder
  private let isInMemory: Bool
  /// Whether what was written stays for another run where the folder can't get its name.
  private let keeps: Bool

  /// - Parameters:
  ///   - keeping: whether an earlier run has made something of it, or another may go on.
  ///   - replacing: whether a checkpoint under `destination` may be replaced. Anything that isn't one is never touched.
  ///   - source: files that must survive.
  ///   - note: told what a person should know.
  init(_ destination: FilePath, _ keeping: WorkFolder.Keeping = .none, replacing: Bool, source: [FilePath], bytes: Int, note: (String) -> Void) throws(CheckpointError) {
    keeps = keeping != .none
    (place, work) = try Self.begin(keeping, note) { () throws(CheckpointError) in try .found(at: destination, replacing: replacing, source: source) }
    var system = statfs()
    isInMemory = fstatfs(work.output.descriptor.rawValue, &system) == 0 && system.f_type == 0x0102_1994  // TMPFS_MAGIC (linux/magic.h)
    // Some file systems don't say how large they are: 0 blocks in all.
    var status = statvfs()
    if fstatvfs(work.output.descriptor.rawValue, &status) == 0, status.f_blocks > 0 {
      let free = Int(clamping: status.f_bavail).multipliedReportingOverflow(by: Int(clamping: status.f_frsize))
      let bytes = keeping == .resumed ? bytes - Self.allocated(in: work.output) : bytes
      if !free.overflow, free.partialValue < bytes { throw discard(because: place.refusal("needs \(bytes) bytes, and the disk has \(free.partialValue) left")) }
    }
  }

  /// Bytes that files in a folder have on the disk.
  private static func allocated(in folder: OpenFolder) -> Int {
    ((try? folder.names()) ?? []).reduce(0) { $0 + ((try? folder.status(of: $1)).map { Int($0.sizeAllocated) } ?? 0) }
  }

  /// Makes the work folder, and gives the new folder the owner and the group of the one that it will replace.
  private static func begin(_ keeping: WorkFolder.Keeping, _ note: (String) -> Void, find: () throws(CheckpointError) -> OutputPlace) throws(CheckpointError) -> (OutputPlace, WorkFolder) {
    var place = try find()
    let work = try WorkFolder(at: place, keeping, note: note)
    do throws(CheckpointError) {
      // Another run may have ended between the look and the lock.
      let now = try find()
      guard now.isFilled == place.isFilled else { throw place.refusal("changed while this run began; run the command again") }
      place = now
    } catch {
      if keeping != .resumed { _ = work.remove() }
      throw error
    }
    guard let model = place.model, !place.isFilled else { return (place, work) }
    do throws(Errno) {
      try work.output.setOwner(model)
      // A private folder is private from the start. Its owner can write to it until it is full.
      try work.output.setPermissions(model.permissions.union(.ownerReadWriteExecute))
    } catch {
      _ = work.remove()
      guard case .rename = place.way else {
        throw place.refusal("belongs to another user or group, which a new folder can't be given (\(error)); remove it yourself, or name another folder")
      }
      let filled = try place.filled()
      return (filled, try WorkFolder(at: filled, keeping, note: note))
    }
    return (place, work)
  }

  // MARK: Filling

  /// Creates a file of `bytes` bytes.
  /// - Returns: a descriptor, which the caller closes.
  func create(_ name: String, bytes: Int) throws(CheckpointError) -> FileDescriptor {
    guard let component = FilePath.Component(name) else { throw place.refusal("can't hold a file called \(name)") }
    let descriptor: FileDescriptor
    do { descriptor = try work.output.open(component, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o666) } catch { throw failure(name, error, bytes) }
    do throws(CheckpointError) { try takeRoom(descriptor, name, bytes) } catch {
      try? descriptor.close()
      throw error
    }
    return descriptor
  }

  /// Opens a file of `bytes` bytes that an earlier run has made, or makes it.
  /// - Returns: a descriptor, which the caller closes, and what the file was; nil for a new one.
  func reopen(_ name: String, bytes: Int) throws(CheckpointError) -> (FileDescriptor, FileStamp?) {
    guard let component = FilePath.Component(name), let status = try? work.output.status(of: component) else { return (try create(name, bytes: bytes), nil) }
    do throws(Errno) {
      // What has another name too is somebody's copy.
      guard status.type == .regular, status.linkCount == 1 else {
        try work.output.remove(component)
        throw .noSuchFileOrDirectory
      }
      let descriptor = try work.output.open(component, O_RDWR | O_NOFOLLOW)
      let found = FileStamp(of: descriptor)
      // Also where its length is that already, this would change its time.
      if Int(status.size) != bytes, ftruncate(descriptor.rawValue, off_t(bytes)) != 0 {
        let error = Errno(rawValue: errno)
        try? descriptor.close()
        throw error
      }
      return (descriptor, found)
    } catch {
      guard error == .noSuchFileOrDirectory else { throw failure(name, error, bytes) }
      return (try create(name, bytes: bytes), nil)
    }
  }

  /// Removes what an earlier run has left besides.
  func remove(allBut names: Set<String>) {
    for name in (try? work.output.names()) ?? [] where !names.contains(name.string) { try? work.output.remove(name) }
  }

  private func takeRoom(_ descriptor: FileDescriptor, _ name: String, _ bytes: Int) throws(CheckpointError) {
    // Room is taken now, so that a full disk shows before the work; where the file system can't, writes will tell. In memory that would be most of the
    // work of writing, done by one thread while the others wait.
    if bytes > 0, !isInMemory, fallocate(descriptor.rawValue, 0, 0, off_t(bytes)) != 0 {
      let error = Errno(rawValue: errno)
      if ![.notSupported, .noFunction, .invalidArgument].contains(error) { throw failure(name, error, bytes) }
    }
  }

  /// Writes a small file whole.
  func add(_ name: String, _ bytes: [UInt8]) throws(CheckpointError) {
    let descriptor = try create(name, bytes: bytes.count)
    defer { try? descriptor.close() }
    do throws(Errno) {
      try descriptor.write(all: bytes, at: 0)
      try descriptor.sync()
    } catch { throw failure(name, error, bytes.count) }
  }

  /// What a failed write to the file `name` of `bytes` bytes means.
  func failure(_ name: String, _ error: Errno, _ bytes: Int) -> CheckpointError {
    let limit = error == .fileTooLarge ? ": it has \(bytes) bytes, more than the file system or this process (`ulimit -f`) may write" : ""
    return CheckpointError(.output, in: place.destination.appending(name), "can't be written: \(error)\(limit)")
  }

  /// Makes the names of its files survive a loss of power.
  func syncNames() throws(CheckpointError) {
    do throws(Errno) { for folder in [work.output, work.folder, place.workplace] { try folder.sync() } } catch { throw place.failure(error) }
  }

  // MARK: The end

  /// Removes all that was written.
  /// - Returns: `error`, which then says what is left.
  func discard(because error: CheckpointError) -> CheckpointError {
    let place = work.folder.path
    var message = error.message
    if !work.remove() {
      message += "; what was written is left in \(place.map(\.description) ?? "the work folder")"
    } else if error.reason == .output {
      message += "; nothing was left behind"
    }
    return CheckpointError(error.reason, in: error.file, byte: error.byte, message, cause: error.cause)
  }

  /// Gives the folder its name.
  /// - Parameter note: told what is kept of what lay there, and where the folder is if not at the destination.
  func publish(note: (String) -> Void) throws(CheckpointError) {
    do throws(Errno) {
      try work.output.sync()
      switch place.way {
      case .rename: try takeName()
      case .exchange(let replaced): try takePlace(of: replaced, note)
      case .fill(let folder): try fill(folder)
      }
    } catch {
      let isTaken = [.directoryNotEmpty, .fileExists, .notDirectory].contains(error)
      let refusal = isTaken ? place.refusal("holds something that wasn't there when this run began, so it isn't touched") : place.failure(error)
      throw keeps ? refusal : discard(because: refusal)
    }
    // The output is in its place: from here on nothing is taken back.
    if let model = place.model, !place.isFilled { try? work.output.setPermissions(model.permissions) }
    _ = work.close()
    do { try place.workplace.sync() } catch { throw place.refusal("is complete, but the disk doesn't confirm its name: \(error)") }
    let published = if case .fill(let folder) = place.way { folder } else { work.output }
    if let found = try? place.destination.stat(), let own = try? published.status(), FileIdentity(found) == FileIdentity(own) { return }
    note("\(place.destination) leads elsewhere now, since a folder was renamed meanwhile; the checkpoint is in \(published.path?.description ?? "the folder where it was begun")")
  }

  private func takeName() throws(Errno) { try work.folder.rename(WorkFolder.new, to: place.name, in: place.parent) }

  private func takePlace(of replaced: ReplacedFolder, _ note: (String) -> Void) throws(Errno) {
    switch try replaced.lies(at: place.name, in: place.parent) {
    case nil: return try takeName()
    case false?: throw .fileExists
    case true?: break
    }
    func tell(_ kept: FilePath) {
      let foreign = ((try? replaced.foreign) ?? []).map(\.string).joined(separator: ", ")
      note(
        foreign.isEmpty
          ? "what lay in \(place.destination) before couldn't be removed; what is left of it is in \(kept)"
          : "\(foreign) came into \(place.destination) while it was replaced; all that lay there is kept in \(kept)")
    }
    if try work.folder.exchange(WorkFolder.new, with: place.name, in: place.parent) {
      try? place.parent.sync()
      if replaced.remove(at: WorkFolder.new, in: work.folder) { return }
      // Where that can't be done it stays in the work folder, which nobody sweeps then.
      do { tell(try place.keep(WorkFolder.new, in: work.folder)) } catch { tell(work.folder.path?.appending(WorkFolder.new) ?? place.destination) }
    } else {
      // Two steps, between which nothing has the name; but at no time is either of the two folders gone.
      let kept = try place.keep(place.name, in: place.parent)
      do { try takeName() } catch {
        if let name = kept.lastComponent { try? place.parent.renameNew(name, to: place.name, in: place.parent) }
        throw error
      }
      try? place.parent.sync()
      if let name = kept.lastComponent, !replaced.remove(at: name, in: place.parent) { tell(kept) }
    }
  }

  /// Moves the files into the folder that is there: weights first, and what makes a folder a checkpoint for its readers last.
  private func fill(_ folder: OpenFolder) throws(Errno) {
    func rank(_ name: FilePath.Component) -> (Int, String) { (["params.json", "config.json"].contains(name.string) ? 1 : 0, name.string) }
    let names = try work.output.names().sorted { rank($0) < rank($1) }
    try work.record(moving: names)
    var moved: [FilePath.Component] = []
    do throws(Errno) {
      for name in names {
        try work.output.renameNew(name, to: name, in: folder)
        moved.append(name)
      }
      try folder.sync()
    } catch {
      for name in moved.reversed() { try? folder.renameNew(name, to: name, in: work.output) }
      throw error
    }
    try? work.folder.removeFolder(WorkFolder.new)
  }
}
