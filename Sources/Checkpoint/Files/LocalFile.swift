import Platform
import SystemPackage

/// A file of this machine, read with `pread`: a file that is cut short meanwhile gives an error, where a map would end the program.
final class LocalFile: ByteSource {
  let path: FilePath
  private let file: OpenFile

  var count: Int { file.size }
  var isHere: Bool { true }

  /// - Throws: `.missing`, or `.io` for what isn't a regular file or can't be opened.
  init(_ path: FilePath) throws(CheckpointError) {
    self.path = path
    do { file = try OpenFile(path) } catch {
      throw CheckpointError(error == .noSuchFileOrDirectory ? .missing : .io, in: path, "can't be read: \(error)")
    }
  }

  /// The whole of a small file, such as a licence.
  static func contents(of path: FilePath) throws(CheckpointError) -> [UInt8] {
    let file = try LocalFile(path)
    let bytes = try file.contents()
    try file.checkUnchanged()
    return bytes
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(CheckpointError) {
    var done = 0
    while done < buffer.count {
      let count: Int
      do { count = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...]), at: offset + done) } catch {
        throw CheckpointError(.io, in: path, byte: offset + done, "can't be read: \(error)")
      }
      guard count > 0 else { throw CheckpointError(.corrupt, in: path, byte: offset + done, "has become shorter while it was read") }
      done += count
    }
  }

  func checkUnchanged() throws(CheckpointError) {
    if file.hasChanged {
      throw CheckpointError(.corrupt, in: path, "was written to while it was read, so two versions of it may be mixed; run this again when nobody writes to it")
    }
  }

  func mapped() throws(CheckpointError) -> MappedFile { try MappedFile(file, path) }
}
