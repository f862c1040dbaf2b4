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
        let said = folder + "/said"
        try Data().write(to: URL(filePath: said))
        let process = try Child(
          droverPath, ["download", "--manifest", stage.manifest, "--output", stage.output, "--yes", "--verbose", "--connections", "2"] + arguments,
          environment: environment, output: .file(said), errors: .file(said))
        stage.waitForPart()
        #expect(process.isRunning)
        try expectNothing(in: stage.output)
        nginx.kill()
        process.signal(SIGINT)
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
        #expect(process.wait() == 130)
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
      let process = try Child(
        "/bin/bash", ["-c", "ulimit -c unlimited; exec '\(droverPath)' download --manifest m.json --output out --yes"],
        environment: ["DROVER_URL": FaultTests.linkText(server.port)], in: folder)
      #expect(waitUntil { server.requests > 0 })
      process.signal(SIGABRT)
      #expect(process.wait() == 128 + SIGABRT)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["m.json", "out"])
    }
  }

  /// A program that hashes for minutes, with the link in its environment, and what it has said.
  private func hashing(in folder: String, _ environment: [String: String] = [:]) throws -> (Child, said: String) {
    #expect(try run("/bin/sh", ["-c", "truncate -s 60G a.pth; echo 00000000000000000000000000000000  a.pth > checklist.chk"], in: folder).status == 0)
    let said = folder + "/said"
    try Data().write(to: URL(filePath: said))
    let process = try Child(
      "/bin/bash", ["-c", "ulimit -c unlimited; exec '\(droverPath)' verify . --progress json"],
      environment: environment.merging(["DROVER_URL": "https://x.test/*?sig=\(secret)&se=2099-01-01"]) { $1 }, in: folder, errors: .file(said))
    #expect(waitUntil { FileManager.default.contents(atPath: said)?.isEmpty == false })
    return (process, said)
  }

  /// A crash, or Ctrl-\\, ends the program. Swift's own handler would print what registers point to, and go on after Ctrl-\\; no core is dumped.
  @Test(arguments: [SIGQUIT, SIGABRT, SIGSEGV, SIGILL, SIGTRAP, SIGFPE]) func crashesSayNothing(signal: Int32) throws {
    try withTemporaryFolder { folder in
      let (process, said) = try hashing(in: folder, ["SWIFT_BACKTRACE": "enable=yes,color=no"])
      process.signal(signal)
      #expect(process.wait() == 128 + signal)
      let text = try String(contentsOfFile: said, encoding: .utf8)
      #expect(!text.contains("rashed") && !text.contains(secret), "\(text)")
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["a.pth", "checklist.chk", "said"])
    }
  }

  /// A signal that comes before anything else happened ends the program with the code that it has later: here it waits while the program is loaded.
  @Test(.needs(.python), arguments: ["SIGTERM", "SIGINT", "SIGHUP"]) func theFirstSignalEndsTheProgram(signal: String) throws {
    let script = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.\(signal)]); os.kill(os.getpid(), signal.\(signal)); os.execv(sys.argv[1], sys.argv[1:])"
    #expect(try run(Peer.python.path, ["-c", script, droverPath, "verify", "/"]).status == 130)
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
    ("http://x.test/*?sig=sEcReTsIgNaTuRe&se=2099-01-01", 64, "--allow-http"),
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
