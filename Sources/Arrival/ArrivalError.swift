import Checkpoint
import Integrity
import SystemPackage

/// Why releases can't be fetched as asked.
public enum ArrivalError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Two releases have a file that lands in one place, and it isn't the same file.
  case sharedPath(String)
  case noSuchFile(String, of: String)
  /// A repository names a file so that it must not be written.
  case unsafePath(String, of: String, why: String)
  /// A link's file is called so that it must not be written.
  case unsafeName(String, why: String)
  /// The publisher has another version of a file than the lists here are of.
  case otherVersion(String, says: Digest, was: Digest)
  /// A blob of the hub's cache that isn't what it is called by.
  case damagedInCache(FilePath, name: String)
  /// A file's name couldn't be made in the hub's cache.
  case link(FilePath, why: String)
  /// The hub has another content of a file at the commit that it is of here.
  case otherContent(String)
  /// A file that is to be pulled, and whose publisher gives no digest that would tell whether it is right.
  case unvouched(String)
  case noWeights(of: String)
  /// A file whose bytes aren't those that the plan was made from.
  case changed(CheckpointError)
  /// What was begun at a place with other options.
  case otherPull(FilePath, option: String, begun: String?, now: String?)
  /// Stopped before it was known what is damaged.
  case repairInterrupted
  /// Stopped before all receipts were written.
  case receiptsInterrupted

  public var description: String {
    switch self {
    case .sharedPath(let path): "two of these releases have a \(path), each its own; download them one at a time, into different folders"
    case .noSuchFile(let name, let release): "\(release) has no file \(name)"
    case .unsafePath(let path, let name, let why): "\(name) has the path \"\(path.prefix(200))\", which \(why); leave it out with --exclude"
    case .unsafeName(let name, let why): "the link's file is called \"\(name.prefix(200))\", which \(why); a manifest can give it another path"
    case .otherVersion(let path, let says, let was):
      "\(path): the server has another version: its list says \(says), the lists here say \(was); nothing was changed. `drover download` fetches the other version"
    case .damagedInCache(let path, let name): "\(path): it is damaged: its content isn't what the hub's cache calls it by; `drover repair \(name)` fetches it again, when the hub may be asked"
    case .link(let path, let why): "\(path): the file's name can't be made in the hub's cache: \(why); the files themselves are here, run the same command again"
    case .otherContent(let path): "\(path): the hub has another content at this commit than its cache here says; nothing was changed"
    case .unvouched(let path): "\(path): nothing says what its digest must be, so it can't be verified on its way; --unverified takes it as it comes"
    case .changed(let error): error.description
    case .otherPull(let place, let option, let begun, let now):
      "\(place): a pull to it was interrupted that was asked for other things (\(option): \(begun ?? "nothing said"), and now \(now ?? "nothing said")); run that command again to go on, or this one with --discard, which throws away what that one has made"
    case .noWeights(let name): "\(name) has no files of weights that could be pulled; `drover download` takes what it has"
    case .repairInterrupted: "interrupted; nothing was changed"
    case .receiptsInterrupted: "interrupted: all files are here and verified; the same command again writes the receipt"
    }
  }
}
