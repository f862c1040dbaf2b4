import Platform
import SystemPackage

/// Where the bytes of one file of a checkpoint come from: a file of this machine (`LocalFile`), one behind a link of which
/// only the headers are looked at (`RemoteHeaders`), or one that is on its way here (Arrival's).
///
/// Headers are read in small pieces by way of a `ByteReader`, weights in requests of up to megabytes.
public protocol ByteSource: Sendable {
  /// What messages call the file; where it lies, if it is on this machine.
  var path: FilePath { get }
  /// Bytes of the whole file.
  var count: Int { get }
  /// Whether all bytes are on this machine now. Otherwise each look at another place of the file costs a round trip, or waits until the place has
  /// arrived.
  var isHere: Bool { get }

  /// Whether it isn't here, but all of it is about to pass: then a look at a few of its bytes is worth a round trip, and what isn't looked at now is
  /// never looked at.
  var isArriving: Bool { get }

  /// Fills `buffer` with the bytes from `offset` on.
  /// - Throws: `.corrupt` beyond the end of the file; `.io`, with the cause, where bytes can't be had.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(CheckpointError)

  /// Sees to it that all reads so far were of one version of the file.
  /// - Throws: `.corrupt` where somebody wrote to it since it was opened.
  func checkUnchanged() throws(CheckpointError)

  /// The file in memory, for the engine.
  /// - Throws: `.refused` for a file that isn't on this machine.
  func mapped() throws(CheckpointError) -> MappedFile
}

extension ByteSource {
  public var isArriving: Bool { false }

  /// What comes from elsewhere is held against its validator or its digest as it comes.
  public func checkUnchanged() throws(CheckpointError) {}

  public func mapped() throws(CheckpointError) -> MappedFile {
    throw CheckpointError(.refused, in: path, "isn't on this machine, so it can't be run; download it first")
  }

  /// The bytes of `range`, which may reach beyond the end only by mistake: that is an error.
  func bytes(_ range: Range<Int>) throws(CheckpointError) -> [UInt8] {
    guard range.lowerBound >= 0, range.upperBound <= count else {
      throw CheckpointError(.corrupt, in: path, byte: range.lowerBound, "ends at byte \(count), where \(range.count) more are due: it is cut off or damaged")
    }
    return try [UInt8](unsafeUninitializedCapacity: range.count) { (buffer, filled) throws(CheckpointError) in
      try read(into: UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: buffer[..<range.count])), at: range.lowerBound)
      filled = range.count
    }
  }

  /// Says what the file is when it is none of the kind that its name says: a web page, or a pointer to the file.
  /// - Parameter isText: whether it may begin as a web page does, as a licence may.
  func refuseStandIn(isText: Bool = false) throws(CheckpointError) {
    guard let standIn = StandIn(try bytes(0..<min(count, StandIn.headBytes)), isText: isText) else { return }
    throw CheckpointError(.corrupt, in: path, byte: 0, standIn.description)
  }

  /// All bytes of what should be a small text file.
  func contents(limit: Int = smallFileLimit) throws(CheckpointError) -> [UInt8] {
    guard count <= limit else { throw CheckpointError(.corrupt, in: path, "has \(count) bytes; \(limit) are the most that make sense") }
    return try bytes(0..<count)
  }
}

/// The most bytes that a description, a tokenizer or a licence has.
let smallFileLimit = 64 << 20
