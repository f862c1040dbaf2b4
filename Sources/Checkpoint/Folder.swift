import FoundationEssentials
import SystemPackage

/// The names in a checkpoint's folder.
struct Folder {
  let path: FilePath
  let names: [String]

  /// - Returns: nil when `path` is a file.
  init?(_ path: FilePath) throws(CheckpointError) {
    var isDirectory = false
    guard FileManager.default.fileExists(atPath: path.string, isDirectory: &isDirectory) else {
      throw CheckpointError(.missing, in: path, "isn't there")
    }
    guard isDirectory else { return nil }
    self.path = path
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: path.string).sorted()
    } catch {
      throw CheckpointError(.io, in: path, "can't be listed: \(error)")
    }
  }

  func has(_ name: String) -> Bool { names.contains(name) }

  /// The files `consolidated.NN.<suffix>` in the order of rank.
  /// - Returns: nil when there are none.
  /// - Throws: when one is missing in the row.
  func shards(_ suffix: String) throws(CheckpointError) -> [FilePath]? {
    let prefix = "consolidated."
    let found = names.filter { $0.hasPrefix(prefix) && $0.hasSuffix("." + suffix) }
      .compactMap { name -> (rank: Int, name: String)? in
        let digits = name.dropFirst(prefix.count).dropLast(suffix.count + 1)
        return digits.count >= 2 && digits.allSatisfy(\.isASCII) ? Int(digits).map { ($0, name) } : nil
      }
      .sorted { $0.rank < $1.rank }
    guard !found.isEmpty else { return nil }
    for (expected, shard) in found.enumerated() where shard.rank != expected {
      let number = expected < 10 ? "0\(expected)" : "\(expected)"
      throw CheckpointError(.missing, in: path.appending("\(prefix)\(number).\(suffix)"), "isn't there, but \(shard.name) is")
    }
    return found.map { path.appending($0.name) }
  }

  /// The one file with this suffix; nil when there is none.
  func only(_ suffix: String) throws(CheckpointError) -> FilePath? {
    let found = names.filter { $0.hasSuffix("." + suffix) }
    guard found.count <= 1 else {
      throw CheckpointError(.refused, in: path, "has \(found.count) .\(suffix) files; name the one that is meant")
    }
    return found.first.map { path.appending($0) }
  }
}
