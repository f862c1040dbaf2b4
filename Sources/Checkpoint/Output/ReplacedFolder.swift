import Platform
import SystemPackage

/// A checkpoint that gives way to an output, as it was when that was permitted: only what was there then is removed.
struct ReplacedFolder: Sendable {
  let folder: OpenFolder
  private let identity: FileIdentity
  private let contents: [FilePath.Component: FileVersion]
  /// Why it isn't replaced; nil when it may be.
  let objection: String?

  init(_ folder: OpenFolder, _ names: [FilePath.Component]) throws(Errno) {
    self.folder = folder
    identity = FileIdentity(try folder.status())
    var contents: [FilePath.Component: FileVersion] = [:]
    var others: [String] = []
    for name in names {
      let status = try folder.status(of: name)
      contents[name] = FileVersion(status)
      if ![.regular, .symbolicLink].contains(status.type) { others.append(name.string) }
    }
    self.contents = contents
    objection = others.min().map { "holds \($0), which is neither a file nor a link" } ?? CheckpointContents.objection(to: names.map(\.string))
  }

  /// Whether this is still the folder that lies under `name`; nil where nothing does.
  func lies(at name: FilePath.Component, in parent: OpenFolder) throws(Errno) -> Bool? {
    do { return FileIdentity(try parent.status(of: name)) == identity } catch {
      guard error == .noSuchFileOrDirectory else { throw error }
      return nil
    }
  }

  /// What somebody put there or changed since.
  var foreign: [FilePath.Component] {
    get throws(Errno) {
      var foreign: [FilePath.Component] = []
      for name in try folder.names() where (try? folder.status(of: name)).map(FileVersion.init) != contents[name] { foreign.append(name) }
      return foreign.sorted { $0.string < $1.string }
    }
  }

  /// Removes it, if it holds nothing that is foreign.
  /// - Returns: whether it is gone.
  func remove(at name: FilePath.Component, in parent: OpenFolder) -> Bool {
    do throws(Errno) {
      guard try foreign.isEmpty else { return false }
      for name in contents.keys { do { try folder.remove(name) } catch { guard error == .noSuchFileOrDirectory else { throw error } } }
      // A full folder isn't removed: what came in at the last moment is kept too.
      try parent.removeFolder(name)
      return true
    } catch {
      return false
    }
  }
}
