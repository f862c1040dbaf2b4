import Glibc
import Synchronization

/// A file of a download that is read while it arrives: what hasn't come yet is waited for.
///
/// What it gives is what was written, before the file's checksum is known. Whoever makes something of it must ask `isSound` when the download has
/// ended well.
public final class ArrivingFile: Sendable {
  private let download: Download
  private let part: PartialFile
  private let descriptor: Int32
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
    let begun = download.wait {
      part.state.withLock { state in
        // The partial file's own descriptor is closed when the file gets its name.
        state.origin.flatMap { origin in state.length.map { (origin, $0, state.generation, fcntl(state.descriptor, F_DUPFD_CLOEXEC, 0)) } }
      }
    }
    guard let (origin, count, generation, descriptor) = begun else { return nil }
    (self.download, self.part, self.count, self.generation) = (download, part, count, generation)
    isNew = origin == .thisRun
    // Without one it has its name already.
    self.descriptor = descriptor >= 0 ? descriptor : open(part.path, O_RDONLY | O_CLOEXEC)
    if self.descriptor < 0 { return nil }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Fills `buffer` from `offset` on, as soon as that is here.
  /// - Throws: when it won't come: the download ended, or begins this file afresh.
  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(TransferError) {
    let range = offset..<offset + buffer.count
    guard range.upperBound <= count else { throw gone }
    let isHere = download.wait { [part, generation] in
      part.state.withLock { state -> Bool? in
        if state.generation != generation || state.failure != 0 { return false }
        return state.origin == .finished || state.written.isSuperset(of: RangeSet(range)) ? true : nil
      }
    }
    guard isHere == true else { throw gone }
    var done = 0
    while done < buffer.count {
      let got = pread(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, off_t(offset + done))
      if got < 0, errno == EINTR { continue }
      guard got > 0 else { throw .disk(path: part.name, errno: got < 0 ? errno : EIO) }
      done += got
    }
  }

  /// Whether all that was read is of the file as it is now.
  public var isSound: Bool { part.state.withLock { $0.generation == generation && $0.failure == 0 } }

  private var gone: TransferError { .unreadable(path: part.name, origin: download.link.origin, why: "it won't arrive in this run") }
}

extension Download {
  /// Asks again and again, first often and then less so.
  /// - Returns: nil when the download ended without an answer.
  fileprivate func wait<R>(_ answer: () -> R?) -> R? {
    var pause = 0.001
    while true {
      // What it left is looked at once more after its end.
      let hasEnded = hasEnded.load(ordering: .acquiring)
      if let answer = answer() { return answer }
      if hasEnded || isCancelled.load(ordering: .relaxed) { return nil }
      usleep(UInt32(pause * 1e6))
      pause = min(0.02, pause * 1.5)
    }
  }
}
