import Glibc
import Integrity
import Platform
import SystemPackage

/// What a store on this machine has of a file, called by its content: it is copied in place of being fetched, if its content is what it is called by.
public struct StoredCopy: Sendable, Hashable {
  public let path: FilePath
  /// Whether nothing is asked for over the network where it isn't there, or damaged.
  public let isOnly: Bool

  public init(_ path: FilePath, isOnly: Bool) { (self.path, self.isOnly) = (path, isOnly) }
}

extension Resumption {
  /// Copies the file out of the store that has it, and looks on the way whether it is right.
  /// - Parameter note: what a person should know where it isn't, and is fetched.
  /// - Returns: nil where there is nothing to copy. Then nothing is here of the file.
  func copied(_ note: inout String?) throws(TransferError) -> Preparation? {
    guard let stored else { return nil }
    if expected != nil || blob != nil, let source = try? OpenFile(stored.path) {
      if source.size <= WholeFile.mostBytes, follower == nil {
        if let content = try? SmallFile.read(stored.path, atMost: WholeFile.mostBytes), isRight(content) {
          // What an earlier run has left may be longer.
          if part.descriptor != nil { try part.startAfresh() }
          return .content(content, newChain)
        }
      } else {
        try part.startAfresh()
        let chain = newChain
        do throws(TransferError) {
          if try part.copy(source, through: chain, isCancelled: isCancelled), isRightCopy(chain) { return .copied(chain) }
        } catch {
          try? part.startAfresh()
          throw error
        }
        try part.startAfresh()
      }
    } else if !stored.isOnly {
      return nil
    }
    if stored.isOnly { throw .damagedCopy(path: part.name, source: stored.path) }
    note = "\(part.name): \(stored.path) is damaged: its content isn't what it is called by. The file is fetched; `drover repair` mends the store"
    return nil
  }

  private func isRight(_ content: [UInt8]) -> Bool {
    guard let expected else { return blob == GitBlobID(of: content) }
    var hash = FileHash(expected.algorithm)
    content.withUnsafeBytes { hash.take($0) }
    return hash.digest.digest == expected
  }

  private func isRightCopy(_ chain: FileChain) -> Bool {
    if let expected { return expected == chain.hash.digest.digest }
    return (try? GitBlobID(ofFileAt: part.partPath)) == blob
  }
}

extension PartialFile {
  /// `FICLONE` of `linux/fs.h`: one file takes over another's blocks, where the file system shares them between files.
  static let clone: UInt = 0x4004_9409

  /// Copies all of `source`, and takes what the copy has through `chain`.
  /// - Returns: whether the source could be read to its end.
  fileprivate func copy(_ source: OpenFile, through chain: FileChain, isCancelled: () -> Bool) throws(TransferError) -> Bool {
    let descriptor = try opened()
    let isCloned = ioctl(descriptor.rawValue, Self.clone, source.descriptor.rawValue) == 0
    if !isCloned { try allocate(source.size) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4 << 20, alignment: 4096)
    defer { buffer.deallocate() }
    for offset in stride(from: 0, to: source.size, by: buffer.count) {
      if isCancelled() { throw .interrupted }
      let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(buffer.count, source.size - offset)])
      guard (try? (isCloned ? descriptor : source.descriptor).readAll(into: piece, at: offset)) != nil else { return false }
      if !isCloned { do throws(Errno) { try descriptor.write(all: UnsafeRawBufferPointer(piece), at: offset) } catch { throw failure(error) } }
      // Before the chain, whose follower may look at what is here.
      state.update { ($0.written, $0.length) = (RangeSet(0..<offset + piece.count), source.size) }
      chain.take(UnsafeRawBufferPointer(piece))
    }
    // Of an empty file no piece was taken.
    state.update { ($0.length, $0.origin) = (source.size, .earlierRun) }
    return true
  }
}
