import Platform
import Synchronization
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// A file of a download that is read while it arrives: what hasn't come yet is waited for.
///
/// It is for headers and directories: whoever wants all bytes follows the file (`ContentFollower`). What it gives is what was written, before the file's
/// checksum is known; whoever makes something of it must ask `isSound` when the download has ended well.
public final class ArrivingFile: Sendable {
  private let download: Download
  private let part: PartialFile
  private let descriptor: FileDescriptor
  private let generation: Int
  /// Bytes of the whole file.
  public let count: Int
  /// Whether all of it comes with this run.
  public let isNew: Bool

  /// Waits until it is known how long the file is.
  ///
  /// - Parameters:
  ///   - path: as in the download's request.
  /// - Returns: nil when there is no such file, or when the download ended before.
  public init?(_ path: String, of download: Download) {
    guard let part = download.parts.first(where: { $0.name == path }) else { return nil }
    let begun = part.wait(until: { download.isOver }) { state -> (PartialFile.Origin, Int, Int, FileDescriptor?)? in
      // The partial file's own descriptor is closed when the file gets its name.
      guard let origin = state.origin, let length = state.length else { return nil }
      return (origin, length, state.generation, try? state.descriptor?.duplicateForThisProgram())
    }
    // Without one it has its name already.
    guard let (origin, count, generation, open) = begun, let descriptor = open ?? (try? FileDescriptor.open(FilePath(part.path), .readOnly, options: .closeOnExec))
    else { return nil }
    (self.download, self.part, self.descriptor, self.count, self.generation) = (download, part, descriptor, count, generation)
    isNew = origin == .thisRun
  }

  deinit { try? descriptor.close() }

  /// Fills `buffer` from `offset` on, as soon as that is here.
  /// - Throws: when it won't come: the download ended, or begins this file afresh.
  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(TransferError) {
    let range = offset..<offset + buffer.count
    guard range.upperBound <= count else { throw gone }
    let (generation, download) = (generation, download)
    let isHere = part.wait(until: { download.isOver }) { state -> Bool? in
      if state.generation != generation || state.failure != nil { return false }
      return state.origin == .finished || state.written.isSuperset(of: RangeSet(range)) ? true : nil
    }
    guard isHere == true else { throw gone }
    do throws(Errno) { try descriptor.readAll(into: buffer, at: offset) } catch { throw part.failure(error) }
  }

  /// Whether all that was read is of the file as it is now.
  public var isSound: Bool { part.state.peek { $0.generation == generation && $0.failure == nil } }

  private var gone: TransferError { .unreadable(path: part.name, origin: download.link.origin, why: "it won't arrive in this run") }
}

extension Download {
  fileprivate var isOver: Bool { hasEnded.load(ordering: .acquiring) || isCancelled.load(ordering: .relaxed) }
}

extension PartialFile {
  /// Waits until `answer` gives something else than nil.
  /// - Parameter isOver: whether nothing will change any more; asked ten times a second.
  /// - Returns: nil when it was over without an answer.
  fileprivate func wait<R>(until isOver: () -> Bool, _ answer: (State) -> R?) -> R? {
    state.wait { state, deadline -> R?? in
      // What a download left is looked at once more after its end.
      let isOver = isOver()
      if let answer = answer(state) { return answer }
      deadline = steadySeconds() + 0.1
      return isOver ? .some(nil) : nil
    }
  }
}

extension FileDescriptor {
  /// Another descriptor of the same open file, closed when another program is started.
  fileprivate func duplicateForThisProgram() throws(Errno) -> FileDescriptor {
    let copy = fcntl(rawValue, F_DUPFD_CLOEXEC, 0)
    guard copy >= 0 else { throw Errno(rawValue: errno) }
    return FileDescriptor(rawValue: copy)
  }
}
