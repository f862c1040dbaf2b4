import Platform
import SystemPackage

/// The names in a checkpoint's folder, and how its files are opened, on this machine or elsewhere.
struct CheckpointFolder {
  /// Elsewhere: what messages call it.
  let path: FilePath
  let names: [FilePath.Component]
  /// Opens a file in it.
  let open: (FilePath) throws(CheckpointError) -> any ByteSource
  let isHere: Bool

  /// A folder that is elsewhere.
  init(path: FilePath, names: [String], open: @escaping (FilePath) throws(CheckpointError) -> any ByteSource) {
    self.path = path
    self.names = names.compactMap { FilePath.Component($0) }
    self.open = open
    isHere = false
  }

  /// A folder of this machine.
  /// - Returns: nil when `path` is a file.
  init?(_ path: FilePath) throws(CheckpointError) {
    self.path = path
    open = { path throws(CheckpointError) in try LocalFile(path) }
    isHere = true
    do throws(Errno) {
      guard try Directory.kind(of: path) == .folder else { return nil }
    } catch {
      guard error == .noSuchFileOrDirectory else { throw CheckpointError(.io, in: path, "can't be read: \(error)") }
      // What stands for standard input elsewhere.
      let advice = path == "-" ? ", and weights can't be taken from standard input, since they are read at any place: save them to a file first, and name that" : ""
      throw CheckpointError(.missing, in: path, "isn't there" + advice)
    }
    do { names = try Directory.names(in: path) } catch { throw CheckpointError(.io, in: path, "can't be listed: \(error)") }
  }

  /// A folder of this machine into which the files of weights don't come, though all of their bytes will pass.
  init(_ path: FilePath, arriving: [String: any ByteSource]) throws(CheckpointError) {
    self.path = path
    isHere = true
    do { names = try Directory.names(in: path) + arriving.keys.sorted().compactMap { FilePath.Component($0) } } catch { throw CheckpointError(.io, in: path, "can't be listed: \(error)") }
    open = { path throws(CheckpointError) in
      if let file = arriving[path.lastComponent?.string ?? ""] { return file }
      return try LocalFile(path)
    }
  }

  func has(_ name: String) -> Bool { names.contains { $0.string == name } }

  /// What lies beside the weights; nothing of a folder that is elsewhere.
  func companions(isHuggingFace: Bool = false) throws(CheckpointError) -> Companions {
    isHere ? try Companions(besides: path, isHuggingFace: isHuggingFace) : Companions()
  }

  /// The files `consolidated.NN.<suffix>` in the order of rank.
  /// - Returns: nil when there are none.
  /// - Throws: when one is missing in the row.
  func shards(_ suffix: String) throws(CheckpointError) -> [FilePath]? {
    let prefix = "consolidated."
    let found = names.filter { $0.string.hasPrefix(prefix) && $0.extension == suffix }
      .compactMap { name -> (rank: Int, name: FilePath.Component)? in
        let digits = name.string.dropFirst(prefix.count).dropLast(suffix.count + 1)
        return digits.allSatisfy { $0.isASCII && $0.isNumber } ? Int(digits).map { ($0, name) } : nil
      }
      .sorted { $0.rank < $1.rank }
    guard !found.isEmpty else { return nil }
    for (a, b) in zip(found, found.dropFirst()) where a.rank == b.rank {
      throw CheckpointError(.corrupt, in: path, "has \(a.name) and \(b.name), which are both of rank \(a.rank)")
    }
    for (expected, shard) in found.enumerated() where shard.rank != expected {
      let number = expected < 10 ? "0\(expected)" : "\(expected)"
      throw CheckpointError(.corrupt, in: path.appending("\(prefix)\(number).\(suffix)"), "isn't there, but \(shard.name) is: a shard is missing")
    }
    return found.map { path.appending($0.name) }
  }

  /// The one file with this suffix; nil when there is none.
  func only(_ suffix: String) throws(CheckpointError) -> FilePath? {
    let found = names.filter { $0.string.hasSuffix("." + suffix) }
    guard found.count <= 1 else {
      throw CheckpointError(.refused, in: path, "has \(found.count) .\(suffix) files; name the one that is meant")
    }
    return found.first.map { path.appending($0) }
  }
}
