import FoundationEssentials
import Synchronization
import SystemPackage

/// Where the demonstration works: a new folder that is kept if asked for, else removed.
final class DemoFolder: Sendable {
  let path: FilePath
  private let isKept: Bool

  init(keep: String?) throws {
    isKept = keep != nil
    path = FilePath(keep ?? FileManager.default.temporaryDirectory.appending(path: "drover-demo-\(UUID().uuidString)").path)
    guard !FileManager.default.fileExists(atPath: path.string) else { throw CommandError(.cannotCreate, "\(path) exists already; name a new folder to keep the files in") }
    do {
      try FileManager.default.createDirectory(atPath: path.string, withIntermediateDirectories: true)
    } catch {
      throw CommandError(.cannotCreate, "\(path): the folder can't be made")
    }
  }

  func remove() {
    if !isKept { try? FileManager.default.removeItem(atPath: path.string) }
  }
}
