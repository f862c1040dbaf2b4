/// What must be found at a place that a reader of headers went by: in a file that isn't all here, a look at it would cost a request or a wait.
///
/// Whoever sees the bytes later, such as one who reads the file as it arrives, holds them against this.
public struct ExpectedBytes: Sendable, Equatable {
  /// Index into `Checkpoint.files`.
  public let file: Int
  /// Of the first byte.
  public let offset: Int
  public let bytes: [UInt8]
  /// What it is, for a message.
  public let what: String

  public var range: Range<Int> { offset..<offset + bytes.count }

  /// Reads the place, and compares.
  /// - Throws: `.corrupt` where something else is there.
  public func check(in files: [any ByteSource]) throws(CheckpointError) {
    let source = files[file]
    guard try source.bytes(range) == bytes else {
      throw CheckpointError(.corrupt, in: source.path, byte: offset, "isn't \(what), as the file's directory has it")
    }
  }
}
