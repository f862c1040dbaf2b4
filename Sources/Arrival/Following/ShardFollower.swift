import Checkpoint
import Integrity
import SystemPackage
import Transfer

/// Hashes the weights of one file while its bytes pass by, so that nothing is read again for the fingerprint.
///
/// Which bytes are which weight's, the file's directory says: that of a safetensors file or a GGUF comes first; that of a `.pth` is at its end, which the
/// download fetches before the rest. Until it is here, and what describes the model where that is needed, bytes are kept in memory.
package final class ShardFollower: ContentFollower, @unchecked Sendable {
  // Unchecked: the download calls it on one thread at a time, and the results are asked for when the download has ended.

  /// Reads a file's directory; throws `.io` where something isn't here yet.
  package typealias Layout = @Sendable (any ByteSource) throws(CheckpointError) -> [ShardWeight]

  private let path: FilePath
  private let layout: Layout
  private var file: (any FollowedFile)?
  /// The file's first bytes, as long as its directory isn't here.
  private var beginning: [UInt8] = []
  /// With fewer of them the directory isn't whole.
  private var leastBeginning = 0
  /// nil as long as the directory isn't here.
  private var hashing: WeightHashing?
  private var isGivenUp = false

  /// A shard whose directory still isn't here after so many bytes isn't followed.
  private static let mostBeginning = 32 << 20

  /// - Parameters:
  ///   - path: what messages call it.
  package init(_ path: FilePath, layout: @escaping Layout) { (self.path, self.layout) = (path, layout) }

  /// The weights and what they hash to, once the download has ended; nil unless all bytes were followed.
  package func finish() -> [(weight: ShardWeight, digests: RegionDigests)]? {
    // A short file may have been here before what describes the model.
    if hashing == nil, !isGivenUp, !beginning.isEmpty, beginning.count == file?.length { readDirectory() }
    return hashing?.result
  }

  // MARK: ContentFollower

  package func begin(_ file: any FollowedFile) {
    (self.file, beginning, leastBeginning, isGivenUp) = (file, [], 0, false)
    hashing = nil
  }

  package func take(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    guard !isGivenUp else { return }
    if hashing != nil {
      hashing?.take(bytes, at: offset)
      return
    }
    beginning += bytes
    if beginning.count >= min(leastBeginning, Self.mostBeginning) { readDirectory() }
  }

  /// Empty as long as the directory isn't here: then the file's beginning, which is short, is read again.
  package func savedState() -> [UInt8] { hashing?.state.encoded ?? [] }

  package func resume(from state: [UInt8], at offset: Int, of file: any FollowedFile) -> Bool {
    begin(file)
    guard !state.isEmpty else {
      guard offset <= Self.mostBeginning, let bytes = file.bytes(in: 0..<offset) else { return false }
      beginning = bytes
      readDirectory()
      return true
    }
    guard let state = FollowerState(decoding: state), let hashing = WeightHashing(resuming: state, at: offset, of: file) else { return false }
    self.hashing = consume hashing
    return true
  }

  // MARK: The directory

  private func readDirectory() {
    guard let length = file?.length, let file else { return giveUp(after: Self.mostBeginning) }
    let source = ArrivedPart(path: path, count: length, beginning: beginning, file: file)
    do {
      var hashing = WeightHashing(try layout(source))
      beginning.withUnsafeBytes { hashing.take($0, at: 0) }
      self.hashing = consume hashing
      beginning = []
    } catch {
      // A file that is no shard isn't followed; what isn't here yet is asked for again with later bytes.
      giveUp(after: source.missing != nil || error.reason == .io ? Self.mostBeginning : 0)
      // A reader that goes through the file from its start gets no further before these are here; it begins anew each time, so not with each few bytes.
      if let missing = source.missing, missing.lowerBound <= beginning.count { leastBeginning = min(length, missing.upperBound + beginning.count / 8) }
    }
  }

  private func giveUp(after bytes: Int) {
    guard beginning.count >= bytes else { return }
    (isGivenUp, beginning) = (true, [])
  }
}

/// A file of which only some is here, as a reader of directories sees it.
private final class ArrivedPart: ByteSource, @unchecked Sendable {
  // Unchecked: it stays on one thread.
  let path: FilePath
  let count: Int
  private let beginning: [UInt8]
  private let file: any FollowedFile
  /// What was asked for and isn't here yet.
  private(set) var missing: Range<Int>?

  var isHere: Bool { false }

  init(path: FilePath, count: Int, beginning: [UInt8], file: any FollowedFile) {
    (self.path, self.count, self.beginning, self.file) = (path, count, beginning, file)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(CheckpointError) {
    let range = offset..<offset + buffer.count
    guard range.upperBound <= count else { throw CheckpointError(.corrupt, in: path, byte: offset, "ends at byte \(count)") }
    if range.upperBound <= beginning.count { return buffer.copyBytes(from: beginning[range]) }
    guard let bytes = file.bytes(in: range) else {
      missing = range
      throw CheckpointError(.io, in: path, byte: offset, "isn't here yet")
    }
    buffer.copyBytes(from: bytes)
  }
}
