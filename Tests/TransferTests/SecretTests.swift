import Foundation
import Glibc
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
        try expectNothing(in: stage.output)
        nginx.kill()
        process.interrupt()
        // Once hidden it stays so, up to the end. The environment is root's alone to read.
        var looks = 0
        repeat {
          for name in ["cmdline", "environ"] {
            guard let text = FileManager.default.contents(atPath: "/proc/\(process.processIdentifier)/\(name)") else { continue }
            #expect(text.range(of: Data(secret.utf8)) == nil, "\(name)")
            if !text.isEmpty { looks += 1 }
          }
        } while process.isRunning
        #expect(looks > 0)
        process.waitUntilExit()
        #expect(process.terminationStatus == 130)
        try expectNothing(in: stage.output)
        #expect(try !String(contentsOfFile: said, encoding: .utf8).contains(secret))
        try nginx.start()
      }
    }
  }

  /// Whether a program that crashes here leaves its memory in its folder.
  static let dumpsCores: Bool = {
    let files = try? withTemporaryFolder { folder in
      _ = try run("/bin/bash", ["-c", "ulimit -c unlimited; sh -c 'kill -ABRT $$'"], in: folder)
      return try FileManager.default.contentsOfDirectory(atPath: folder)
    }
    return files?.isEmpty == false
  }()

  @Test(.enabled(if: dumpsCores, "needs core dumps (/proc/sys/kernel/core_pattern)")) func theLinkIsInNoCoreDump() throws {
    try withTemporaryFolder { folder in
      let server = try FaultServer { _ in [.wait(60)] }
      defer { server.stop() }
      try #"{"id":"m","files":[{"path":"f/a.pth"}]}"#.write(toFile: folder + "/m.json", atomically: true, encoding: .utf8)
      let process = Process()
      process.executableURL = URL(filePath: "/bin/bash")
      process.arguments = ["-c", "ulimit -c unlimited; exec '\(droverPath)' download --manifest m.json --output out --yes"]
      process.environment = ProcessInfo.processInfo.environment.merging(["DROVER_URL": FaultTests.linkText(server.port)]) { $1 }
      process.currentDirectoryURL = URL(filePath: folder)
      process.standardError = FileHandle.nullDevice
      try process.run()
      #expect(waitUntil { server.requests > 0 })
      kill(process.processIdentifier, SIGABRT)
      process.waitUntilExit()
      #expect(process.terminationReason == .uncaughtSignal)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["m.json", "out"])
    }
  }

  private func expectNothing(in folder: String) throws {
    for path in try FileManager.default.subpathsOfDirectory(atPath: folder) {
      guard let data = FileManager.default.contents(atPath: folder + "/" + path) else { continue }
      #expect(data.range(of: Data(secret.utf8)) == nil, "\(path)")
    }
  }

  /// A link in the place of something else is refused without a word of it, in whatever shape it comes.
  @Test(arguments: [
    ["verify", "LINK"], ["fingerprint", "LINK"], ["complete", "LINK", "--prompt", "x"], ["chat", "LINK"], ["bench", "LINK"], ["reshard", "LINK", "x", "--mp", "1"],
    ["catalog", "LINK"], ["inspect", "--model", "LINK"], ["download", "LINK"], ["download", "7B", "--manifest", "LINK"], ["download", "7B", "--cacert", "LINK"], ["LINK"],
    ["verify", "--nope", "LINK"],
  ])
  func aLinkInTheWrongPlaceIsNotShown(arguments: [String]) throws {
    let link = "https://download.llamameta.net/*?Policy=eyJ&Signature=\(secret)&Key-Pair-Id=K"
    let encoded = link.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
    for link in [link, link.replacing("https://", with: "https:/"), String(link.dropFirst(8)), encoded] {
      let outcome = try run(droverPath, arguments.map { $0 == "LINK" ? link : $0 })
      #expect(outcome.status == 64, "\(outcome.errors)")
      for part in [secret, secret.lowercased(), "eyJ"] { #expect(!outcome.errors.contains(part) && !outcome.output.contains(part), "\(outcome.errors)") }
    }
  }

  /// Each mistake ends with its own code and sentence, before anything is asked of a server.
  @Test(arguments: [
    ("https://download.llamameta.net/*", 64, "cut off"), ("https://download.llamameta.net/?Policy=sEcReTsIgNaTuRe", 64, "no *"), ("nonsense", 64, "not a link"),
    ("https://s/*?X-Amz-Date=20200101T000000Z&X-Amz-Expires=60&X-Amz-Signature=sEcReTsIgNaTuRe", 77, "expired"),
    ("https://t.co/sEcReTsIgNaTuRe", 64, "tracker"), ("https://x.test&sig=sEcReTsIgNaTuRe", 64, "not a link"),
    ("https://x.test%2F*%3Fsig%3DsEcReTsIgNaTuRe", 64, "not a link"),
  ])
  func mistakesHaveTheirOwnMessage(link: String, status: Int, words: String) throws {
    try withTemporaryFolder { folder in
      let outcome = try drover("download", "7B", "--output", folder + "/out", "--yes", environment: ["DROVER_URL": link])
      #expect(outcome.status == Int32(status) && outcome.errors.contains(words), "\(outcome.errors)")
      #expect(!outcome.errors.lowercased().contains(secret.lowercased()) && outcome.output.isEmpty)
      #expect(!FileManager.default.fileExists(atPath: folder + "/out"))
    }
  }
}
