import Platform
import SystemPackage

/// What lies in a folder.
enum Folder {
  /// All files in and under `path`, in the order of their names. Hidden ones are left out; links are followed, and those that lead nowhere are
  /// there too, for whoever expects a file.
  /// - Returns: the files, and the folders that can't be read, and why; and what stores of other programs say that were met, whose files aren't among these.
  static func files(under path: FilePath) -> (files: [FilePath], unreadable: [Unreadable], stores: [StoreClaims]) {
    var walk = Walk()
    walk.visit(path)
    return (walk.files, walk.unreadable, walk.stores)
  }

  /// What huggingface_hub puts into its cache besides: contents that repositories share, called by another hash, and a mark for backups.
  private static func isOfTheHub(_ path: FilePath) -> Bool {
    switch path.lastComponent?.string {
    case "CACHEDIR.TAG": true
    case "blobs": Directory.exists(path.appending(".huggingface-shared-blobs"))
    default: false
    }
  }

  private struct Walk {
    var files: [FilePath] = []
    var unreadable: [Unreadable] = []
    var stores: [StoreClaims] = []
    /// Folders that were looked into: models are linked to from several places, and links may lead back.
    private var seen: Set<FileIdentity> = []

    mutating func visit(_ path: FilePath) {
      let names: [FilePath.Component]
      do throws(Errno) {
        guard seen.insert(FileIdentity(try path.stat())).inserted else { return }
        names = try Directory.names(in: path)
      } catch { return unreadable.append(.init(path: path, error: error)) }
      if let store = StoreClaims(folder: path) { return stores.append(store) }
      var folders: [FilePath] = []
      for name in names {
        let item = path.appending(name)
        if Folder.isOfTheHub(item) { continue }
        do {
          switch try Directory.kind(of: item) {
          case .file: files.append(item)
          case .folder: folders.append(item)
          case nil: continue
          }
        } catch {
          // A link that leads nowhere is a file that is missing; of anything else nobody knows what it is.
          if error == .noSuchFileOrDirectory { files.append(item) } else { unreadable.append(.init(path: item, error: error)) }
        }
      }
      for folder in folders { visit(folder) }
    }
  }

  struct Unreadable: Error {
    let path: FilePath
    let error: Errno
  }
}
