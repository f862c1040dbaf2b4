import Checkpoint
import Glibc
import Platform
import SystemPackage
import Transfer

/// The hidden folder beside an output in which a pull keeps what it needs to go on when it was interrupted, until the output is there:
///
///     .NAME.drover-pull/
///         lock      locked as long as the pull is alive
///         options   what was asked for
///         journal   what is done: see `PullJournal`
///         source/   the files beside the weights, where a download would put them
///
/// The output itself grows in a work folder (`KeptOutput`). Nothing sweeps either of the two; the same command goes on with them, and `discard` removes them.
public final class PullFolder: Sendable {
  let path: FilePath
  private let lock: FileDescriptor

  private let destination: FilePath

  /// Where files land.
  var source: FilePath { path.appending("source") }
  var journalPath: FilePath { path.appending(Self.journalName) }
  private var optionsPath: FilePath { path.appending("options") }

  /// - Throws: `TransferError.busyFolder` where another pull to the same place is alive; `.disk` where it can't be made.
  public init(for destination: FilePath) throws(TransferError) {
    let path = Self.path(for: destination)
    (self.path, self.destination) = (path, destination)
    do throws(Errno) {
      if path.withPlatformString({ mkdir($0, 0o777) }) != 0, errno != EEXIST { throw Errno(rawValue: errno) }
      lock = try Self.open(path.appending("lock"))
    } catch { throw .disk(path: path.string, errno: error.rawValue) }
    // File systems without locks must do without.
    if flock(lock.rawValue, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK { throw .busyFolder(destination.string) }
  }

  private static func path(for destination: FilePath) -> FilePath {
    var parent = destination.lexicallyNormalized().removingLastComponent()
    if destination.lastComponent?.kind != .regular { parent = destination.appending("..") }
    return parent.appending(".\(Directory.name(of: destination)).drover-pull")
  }

  private static func open(_ path: FilePath) throws(Errno) -> FileDescriptor {
    do { return try FileDescriptor.open(path, .readWrite, options: [.create, .closeOnExec, .noFollow], permissions: [.ownerReadWrite, .groupReadWrite, .otherReadWrite]) } catch {
      throw error as? Errno ?? .ioError
    }
  }

  deinit { try? lock.close() }

  // MARK: What an earlier run has left

  private static let title = "drover pull's options 1"
  private static let journalName = "journal"

  /// Whether there is something to go on with.
  var isKept: Bool { Directory.exists(journalPath) }

  /// The journal, and what its file is; nil where there is none that could be read.
  var journal: (PullJournal, FileStamp)? {
    guard let bytes = try? SmallFile.read(journalPath, atMost: PullJournal.mostBytes), let journal = PullJournal(decoding: bytes),
      let stamp = FileStamp(ofNamed: journalPath)
    else { return nil }
    return (journal, stamp)
  }

  /// Sees to it that nothing goes on with what was begun with other options.
  /// - Parameter options: by the names that a person knows.
  /// - Throws: `ArrivalError.otherPull`.
  public func check(_ options: [String: String]) throws(ArrivalError) {
    guard isKept, let bytes = try? SmallFile.read(optionsPath, atMost: 1 << 20),
      let begun = SealedDocument.decoded(bytes, as: [String: String].self, title: Self.title), begun != options
    else { return }
    let name = Set(begun.keys).union(options.keys).sorted().first { begun[$0] != options[$0] } ?? ""
    throw .otherPull(destination, option: name, begun: begun[name], now: options[name])
  }

  /// Notes down what is asked for.
  func write(_ options: [String: String]) throws(TransferError) {
    do throws(Errno) {
      guard let bytes = try? SealedDocument.encoded(options, title: Self.title) else { throw .invalidArgument }
      try SmallFile.write(bytes, to: optionsPath)
    } catch { throw .disk(path: optionsPath.string, errno: error.rawValue) }
  }

  func forgetJournal() {
    journalPath.remove()
    SmallFile.temporary(for: journalPath).remove()
  }

  /// Removes what was made so far, of the output too.
  /// - Parameter note: told what is kept of what lay at the destination before.
  public func discard(note: (String) -> Void) throws(CheckpointError) {
    forgetJournal()
    try KeptOutput.discard(at: destination, note: note)
    Self.remove(source)
  }

  /// Whether a pull to `destination` was killed when its output had just got its name.
  public static func isLeftBehind(for destination: FilePath) -> Bool {
    Directory.exists(path(for: destination).appending(journalName)) && !KeptOutput.isInTheMaking(at: destination)
  }

  /// Removes what such a pull has left.
  /// - Parameter note: told what is kept of what lay at the destination before.
  public static func tidy(for destination: FilePath, note: (String) -> Void) {
    guard Directory.exists(path(for: destination)), !KeptOutput.isInTheMaking(at: destination), let folder = try? PullFolder(for: destination) else { return }
    try? folder.discard(note: note)
    folder.removeUnlessKept()
  }

  /// Removes it with all that is in it, unless there is something to go on with.
  public func removeUnlessKept() {
    guard !isKept else { return }
    Self.remove(source)
    for file in [optionsPath, SmallFile.temporary(for: optionsPath), SmallFile.temporary(for: journalPath), path.appending("lock")] { file.remove() }
    _ = path.withPlatformString { rmdir($0) }
  }

  private static func remove(_ folder: FilePath) {
    for name in (try? OpenFolder(folder).names()) ?? [] {
      let path = folder.appending(name)
      if (try? Stat(path, followTargetSymlink: false))?.type == .directory { remove(path) } else { path.remove() }
    }
    _ = folder.withPlatformString { rmdir($0) }
  }
}
