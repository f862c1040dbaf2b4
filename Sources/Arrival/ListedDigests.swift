import Integrity
import SystemPackage

/// What a checklist of a download says of the files in its own folder.
enum ListedDigests {
  /// - Parameters:
  ///   - list: the list's path in the download.
  /// - Returns: digests by the files' paths in the download.
  static func read(_ bytes: [UInt8], _ list: String) throws(ChecklistError) -> [String: Digest] {
    let folder = list.lastIndex(of: "/").map { String(list[...$0]) } ?? ""
    return Dictionary(try Checklist(parsing: bytes, path: FilePath(list)).entries.map { (folder + $0.path.string, $0.digest) }) { _, last in last }
  }
}
