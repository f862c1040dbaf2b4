/// What must be found at a place that a reader of headers went by: in a file that isn't all here, a look at it would cost a request or a wait.
///
/// Whoever sees the bytes later holds them against this; see `Checkpoint.checkExpectations`.
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
  func check(in files: [any ByteSource]) throws(CheckpointError) {
    let source = files[file]
    guard try source.bytes(range) == bytes else {
      throw CheckpointError(.corrupt, in: source.path, byte: offset, "isn't \(what), as the file's directory has it")
    }
  }
}

extension Checkpoint {
  /// Looks at what the reader took on trust, once all files are here.
  /// - Throws: `.corrupt` where something else is there, so that tensors may lie elsewhere than the reader had them.
  public func checkExpectations() throws(CheckpointError) {
    for expectation in expectations { try expectation.check(in: files) }
  }
}
