import SystemPackage

/// A file that is on its way to this machine, as whoever fetches it sees it.
public protocol ArrivingSource: Sendable {
  /// Bytes of the whole file.
  var count: Int { get }
  /// Fills `buffer` with the bytes from `offset` on, once they have come.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws
}

/// A file that is on its way to this machine. Reading waits for what hasn't come yet.
final class IncomingFile: ByteSource {
  let path: FilePath
  let count: Int
  private let source: any ArrivingSource

  var isHere: Bool { false }

  /// - Parameter path: what messages call it.
  init(_ source: any ArrivingSource, path: FilePath) {
    self.source = source
    self.path = path
    count = source.count
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(CheckpointError) {
    do { try source.read(into: buffer, at: offset) } catch {
      throw CheckpointError(.io, in: path, byte: offset, "can't be read while it arrives: \(error)", cause: error)
    }
  }
}
