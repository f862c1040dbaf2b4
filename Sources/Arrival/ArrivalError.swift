/// Why releases can't be fetched as asked.
public enum ArrivalError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Two releases have a file that lands in one place, and it isn't the same file.
  case sharedPath(String)
  case noSuchFile(String, of: String)
  /// A repository names a file so that it must not be written.
  case unsafePath(String, of: String, why: String)
  /// Stopped before all receipts were written.
  case receiptsInterrupted

  public var description: String {
    switch self {
    case .sharedPath(let path): "two of these releases have a \(path), each its own; download them one at a time, into different folders"
    case .noSuchFile(let name, let release): "\(release) has no file \(name)"
    case .unsafePath(let path, let name, let why): "\(name) has the path \"\(path.prefix(200))\", which \(why); leave it out with --exclude"
    case .receiptsInterrupted: "interrupted: all files are here and verified; the same command again writes the receipt"
    }
  }
}
