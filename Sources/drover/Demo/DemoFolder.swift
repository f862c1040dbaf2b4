import FoundationEssentials
import Platform
import SystemPackage

/// Where the demonstration works: a new folder that is kept if asked for, else removed.
final class DemoFolder: Sendable {
  let path: FilePath
  private let isKept: Bool

  init(keep: FilePath?) throws {
    isKept = keep != nil
    path = keep ?? FilePath(FileManager.default.temporaryDirectory.appending(path: "drover-demo-\(UUID().uuidString)").path)
    guard !Directory.exists(path) else { throw CommandError(.cannotCreate, "\(path) exists already; name a new folder to keep the files in") }
    do throws(Errno) { try path.makeFolders() } catch { throw CommandError(.cannotCreate, "\(path): the folder can't be made: \(error)") }
  }

  func remove() {
    if !isKept { try? FileManager.default.removeItem(atPath: path.string) }
  }
}
