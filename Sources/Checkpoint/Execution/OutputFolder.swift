import CLinux
import FoundationEssentials
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// A folder that appears under its name when it is complete, or not at all: it is filled beside its place, synced, and renamed.
final class OutputFolder: @unchecked Sendable {
  // Unchecked: files are created before threads start.
  let destination: FilePath
  /// Where it is being filled.
  let path: FilePath
  private let replaces: Bool
  private let isInMemory: Bool
  private var descriptors: [Int32] = []

  /// - Parameters:
  ///   - replacing: whether a checkpoint under `destination` may be replaced. Anything that isn't one is never touched.
  ///   - source: files that must survive.
  init(_ destination: FilePath, replacing: Bool, source: [FilePath], bytes: Int) throws(CheckpointError) {
    var destination = destination
    while destination.string.count > 1, destination.string.hasSuffix("/") { destination = FilePath(String(destination.string.dropLast())) }
    self.destination = destination
    guard let name = destination.lastComponent, name.kind == .regular else {
      throw CheckpointError(.output, in: destination, "isn't a name for a folder")
    }
    replaces = try Self.mustReplace(destination, replacing: replacing, source: source)
    let parent = destination.removingLastComponent()
    var template = Array((parent.isEmpty ? "." : parent).appending(".\(name).partial-XXXXXX").string.utf8CString)
    guard mkdtemp(&template) != nil else {
      let error = Errno(rawValue: errno)
      throw CheckpointError(.output, in: destination, "can't be made: \(error)")
    }
    path = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
    // mkdtemp makes a private folder; what comes out should be like any other.
    let mask = umask(0)
    umask(mask)
    chmod(path.string, 0o777 & ~mask)
    var system = statfs()
    isInMemory = statfs(path.string, &system) == 0 && system.f_type == 0x0102_1994  // TMPFS_MAGIC (linux/magic.h)
    var status = statvfs()
    if statvfs(path.string, &status) == 0 {
      let free = Int(clamping: status.f_bavail).multipliedReportingOverflow(by: Int(clamping: status.f_frsize))
      if !free.overflow, free.partialValue < bytes {
        rmdir(path.string)
        throw CheckpointError(.output, in: destination, "needs \(bytes) bytes, and the disk has \(free.partialValue) left")
      }
    }
  }

  deinit {
    for descriptor in descriptors { close(descriptor) }
    // Publishing leaves a replaced checkpoint here.
    try? FileManager.default.removeItem(atPath: path.string)
  }

  private static func mustReplace(_ destination: FilePath, replacing: Bool, source: [FilePath]) throws(CheckpointError) -> Bool {
    var isDirectory = false
    guard FileManager.default.fileExists(atPath: destination.string, isDirectory: &isDirectory) else { return false }
    guard isDirectory else { throw CheckpointError(.output, in: destination, "exists, and is a file; name a folder") }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: destination.string)) ?? []
    if names.isEmpty { return false }
    guard replacing else { throw CheckpointError(.output, in: destination, "exists already; name another folder, or replace it with --force") }
    // A replaced folder is deleted: it must be one that can be made again, and not what is being read.
    if let foreign = names.first(where: { !isCheckpointFile($0) }) {
      throw CheckpointError(.output, in: destination, "holds \(foreign), which isn't part of a checkpoint, so it isn't replaced; remove it yourself")
    }
    let place = real(destination)
    if source.contains(where: { real($0).starts(with: place) }) {
      throw CheckpointError(.output, in: destination, "is where the source lies; name another folder")
    }
    return true
  }

  private static func real(_ path: FilePath) -> FilePath {
    guard let resolved = realpath(path.string, nil) else { return path }
    defer { free(resolved) }
    return FilePath(String(cString: resolved))
  }

  private static func isCheckpointFile(_ name: String) -> Bool {
    if ["params.json", "config.json", "checklist.chk", "generation_config.json", "special_tokens_map.json"].contains(name) { return true }
    return ["consolidated.", "model.safetensors", "model-", "tokenizer", "chat_template", "drover-", "LICENSE", "USE_POLICY"].contains {
      name.hasPrefix($0)
    } || name.hasSuffix(".gguf")
  }

  /// Creates a file of `bytes` bytes.
  func create(_ name: String, bytes: Int) throws(CheckpointError) -> Int32 {
    let descriptor = open(path.appending(name).string, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw failure(name) }
    descriptors.append(descriptor)
    // Room is taken now, so that a full disk shows before the work; where the file system can't, writes will tell. In memory that would be most of the
    // work of writing, done by one thread while the others wait.
    if bytes > 0, !isInMemory, fallocate(descriptor, 0, 0, off_t(bytes)) != 0, ![EOPNOTSUPP, ENOSYS, EINVAL].contains(errno) { throw failure(name) }
    return descriptor
  }

  /// Writes a small file whole.
  func add(_ name: String, _ bytes: [UInt8]) throws(CheckpointError) {
    let descriptor = try create(name, bytes: bytes.count)
    let block = Block(count: bytes.count)
    block.memory.copyBytes(from: bytes)
    try write(UnsafeRawBufferPointer(rebasing: block.memory[..<bytes.count]), to: descriptor, at: 0, name: name)
    try sync(descriptor, name: name)
  }

  func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, at offset: Int, name: String) throws(CheckpointError) {
    var done = 0
    while done < bytes.count {
      let count = pwrite(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(offset + done))
      if count > 0 {
        done += count
      } else if errno != EINTR {
        throw failure(name)
      }
    }
  }

  /// Starts writing a stretch of a file to the disk, and doesn't wait: so the disk works while the processor does, and `sync` has little left to do.
  func startSync(_ descriptor: Int32, _ range: Range<Int>) {
    _ = sync_file_range(descriptor, off_t(range.lowerBound), off_t(range.count), 1 << 1)  // SYNC_FILE_RANGE_WRITE
  }

  func sync(_ descriptor: Int32, name: String) throws(CheckpointError) { if fsync(descriptor) != 0 { throw failure(name) } }

  /// Gives the folder its name.
  func publish() throws(CheckpointError) {
    try syncFolder(path)
    // An exchange puts the old folder where the new one was, from where it is deleted: there is no moment without either.
    let flags: UInt32 = replaces ? 1 << 1 : 1 << 0  // RENAME_EXCHANGE, RENAME_NOREPLACE (linux/fs.h)
    var failed = renameat2(AT_FDCWD, path.string, AT_FDCWD, destination.string, flags) != 0
    if failed, !replaces, errno == EEXIST || errno == EINVAL {
      // An empty folder gives way to rename(2); so does anything on file systems without flags, where a full folder still refuses.
      failed = rename(path.string, destination.string) != 0
    }
    if failed { throw failure(nil) }
    let parent = destination.removingLastComponent()
    try syncFolder(parent.isEmpty ? "." : parent)
  }

  private func syncFolder(_ folder: FilePath) throws(CheckpointError) {
    let descriptor = open(folder.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure(nil) }
    defer { close(descriptor) }
    // Some file systems can't sync folders, and say EINVAL.
    if fsync(descriptor) != 0, errno != EINVAL { throw failure(nil) }
  }

  private func failure(_ name: String?) -> CheckpointError {
    let error = Errno(rawValue: errno)
    let place = name.map { destination.appending($0) } ?? destination
    return CheckpointError(.output, in: place, "can't be written: \(error); nothing was left behind")
  }
}
