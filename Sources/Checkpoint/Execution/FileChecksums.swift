import CKernels
import Synchronization

/// The CRC-32 of a file's pieces, out of stretches that are done in any order.
///
/// The CRC of a sum of strings is the sum of theirs, so a stretch's is moved to its place in the piece, over the bytes behind it, and added.
final class FileChecksums: Sendable {
  private let file: OutputFile
  /// By piece.
  private let sums = Mutex<[Int: UInt32]>([:])

  init(_ file: OutputFile) { self.file = file }

  /// Takes a stretch of a piece.
  /// - Parameter offset: of its first byte in the file.
  /// - Returns: what it adds to the piece's; nil where nobody asks for that.
  func add(_ bytes: UnsafeRawBufferPointer, at offset: Int, piece: Int) -> UInt32? {
    guard file.needsChecksums else { return nil }
    let sum = drover_crc32(0, bytes.baseAddress, bytes.count)
    let behind = file.pieces[piece].offset + file.pieces[piece].byteCount - offset - bytes.count
    let moved = drover_crc32_combine(sum, 0, UInt64(behind))
    add(moved, piece: piece)
    return moved
  }

  /// Takes what stretches of a piece add, that were done in an earlier run.
  func add(_ sum: UInt32, piece: Int) { sums.withLock { $0[piece, default: 0] ^= sum } }

  /// The bytes of a piece that has no region, with the checksums of those before it, which must be done.
  func bytes(ofPiece index: Int) -> [UInt8]? {
    guard case .bytes(var bytes, let checksums) = file.pieces[index].content else { return nil }
    if checksums.isEmpty { return bytes }
    let sums = sums.withLock { $0 }
    for checksum in checksums {
      let sum = checksum.pieces.reduce(UInt32(0)) { drover_crc32_combine($0, sums[$1] ?? 0, UInt64(file.pieces[$1].byteCount)) }
      for (index, byte) in sum.littleEndianBytes.enumerated() { bytes[checksum.at + index] = byte }
    }
    return bytes
  }
}
