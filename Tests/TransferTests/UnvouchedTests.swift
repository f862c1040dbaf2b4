import Foundation
import TestSupport
import Testing
import Transfer

/// What is done, and said, of files that no checklist vouches for, over several runs.
@Suite(.serialized) struct UnvouchedTests {
  /// What vouches for a part of a file that an interrupted run has left.
  @Test(arguments: [("\"one\"", true), ("W/\"one\"", false), (nil, false)] as [(String?, Bool)])
  func aLaterRunGoesOnOnlyBehindAStrongTag(tag: String?, goesOn: Bool) throws {
    try withTemporaryFolder { folder in
      let content = Wares.shared.contents["f/a.pth"] ?? []
      let journal = folder + "/out/f/a.pth.part.journal"
      try #"{"id":"m","files":[{"path":"f/a.pth"}]}"#.write(toFile: folder + "/m.json", atomically: true, encoding: .utf8)
      func drover(_ server: FaultServer) throws -> Outcome {
        try run(
          droverPath, ["download", "--manifest", folder + "/m.json", "--output", folder + "/out", "--yes", "--json", "--connections", "1", "--retries", "0"],
          environment: ["DROVER_URL": FaultTests.linkText(server.port)])
      }
      let server = try FaultServer { request in
        guard request.range == nil || request.turn > 0, let answer = FaultServer.good(request, content, etag: tag).first, case .send(let bytes) = answer else {
          return FaultServer.good(request, content, etag: tag)
        }
        return [.send(Array(bytes.dropLast(1_000_000))), .wait(0.5), .close]
      }
      let first = try drover(server)
      server.stop()
      #expect(first.status == 69, "\(first.errors)")
      #expect(FileManager.default.fileExists(atPath: journal))
      let again = try FaultServer { FaultServer.good($0, content, etag: tag) }
      defer { again.stop() }
      let second = try drover(again)
      #expect(second.status == 0, "\(second.errors)")
      #expect(second.output.contains(goesOn ? "\"resumed\"" : "\"downloaded\"") && second.output.contains("\"verified\" : false"), "\(second.output)")
      #expect(goesOn || second.errors.contains("no checklist vouches for it, and the server gave no strong ETag"), "\(second.errors)")
      #expect((again.bytesSent < content.count) == goesOn)
      #expect(FileManager.default.contents(atPath: folder + "/out/f/a.pth") == Data(content))
    }
  }
}
