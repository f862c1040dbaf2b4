import Foundation
import TestSupport
import Transfer

/// A small release, and the folder it is served from.
struct Wares: Sendable {
  static let folder = "f"
  let contents: [String: [UInt8]]
  var files: [TransferRequest.File] { ["checklist.chk", "params.json", "a.pth", "b.pth"].map { .init(path: Self.folder + "/" + $0, remote: Self.folder + "/" + $0) } }

  /// Made once; `md5sum` wrote the checklist.
  static let shared: Wares = {
    var random = Splitmix(seed: 1)
    func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) } }
    var contents = ["f/params.json": Array(#"{"dim": 64, "n_layers": 2}"#.utf8), "f/a.pth": bytes(3_000_001), "f/b.pth": bytes(1_000_000)]
    let list = try? withTemporaryFolder { folder in
      try FileManager.default.createDirectory(atPath: folder + "/f", withIntermediateDirectories: true)
      for (path, bytes) in contents { try Data(bytes).write(to: URL(filePath: folder + "/" + path)) }
      return try run("/usr/bin/md5sum", ["params.json", "a.pth", "b.pth"], in: folder + "/f").output
    }
    contents["f/checklist.chk"] = Array((list ?? "").utf8)
    return Wares(contents: contents)
  }()
}
