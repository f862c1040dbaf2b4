import SystemPackage

/// Why a checkpoint could not be read, resharded or written: what, in which file, at which byte or tensor.
public struct CheckpointError: Error, CustomStringConvertible {
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

  /// What a source of bytes that isn't this machine's disk threw.
  public let cause: (any Error)?

  public init(_ reason: Reason, in file: FilePath? = nil, byte: Int? = nil, _ message: String, cause: (any Error)? = nil) {
    self.reason = reason
    self.file = file
    self.byte = byte
    self.message = message
    self.cause = cause
  }

  public var description: String {
    guard let file else { return message }
    return byte.map { "\(file), byte \($0): \(message)" } ?? "\(file): \(message)"
  }
}

extension CheckpointError: Equatable {
  /// Whether both say the same.
  public static func == (a: Self, b: Self) -> Bool { (a.reason, a.file, a.byte, a.message) == (b.reason, b.file, b.byte, b.message) }
}
