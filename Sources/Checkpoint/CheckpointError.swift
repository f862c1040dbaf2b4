import SystemPackage

/// Why a checkpoint could not be read, resharded or written: what, in which file, at which byte or tensor.
public struct CheckpointError: Error, Equatable, CustomStringConvertible {
  public enum Reason: Sendable, Equatable {
    /// A file or folder isn't there.
    case missing
    /// Truncated, malformed or contradictory.
    case corrupt
    /// A pickle that would run code.
    case unsafe
    /// Well formed, but of a kind that isn't supported.
    case unsupported
    /// What was asked for can't be done with this checkpoint.
    case refused
    /// The output can't be made: it exists already, no space, no permission.
    case output
    /// The system would not read.
    case io
    /// The caller said to stop.
    case cancelled
  }

  public let reason: Reason
  public let file: FilePath?
  /// Byte of the file where it went wrong.
  public let byte: Int?
  /// A sentence.
  public let message: String

  public init(_ reason: Reason, in file: FilePath? = nil, byte: Int? = nil, _ message: String) {
    self.reason = reason
    self.file = file
    self.byte = byte
    self.message = message
  }

  public var description: String {
    guard let file else { return message }
    return byte.map { "\(file), byte \($0): \(message)" } ?? "\(file): \(message)"
  }
}

extension MappedFile {
  /// Maps `path`, or says in words why not.
  static func open(_ path: FilePath) throws(CheckpointError) -> MappedFile {
    do {
      return try MappedFile(path: path)
    } catch {
      throw CheckpointError(error == .noSuchFileOrDirectory ? .missing : .io, in: path, "can't be read: \(error)")
    }
  }

  /// The whole of a small text file, such as `params.json`.
  static func contents(of path: FilePath) throws(CheckpointError) -> [UInt8] { try open(path).contents() }

  /// All bytes of what should be a small text file.
  func contents(limit: Int = 64 << 20) throws(CheckpointError) -> [UInt8] {
    guard count <= limit else { throw CheckpointError(.corrupt, in: path, "has \(count) bytes; \(limit) are the most that make sense") }
    try require(0..<count)
    return Array(bytes)
  }
}
