import Platform
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// Where an output goes, and how it gets there: found out before the work, from what lies at the destination.
struct OutputPlace: Sendable {
  enum Way: Sendable {
    /// The new folder takes the name, under which nothing lies, or an empty folder.
    case rename
    /// The new folder and the checkpoint that lies there exchange their names.
    case exchange(ReplacedFolder)
    /// The files of the new folder take their names in the empty folder that lies there: it can't be replaced, since it is a mount point, or lies where
    /// nothing else can be made, or whoever runs this is in it, or its owner couldn't be given to another folder.
    case fill(OpenFolder)
  }

  /// As it was given; for messages.
  let destination: FilePath
  /// The folder that holds the destination: of a link, of what it leads to.
  let parent: OpenFolder
  let name: FilePath.Component
  let way: Way
  /// What the new folder gets its owner, its group and its mode from: the folder that it takes the place of.
  let model: Stat?

  /// Looks at what lies at `destination`.
  /// - Parameters:
  ///   - replacing: whether a checkpoint that lies there may be replaced. Anything that isn't one is never touched.
  ///   - source: files that must survive.
  static func found(at destination: FilePath, replacing: Bool, source: [FilePath]) throws(CheckpointError) -> OutputPlace {
    func refusal(_ message: String) -> CheckpointError { CheckpointError(.output, in: destination, message) }
    guard let status = try status(destination) else {
      guard let name = destination.lastComponent, name.kind == .regular else { throw refusal("isn't a name for a folder") }
      let parent = destination.removingLastComponent()
      do throws(Errno) { return OutputPlace(destination: destination, parent: try OpenFolder(parent), name: name, way: .rename, model: nil) } catch {
        throw refusal("can't be made: \(parent.isEmpty ? "." : parent) can't be opened: \(error)")
      }
    }
    guard status.type == .directory else { throw refusal("exists, and is a file; name a folder") }
    guard let real = real(destination), let name = real.lastComponent else { throw refusal("isn't a folder that can be filled; name another") }
    let (folder, parent, names): (OpenFolder, OpenFolder, [FilePath.Component])
    let isFixed: Bool
    do throws(Errno) {
      folder = try OpenFolder(destination)
      parent = try folder.parent()
      let isOwnDevice = try parent.status().deviceID != status.deviceID
      isFixed = isOwnDevice || folder.isMountPoint
      // The root of a disk has `lost+found` without anybody's doing.
      names = try folder.names().filter { !(isFixed && $0 == "lost+found") }
    } catch { throw refusal("can't be opened: \(error)") }
    func place(_ way: Way) -> OutputPlace { OutputPlace(destination: destination, parent: parent, name: name, way: way, model: status) }
    // Whoever is in a folder that goes would find themselves nowhere.
    let isInside = destination.lastComponent?.kind != .regular
    // What a killed run left in it that was filling it is swept by filling it again.
    let workFolder = WorkFolder.name(for: name)
    let leftovers = WorkFolder.leftovers(in: folder, of: workFolder)
    if names.allSatisfy({ $0 == workFolder || leftovers.contains($0) }) { return place(isFixed || isInside || !names.isEmpty || !parent.canBeChanged ? .fill(folder) : .rename) }
    guard replacing else { throw refusal("exists already; name another folder, or replace it with --force") }
    let replaced: ReplacedFolder
    do throws(Errno) { replaced = try ReplacedFolder(folder, names) } catch { throw refusal("can't be read: \(error)") }
    // A replaced folder is deleted: it must be one that can be made again, and not what is being read.
    if let objection = replaced.objection { throw refusal("\(objection), so it isn't replaced; remove it yourself") }
    if source.contains(where: { self.real($0)?.starts(with: real) ?? false }) { throw refusal("is where the source lies; name another folder") }
    if isInside { throw refusal("is the folder that you are in, or one around it, which can't be replaced; name it from outside") }
    if isFixed { throw refusal("is the root of a file system, so no other folder can take its place; empty it yourself, or name a folder in it") }
    guard parent.canBeChanged, folder.canBeChanged else {
      throw refusal("can't be replaced: there is no permission to change it, or the folder that it lies in; empty it yourself, or name another folder")
    }
    return place(.exchange(replaced))
  }

  /// The same place, filled rather than replaced: for an empty folder whose owner can't be given to another one.
  func filled() throws(CheckpointError) -> OutputPlace {
    do { return OutputPlace(destination: destination, parent: parent, name: name, way: .fill(try OpenFolder(name, in: parent)), model: model) } catch {
      throw failure(error)
    }
  }

  var isFilled: Bool { if case .fill = way { true } else { false } }

  /// The folder that the work folder is made in.
  var workplace: OpenFolder { if case .fill(let folder) = way { folder } else { parent } }

  func refusal(_ message: String) -> CheckpointError { CheckpointError(.output, in: destination, message) }

  func failure(_ error: Errno) -> CheckpointError { refusal("can't be written: \(error)") }

  /// Gives what nobody may remove a name that nothing else has, beside the destination: `NAME.orig`, `NAME.orig.1` and so on.
  /// - Returns: where it lies then.
  func keep(_ old: FilePath.Component, in folder: OpenFolder) throws(Errno) -> FilePath {
    var number = 0
    while true {
      let kept = name.adding(number == 0 ? ".orig" : ".orig.\(number)")
      do {
        try folder.renameNew(old, to: kept, in: parent)
        return (parent.path ?? destination.removingLastComponent()).appending(kept)
      } catch { guard error == .fileExists || error == .directoryNotEmpty else { throw error } }
      number += 1
    }
  }

  /// What lies at `path`, or where the link there leads to; nil where there is nothing.
  private static func status(_ path: FilePath) throws(CheckpointError) -> Stat? {
    do { return try path.stat() } catch {
      guard error == .noSuchFileOrDirectory else { throw CheckpointError(.output, in: path, "can't be made: \(error)") }
      guard (try? Stat(path, followTargetSymlink: false)) == nil else {
        throw CheckpointError(.output, in: path, "is a link that leads nowhere; make the folder that it should lead to, or name another")
      }
      return nil
    }
  }

  private static func real(_ path: FilePath) -> FilePath? {
    guard let resolved = path.withPlatformString({ realpath($0, nil) }) else { return nil }
    defer { free(resolved) }
    return FilePath(platformString: resolved)
  }
}
