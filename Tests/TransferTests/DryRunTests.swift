import Foundation
import TestSupport
import Testing

/// `download --dry-run`: what it says is what the download then does, and it leaves nothing.
@Suite(.serialized) struct DryRunTests {
  private struct Document: Decodable {
    struct File: Decodable {
      let path, status: String
      let bytes: Int?
      let here: Int
      let error: String?
    }
    struct Disk: Decodable {
      let needed: Int
      let free: Int?
    }
    struct Memory: Decodable {
      let model: String
      let weights, cache: Int?
      let context: Int
    }
    struct Link: Decodable {
      let host: String
      let expires: Int?
    }
    let files: [File]
    let bytes, bytesHere, bytesToFetch, requests: Int
    let disk: Disk
    let memory: [Memory]
    let link: Link
    let error: String?
  }

  private static let params = #"{"dim": 64, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "head_dim": 16}"#

  /// The wares with a description that tells what a text takes.
  private static let contents: [String: [UInt8]] = Wares.shared.contents.merging(["f/params.json": Array(params.utf8)]) { $1 }.filter { $0.key != "f/checklist.chk" }

  private func download(_ server: FaultServer, _ folder: String, _ arguments: String...) throws -> Outcome {
    let files = Self.contents.keys.sorted().map { #"{"path": "\#($0)"}"# } + [#"{"path": "f/LICENSE", "optional": true}"#]
    try #"{"id": "m", "files": [\#(files.joined(separator: ","))]}"#.write(toFile: folder + "/m.json", atomically: true, encoding: .utf8)
    return try run(
      droverPath, ["download", "--manifest", folder + "/m.json", "--output", folder + "/out/deep", "--yes", "--json", "--retries", "0", "--connections", "1"] + arguments,
      environment: ["DROVER_URL": FaultTests.linkText(server.port)])
  }

  private func forecast(_ server: FaultServer, _ folder: String, status: Int32 = 0) throws -> Document {
    let before = try? FileManager.default.subpathsOfDirectory(atPath: folder + "/out")
    let outcome = try download(server, folder, "--dry-run")
    #expect(outcome.status == status, "\(outcome)")
    #expect(!(outcome.output + outcome.errors).contains(FaultTests.secret))
    #expect(try FileManager.default.subpathsOfDirectory(atPath: folder).contains("out") == (before != nil))
    #expect((try? FileManager.default.subpathsOfDirectory(atPath: folder + "/out")) == before)
    return try JSONDecoder().decode(Document.self, from: Data(outcome.output.utf8))
  }

  @Test func saysWhatTheDownloadThenDoes() throws {
    try withTemporaryFolder { folder in
      let server = try FaultServer { request in
        // The first download of the large file breaks off.
        guard request.path == "f/a.pth", request.range?.count ?? 0 > 1_000_000, let answer = FaultServer.good(request, Self.contents[request.path]).first, case .send(let bytes) = answer,
          request.turn < 3
        else { return FaultServer.good(request, Self.contents[request.path]) }
        return [.send(Array(bytes.dropLast(1_000_000))), .wait(0.5), .close]
      }
      defer { server.stop() }
      let total = Self.contents.values.reduce(0) { $0 + $1.count }
      let first = try forecast(server, folder)
      // One request a file, and one for the description.
      #expect(first.requests == 4 && server.requests == 5 && server.bytesSent < 5000)
      #expect(first.bytes == total && first.bytesToFetch == total && first.bytesHere == 0 && first.disk.needed == total)
      #expect(first.files.map(\.status) == ["absent", "absent", "absent", "skipped"] && first.error == nil)
      #expect(first.files.allSatisfy { $0.bytes == Self.contents[$0.path]?.count && $0.here == 0 })
      let space = try run("/usr/bin/stat", ["-f", "-c", "%a %S", folder]).output.split(separator: " ").compactMap { Int($0.trimmingCharacters(in: .newlines)) }
      #expect(abs((first.disk.free ?? 0) - space[0] * space[1]) < 2_000_000_000)
      // Two layers' keys and values, of two heads of 16 float32 each, for 512 tokens: torch has as many in the reference's cache_k and cache_v.
      let weights = ["f/a.pth", "f/b.pth"].reduce(0) { $0 + (Self.contents[$1]?.count ?? 0) }
      #expect(first.memory.map(\.weights) == [weights] && first.memory.map(\.cache) == [2 * 2 * 2 * 16 * 4 * 512] && first.memory.map(\.context) == [512])
      #expect(first.link.host == "127.0.0.1" && (first.link.expires ?? 0) > 1_700_000_000)

      #expect(try download(server, folder).status == 69)
      let second = try forecast(server, folder)
      let partial = try #require(second.files.first { $0.path == "f/a.pth" })
      let onDisk = try FileManager.default.attributesOfItem(atPath: folder + "/out/deep/f/a.pth.part")[.size] as? Int ?? 0
      #expect(partial.status == "partial" && (1...onDisk).contains(partial.here) && second.bytesToFetch == total - second.bytesHere && second.disk.needed <= total - 1_000_000, "\(second)")

      #expect(try download(server, folder).status == 0)
      let third = try forecast(server, folder)
      #expect(third.files.map(\.status) == ["present", "present", "present", "skipped"] && third.bytesToFetch == 0 && third.disk.needed == 0 && third.bytesHere == total)
    }
  }

  /// What can't be had, and what the program ends with; nothing more is asked for than it takes to know.
  @Test(arguments: [
    (403, nil, Int32(77), 3, "opens nothing"), (403, "f/b.pth", 69, 4, "opens all but 1"), (404, "f/b.pth", 69, 4, "opens all but 1"), (200, "f/b.pth", 65, 4, "opens all but 1"),
  ] as [(Int, String?, Int32, Int, String)])
  func saysWhatTheLinkDoesNotOpen(code: Int, path: String?, status: Int32, requests: Int, words: String) throws {
    try withTemporaryFolder { folder in
      let server = try FaultServer { request in
        guard path == nil || request.path == path else { return FaultServer.good(request, Self.contents[request.path]) }
        return FaultServer.status(code, body: "<html>sign in</html>")
      }
      defer { server.stop() }
      let document = try forecast(server, folder, status: status)
      #expect(document.error != nil && document.requests == requests)
      #expect(document.files.count { $0.status == "failed" } == (path == nil ? 3 : 1))
      let text = try run(
        droverPath, ["download", "--manifest", folder + "/m.json", "--output", folder + "/out", "--dry-run", "--retries", "0"], environment: ["DROVER_URL": FaultTests.linkText(server.port)])
      #expect(text.status == status && text.output.contains(words), "\(text)")
    }
  }

  @Test func saysThatTheDiskIsTooSmall() throws {
    try withTemporaryFolder { folder in
      let server = try FaultServer { request in
        guard request.path == "f/a.pth", let content = Self.contents[request.path], let range = request.range?.clamped(to: 0..<content.count) else {
          return FaultServer.good(request, Self.contents[request.path])
        }
        return [.send(FaultServer.partHead(range.lowerBound, range.count, of: 1 << 60) + content[range])]
      }
      defer { server.stop() }
      let document = try forecast(server, folder, status: 73)
      #expect(document.error?.contains("bytes are needed") == true && document.disk.needed > 1 << 60)
    }
  }
}
