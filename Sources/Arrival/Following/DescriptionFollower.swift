import Checkpoint
import Synchronization
import SystemPackage
import Transfer

/// Keeps the `config.json` of a model while it arrives, for those who follow its weights.
final class DescriptionFollower: ContentFollower {
  static let name = "config.json"

  /// In the download.
  let path: String
  private let arrived = Mutex<(file: (any FollowedFile)?, bytes: [UInt8])>((nil, []))

  /// More than any description has; of a longer file nothing is kept.
  private static let mostBytes = 1 << 20

  init(_ path: String) { self.path = path }

  /// How wide heads are; nil where it doesn't say.
  /// - Throws: `.io` as long as not all of it is here.
  func headDim() throws(CheckpointError) -> Int? {
    let (file, bytes) = arrived.withLock { $0 }
    guard let length = file?.length, length == bytes.count || length > Self.mostBytes else { throw CheckpointError(.io, in: FilePath(path), "isn't here yet") }
    return StatedShape(Content(bytes: bytes), named: Self.name)?.headDim
  }

  // MARK: ContentFollower

  func begin(_ file: any FollowedFile) { arrived.withLock { $0 = (file, []) } }

  func take(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    arrived.withLock { if $0.bytes.count + bytes.count <= Self.mostBytes { $0.bytes += bytes } }
  }

  /// None: what is here is read again, since it is small.
  func savedState() -> [UInt8] { [] }

  func resume(from state: [UInt8], at offset: Int, of file: any FollowedFile) -> Bool {
    guard offset <= Self.mostBytes, let bytes = file.bytes(in: 0..<offset) else { return false }
    arrived.withLock { $0 = (file, bytes) }
    return true
  }
}

/// A file in memory.
private struct Content: RangeSource {
  let bytes: [UInt8]

  var count: Int { bytes.count }

  func bytes(in range: Range<Int>) -> [UInt8] { Array(bytes[range]) }
}
