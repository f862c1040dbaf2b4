import Foundation
import TestSupport
import Testing
import Transfer

/// Two releases in one run, one of which can't be had: the other comes all the same, with its receipt.
@Suite(.serialized) struct TwoReleasesTests {
  private struct Document: Decodable {
    struct File: Decodable {
      let path, status: String
      let bytes: Int?
      let error: String?
    }
    let files: [File]
    let error: String?
  }

  @Test(arguments: [
    (403, "", Int32(69), "first/checklist.chk: the server refuses this file (HTTP status 403): the link opens others, such as second/"),
    (404, "", 69, "first/checklist.chk: the server has no such file"), (500, "", 69, "HTTP status 500, after one retry"),
    (200, "<html>log in</html>", 65, "first/checklist.chk: http://127.0.0.1"), (200, "nonsense\n", 65, "first/checklist.chk"),
  ])
  func theOtherComes(code: Int, body: String, status: Int32, words: String) throws {
    try withTemporaryFolder { folder in
      let contents = Wares.shared.contents
      let server = try FaultServer { request in
        if request.path.hasPrefix("first/") { return FaultServer.status(code, body: body) }
        return FaultServer.good(request, contents[request.path.replacing("second/", with: "f/")])
      }
      defer { server.stop() }
      let releases = ["first", "second"].map { name in
        let files = Wares.shared.files.map { #"{"path": "\#($0.path.replacing("f/", with: name + "/"))"}"# }
        return #"{"id": "\#(name)", "files": [\#(files.joined(separator: ","))]}"#
      }
      try "[\(releases.joined(separator: ","))]".write(toFile: folder + "/m.json", atomically: true, encoding: .utf8)
      let outcome = try run(
        droverPath, ["download", "--manifest", folder + "/m.json", "--output", folder + "/out", "--yes", "--json", "--retries", "1", "--retry-time", "1.5min"],
        environment: ["DROVER_URL": FaultTests.linkText(server.port)])
      #expect(outcome.status == status && outcome.errors.contains(words), "\(outcome.status) \(outcome.errors)")
      // The document tells of each file, and why the run failed.
      let document = try JSONDecoder().decode(Document.self, from: Data(outcome.output.utf8))
      #expect(document.error?.contains(words) == true, "\(document)")
      for file in document.files {
        switch file.path {
        case "first/checklist.chk": #expect(file.status == "failed" && file.error?.contains(words) == true && file.bytes == nil, "\(file)")
        case let path where path.hasPrefix("first/"): #expect(file.status == "withheld" && file.error?.contains("checklist.chk should vouch for it") == true, "\(file)")
        default: #expect(file.status == "downloaded" && file.error == nil && file.bytes == contents[file.path.replacing("second/", with: "f/")]?.count, "\(file)")
        }
      }
      #expect(document.files.count == 2 * Wares.shared.files.count)
      let here = try FileManager.default.subpathsOfDirectory(atPath: folder + "/out").sorted()
      #expect(here == ["first", "second"] + ["a.pth", "b.pth", "checklist.chk", "drover-receipt.json", "params.json"].map { "second/" + $0 })
      #expect(try run("/usr/bin/md5sum", ["-c", "--quiet", "checklist.chk"], in: folder + "/out/second").status == 0)
    }
  }

  @Test(arguments: ["-1", "soon", "1 fortnight", "500 days"]) func aTimeThatIsNoneIsRefused(text: String) throws {
    let outcome = try run(droverPath, ["download", "7B", "--retry-time", text])
    #expect(outcome.status == 64 && outcome.errors.contains("--retry-time"), "\(outcome.errors)")
  }
}
