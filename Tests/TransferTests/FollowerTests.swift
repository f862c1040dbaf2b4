import Foundation
import Glibc
import Integrity
import Synchronization
import SystemPackage
import TestSupport
import Testing
import Transfer

/// Whoever follows a file is given its bytes in order, over several runs too.
@Suite(.serialized) struct FollowerTests {
  /// Hashes what it is given, and remembers where it was given what.
  final class Listener: ContentFollower {
    private struct State {
      var hash = SHA256()
      var start: Int?
      var isInOrder = true
    }

    private let state = Mutex(State())
    /// What is done when so many bytes were taken.
    private let end = Mutex<(at: Int, action: @Sendable () -> Void)?>(nil)

    func whenTaken(_ bytes: Int, _ action: @escaping @Sendable () -> Void) { end.withLock { $0 = (bytes, action) } }

    func begin(_ file: any FollowedFile) { state.withLock { $0 = State() } }

    func resume(from saved: [UInt8], at offset: Int, of file: any FollowedFile) -> Bool {
      state.withLock { state in
        guard let hash = SHA256(state: saved), Int(hash.byteCount) == offset else { return false }
        state = State(hash: hash)
        return true
      }
    }

    func take(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
      state.withLock { state in
        state.isInOrder = state.isInOrder && offset == Int(state.hash.byteCount)
        state.start = state.start ?? offset
        state.hash.update(bytes)
      }
      let action = end.withLock { end in
        guard let reached = end, reached.at <= position else { return nil as (@Sendable () -> Void)? }
        end = nil
        return reached.action
      }
      action?()
    }

    func savedState() -> [UInt8] { state.withLock { $0.hash.state } }

    var digest: String { state.withLock { $0.hash.finalize().hex } }
    /// Where this run's first byte was.
    var start: Int? { state.withLock { $0.start } }
    var isInOrder: Bool { state.withLock { $0.isInOrder } }
    var position: Int { state.withLock { Int($0.hash.byteCount) } }
  }

  private func download(_ stage: ResumeTests.Stage, _ nginx: Nginx, _ listener: Listener, connections: Int? = nil) throws -> Download {
    let files = ["m/checklist.chk", "m/params.json", "m/consolidated.00.pth"].map { TransferRequest.File(path: $0, remote: $0, directoryBytes: $0.hasSuffix("pth") ? 1 << 20 : 0) }
    return Download(TransferRequest(files: files, folder: FilePath(stage.output), connections: connections), link: try FaultTests.link(nginx.port), followers: ["m/consolidated.00.pth": listener])
  }

  @Test(.needs(.nginx)) func aFollowerHasSeenTheWholeFileAfterTwoRuns() async throws {
    let folder = NSTemporaryDirectory() + "drover-follow-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let stage = try ResumeTests.Stage(folder, megabytes: 50)
    let slow = try Nginx(root: stage.root, directives: "limit_rate_after 6m; limit_rate 1m;")
    defer { slow.stop() }
    let first = Listener()
    let interrupted = try download(stage, slow, first, connections: 1)
    // Not from here: on a machine that is busy with other tests this task would come too late.
    first.whenTaken(4_000_000) { interrupted.cancel() }
    await #expect(throws: TransferError.self) { try await interrupted.run() }
    #expect(first.isInOrder)

    let fast = try Nginx(root: stage.root)
    defer { fast.stop() }
    let second = Listener()
    let report = try await download(stage, fast, second).run()
    let file = try #require(report.files.first { $0.path.hasSuffix("pth") })
    #expect(file.isFollowed && file.isVerified && file.status == .resumed)
    // It goes on where the first run's ended, and has seen what coreutils see.
    #expect(second.isInOrder && second.start == first.position && first.position < file.bytes)
    let wanted = try TestSupport.run("/usr/bin/sha256sum", [stage.final]).output.prefix(64)
    #expect(second.digest == wanted)
    try expectStates(file, of: stage.final)
  }

  /// Each piece, hashed from the value before it, ends in the value after it, and the last in the digest that `md5sum` gives.
  private func expectStates(_ file: TransferReport.File, of path: String) throws {
    let digest = try TestSupport.run("/usr/bin/md5sum", [path]).output.prefix(32)
    #expect(file.digest.digest.hex == digest)
    let states = file.digest.states
    #expect(states.count == 2)
    let content = [UInt8](try Data(contentsOf: URL(filePath: path)))
    for index in 0...states.count {
      let start = index * ChainStates.interval
      var hash = index == 0 ? MD5() : try #require(MD5(chain: states[index - 1], byteCount: start))
      hash.update(Array(content[start..<min(start + ChainStates.interval, content.count)]))
      if index < states.count { #expect(hash.chain == Array(states[index])) } else { #expect(hash.finalize().hex == digest) }
    }
  }
}
