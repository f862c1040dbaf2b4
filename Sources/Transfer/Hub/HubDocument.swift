import FoundationEssentials
import Integrity

/// What the hub's interface says in JSON, as far as it is needed (huggingface.co/docs/hub/api; huggingface_hub's `hf_api.py`).
enum HubDocument {
  /// `/api/models/ORG/NAME/revision/REVISION`.
  struct Model: Decodable {
    let sha: String
    let gated: Gate?
    let `private`: Bool?
  }

  /// `false`, or how requests are answered: `auto` or `manual`.
  struct Gate: Decodable {
    let isClosed: Bool

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      isClosed = (try? container.decode(Bool.self)) ?? true
    }
  }

  /// An entry of `/api/models/ORG/NAME/tree/COMMIT?recursive=true`.
  struct Entry: Decodable {
    struct LFS: Decodable {
      let oid: String
      let size: Int
    }

    let type: String
    let path: String
    let size: Int
    let oid: String
    let lfs: LFS?
  }

  /// - Returns: nil for a folder.
  /// - Throws: a sentence's end.
  static func file(_ entry: Entry) throws(Malformed) -> HubRepository.File? {
    guard entry.type != "directory" else { return nil }
    guard entry.type == "file" else { throw Malformed(why: "lists something that is neither file nor folder") }
    if let lfs = entry.lfs {
      guard let digest = Digest(hex: lfs.oid), digest.algorithm == .sha256, lfs.size >= 0 else { throw Malformed(why: "lists a file without its SHA-256") }
      return .init(path: entry.path, bytes: lfs.size, digest: .hash(digest))
    }
    guard let blob = GitBlobID(hex: entry.oid), entry.size >= 0 else { throw Malformed(why: "lists a file without git's name for it") }
    return .init(path: entry.path, bytes: entry.size, digest: .blob(blob))
  }

  struct Malformed: Error { let why: String }
}
