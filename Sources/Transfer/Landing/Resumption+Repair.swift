import Glibc
import Integrity
import Platform
import SystemPackage

/// A file that has its final name and is damaged in places: what of it is right is kept, all else is fetched.
public struct FileRepair: Sendable, Hashable {
  /// Bytes of the file as it should be.
  public let length: Int
  /// What is right of it, as a verification has found just now.
  public let good: RangeSet<Int>

  public init(length: Int, good: RangeSet<Int>) { (self.length, self.good) = (length, good) }
}

extension Resumption {
  /// Puts what is right of a damaged file into a new one beside it, unless an earlier run has: that one is gone on from. The damaged file stays as it is
  /// until the new one is whole. The new file is hashed from its first byte, so what is copied is read back once.
  func prepare(_ repair: FileRepair) throws(TransferError) -> Preparation {
    let wasShared = try part.open()
    if !wasShared {
      let (chain, note) = try resume()
      if part.state.peek({ !$0.written.isEmpty }) { return .partial(chain ?? newChain, note: note) }
    }
    try part.startAfresh()
    guard !repair.good.isEmpty else { return .partial(newChain, note: nil) }
    do throws(TransferError) { try part.copy(repair, isCancelled: isCancelled) } catch {
      try? part.startAfresh()
      throw error
    }
    return .partial(newChain, note: nil)
  }
}

extension PartialFile {
  fileprivate func copy(_ repair: FileRepair, isCancelled: () -> Bool) throws(TransferError) {
    guard let descriptor else { throw failure(Errno.badFileDescriptor) }
    do throws(Errno) {
      let source = try OpenFile(path)
      if ioctl(descriptor.rawValue, Self.clone, source.descriptor.rawValue) != 0 {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4 << 20, alignment: 4096)
        defer { buffer.deallocate() }
        for range in repair.good.ranges {
          for offset in stride(from: range.lowerBound, to: range.upperBound, by: buffer.count) {
            if isCancelled() { throw .canceled }
            let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(buffer.count, range.upperBound - offset)])
            try source.descriptor.readAll(into: piece, at: offset)
            try descriptor.write(all: UnsafeRawBufferPointer(piece), at: offset)
          }
        }
      }
    } catch { throw error == .canceled ? .interrupted : failure(error) }
    state.update { state in
      (state.written, state.length) = (repair.good, repair.length)
      (state.isKnown, state.origin) = (true, .earlierRun)
    }
  }
}
