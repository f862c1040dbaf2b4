import Foundation
import TestSupport
import Testing

/// The link on its way through the program: seen by nobody.
@Suite(.serialized) struct SecretTests {
  private let secret = "sEcReTsIgNaTuRe"

  @Test(.needs(.nginx)) func theLinkIsInNoFileNoMessageAndNoProcessTitle() throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 30)
      let nginx = try Nginx(root: stage.root, directives: "limit_rate 2m;")
      defer { nginx.stop() }
      let link = "http://127.0.0.1:\(nginx.port)/*?sig=\(secret)&se=2099-01-01"
      for (arguments, environment) in [(["--url", link], [:]), (["--url=" + link], [:]), ([], ["DROVER_URL": link])] {
        try? FileManager.default.removeItem(atPath: stage.output)
        let process = Process()
        let said = folder + "/said"
        try Data().write(to: URL(filePath: said))
        process.executableURL = URL(filePath: droverPath)
        process.arguments = ["download", "--manifest", stage.manifest, "--output", stage.output, "--yes", "--verbose", "--connections", "2"] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardError = FileHandle(forWritingAtPath: said)
        process.standardOutput = process.standardError
        try process.run()
        stage.waitForPart(atLeast: 1)
        #expect(process.isRunning)
        for name in ["cmdline", "environ"] {
          let text = String(decoding: FileManager.default.contents(atPath: "/proc/\(process.processIdentifier)/\(name)") ?? Data(), as: UTF8.self)
          #expect(!text.isEmpty && !text.contains(secret), "\(name)")
        }
        try expectNothing(in: stage.output)
        nginx.kill()
        process.interrupt()
        process.waitUntilExit()
        #expect(process.terminationStatus == 130)
        try expectNothing(in: stage.output)
        #expect(try !String(contentsOfFile: said, encoding: .utf8).contains(secret))
        try nginx.start()
      }
    }
  }

  private func expectNothing(in folder: String) throws {
    for path in try FileManager.default.subpathsOfDirectory(atPath: folder) {
      guard let data = FileManager.default.contents(atPath: folder + "/" + path) else { continue }
      #expect(data.range(of: Data(secret.utf8)) == nil, "\(path)")
    }
  }

  /// Each mistake ends with its own code and sentence, before anything is asked of a server.
  @Test(arguments: [
    ("https://download.llamameta.net/*", 64, "cut off"), ("https://download.llamameta.net/?Policy=sEcReTsIgNaTuRe", 64, "no *"), ("nonsense", 64, "not a link"),
    ("https://s/*?X-Amz-Date=20200101T000000Z&X-Amz-Expires=60&X-Amz-Signature=sEcReTsIgNaTuRe", 77, "expired"),
    ("https://t.co/sEcReTsIgNaTuRe", 64, "tracker"),
  ])
  func mistakesHaveTheirOwnMessage(link: String, status: Int, words: String) throws {
    try withTemporaryFolder { folder in
      let outcome = try drover("download", "7B", "--output", folder + "/out", "--yes", environment: ["DROVER_URL": link])
      #expect(outcome.status == Int32(status) && outcome.errors.contains(words), "\(outcome.errors)")
      #expect(!outcome.errors.contains(secret) && outcome.output.isEmpty)
      #expect(!FileManager.default.fileExists(atPath: folder + "/out"))
    }
  }
}
