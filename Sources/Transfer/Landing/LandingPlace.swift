import Platform
import SystemPackage

/// Where a file's bytes land: on the disk, under its name (`PartialFile`), or with somebody who makes something else of them at once (`PassingFile`).
///
/// Workers write (`Landing`), the keeper's thread keeps, names and removes; each takes the state's lock for a moment only.
protocol LandingPlace: AnyObject, Sendable {
  /// What errors and journals call the file.
  var name: String { get }
  var state: Monitor<PartialFile.State> { get }
  /// Only bytes before this one may be asked for now.
  var askableEnd: Int { get }
  /// Bytes of the file that the disk has already, of those that it needs for the file.
  var bytesOnDisk: Int { get }

  /// Sees to it that there will be room for all of the file.
  func allocate(_ length: Int) throws(TransferError)

  /// Takes all bytes of `range`, which a block has, without saying yet that they are there. Called on several threads, for each byte once.
  func write(_ block: Block, _ range: Range<Int>) throws(Errno)

  /// Fills `memory` with bytes that were written.
  func read(into memory: UnsafeMutableRawBufferPointer, at offset: Int) throws(Errno)

  /// Hears where the file's hash is: all bytes before that were written.
  func hashed(_ hash: FileHash)

  /// Sees to it that a later run can go on from here.
  ///
  /// - Parameters:
  ///   - snapshot: where the file's chain is; taken before, so that all that it has hashed is among what was written.
  ///   - isClosed: that nothing will be written after this.
  /// - Returns: whether there is nothing that should be tried again.
  func keep(_ snapshot: Landing.Snapshot, isClosed: Bool) -> Bool

  /// Forgets all content.
  func startAfresh() throws(TransferError)

  /// The file is whole and right.
  /// - Parameter snapshot: of the whole file's chain.
  /// - Returns: what another file under its name is called now.
  func commit(_ snapshot: Landing.Snapshot) throws(TransferError) -> String?

  /// Gives up what is here.
  /// - Parameter keeping: whether under another name.
  /// - Returns: where it was moved.
  func discard(keeping: Bool) -> String?

  /// Lets go of what is open.
  func close()
}

extension LandingPlace {
  func hashed(_ hash: FileHash) {}

  /// Says that a range was written.
  func record(_ range: Range<Int>) { state.update { $0.written.insert(contentsOf: range) } }

  func failure(_ error: any Error) -> TransferError { .disk(path: name, errno: (error as? Errno ?? .ioError).rawValue) }
}
