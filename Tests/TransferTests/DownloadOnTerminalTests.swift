import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing
import Transfer

/// A download on a terminal: what it asks, what it shows, and how it is left.
@Suite(.serialized) struct DownloadOnTerminalTests {
  private static let secret = FaultTests.secret

  private func start(_ stage: ResumeTests.Stage, _ more: [String] = [], link: String? = nil, environment: [String: String] = [:], columns: Int = 80) throws
    -> PseudoTerminal
  {
    try PseudoTerminal(
      droverPath, ["download", "--manifest", stage.manifest, "--output", stage.output] + more,
      environment: environment.merging(["DROVER_URL": link ?? ""]) { $1 }, columns: columns)
  }

  @Test(.needs(.nginx)) func theLinkIsAskedForAndNeverShown() throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 2)
      let nginx = try Nginx(root: stage.root)
      defer { nginx.stop() }
      let terminal = try start(stage)
      #expect(terminal.wait(for: "The signed link"))
      #expect(terminal.wait { !terminal.echoes })
      // Mistyped, taken back, and longer than a terminal's line may be.
      terminal.type("htp\u{7F}\u{7F}\u{7F}" + FaultTests.linkText(nginx.port) + "&x=" + String(repeating: "y", count: 6000) + "\r")
      #expect(terminal.wait(for: "Go on? [Y/n]"), "\(terminal.screen)")
      #expect(terminal.echoes)
      terminal.type("\n")
      #expect(terminal.finish() == 0, "\(terminal.screen)")
      #expect(!terminal.screen.contains(Self.secret) && !terminal.screen.contains("Policy="))
      #expect(try stage.isRight())
    }
  }

  @Test(.needs(.nginx), arguments: [
    ("\n", 0), ("y\n", 0), ("Yes\n", 0), ("n\n", 130), ("what?\n", 130), ("\u{4}", 130), ("\u{3}", 130), ("TERM", 130),
  ])
  func itIsAskedWhetherToGoOn(answer: String, status: Int32) throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 2)
      let nginx = try Nginx(root: stage.root)
      defer { nginx.stop() }
      let terminal = try start(stage, link: FaultTests.linkText(nginx.port))
      #expect(terminal.wait(for: "Go on? [Y/n]"), "\(terminal.screen)")
      #expect(terminal.screen.contains(" of 3 files, "), "\(terminal.screen)")
      if answer == "TERM" { terminal.signal(SIGTERM) } else { terminal.type(answer) }
      #expect(terminal.finish() == status, "\(terminal.screen)")
      #expect(FileManager.default.fileExists(atPath: stage.final) == (status == 0))
    }
  }

  /// In the background of a terminal nobody can answer, so nobody is asked.
  @Test(.needs(.nginx)) func nobodyIsAskedInTheBackground() throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 2)
      let nginx = try Nginx(root: stage.root)
      defer { nginx.stop() }
      let terminal = try PseudoTerminal(
        "/bin/bash", ["-c", #"set -m; "$@" & wait $!"#, "bash", droverPath, "download", "--manifest", stage.manifest, "--output", stage.output],
        environment: ["DROVER_URL": FaultTests.linkText(nginx.port)])
      #expect(terminal.finish() == 0, "\(terminal.screen)")
      #expect(!terminal.screen.contains("Go on?"))
      #expect(try stage.isRight())
    }
  }

  /// Whatever ends a question, the terminal shows again what is typed.
  @Test(arguments: [("\u{3}", 130), ("TERM", 130), ("HUP", 130), ("\u{4}", 64), ("\n", 64), ("nonsense\n", 64)])
  func aTerminalIsLeftAsItWas(answer: String, status: Int32) throws {
    try withTemporaryFolder { folder in
      let terminal = try PseudoTerminal(droverPath, ["download", "7B", "--output", folder + "/out"], environment: ["DROVER_URL": ""])
      #expect(terminal.wait(for: "The signed link") && terminal.wait { !terminal.echoes })
      switch answer {
      case "TERM": terminal.signal(SIGTERM)
      case "HUP": terminal.signal(SIGHUP)
      default: terminal.type(answer)
      }
      #expect(terminal.finish() == status, "\(terminal.screen)")
      #expect(terminal.echoes)
      #expect(!terminal.screen.contains("nonsense"))
      #expect(!FileManager.default.fileExists(atPath: folder + "/out"))
    }
  }

  enum Reply: CaseIterable { case anotherLink, nothing, endOfInput, interrupt, terminate }

  /// The link ends in mid-file, and another one is asked for.
  @Test(arguments: Reply.allCases, [false, true]) func aLinkThatEndsIsReplaced(reply: Reply, saysYes: Bool) throws {
    try withTemporaryFolder { folder in
      let contents = Wares.shared.contents
      let hasEnded = Mutex(false)
      let server = try FaultServer { request in
        // From then on it opens nothing.
        if !request.query.contains("second"), hasEnded.withLock({ $0 }) { return FaultServer.status(403) }
        guard request.path == "f/a.pth", request.turn > 0, !request.query.contains("second") else { return FaultServer.good(request, contents[request.path]) }
        hasEnded.withLock { $0 = true }
        guard request.turn == 1, let content = contents[request.path], let range = request.range?.clamped(to: 0..<content.count) else { return FaultServer.status(403) }
        return [.send(FaultServer.partHead(range.lowerBound, range.count, of: content.count, tag: "ETag: \"one\"\r\n") + content[range].prefix(range.count / 2)), .wait(0.5), .close]
      }
      defer { server.stop() }
      let files = Wares.shared.files.map { #"{"path":"\#($0.path)"}"# }.joined(separator: ",")
      try #"{"id":"m","files":[\#(files)]}"#.write(toFile: folder + "/m.json", atomically: true, encoding: .utf8)
      let out = folder + "/out"
      let terminal = try PseudoTerminal(
        droverPath, ["download", "--manifest", folder + "/m.json", "--output", out, "--connections", "1"] + (saysYes ? ["--yes"] : []),
        environment: ["DROVER_URL": FaultTests.linkText(server.port)])
      if !saysYes {
        #expect(terminal.wait(for: "Go on?"))
        terminal.type("\n")
      }
      #expect(terminal.wait(for: "A new link to go on with") && terminal.wait { !terminal.echoes }, "\(terminal.screen)")
      #expect(terminal.screen.contains("403"))
      var status: Int32 = 77
      switch reply {
      case .anotherLink:
        terminal.type("nonsense\n")
        #expect(terminal.wait(for: "A new link to go on with", times: 2) && terminal.wait { !terminal.echoes })
        #expect(terminal.screen.contains("not a link"))
        terminal.type(FaultTests.linkText(server.port, signature: "second") + "\n")
        status = 0
      case .nothing: terminal.type("\n")
      case .endOfInput: terminal.type("\u{4}")
      case .interrupt:
        terminal.type("\u{3}")
        status = 130
      case .terminate:
        terminal.signal(SIGTERM)
        status = 130
      }
      #expect(terminal.finish() == status, "\(terminal.screen)")
      #expect(terminal.echoes)
      for secret in [Self.secret, "second", "nonsense"] { #expect(!terminal.screen.contains(secret)) }
      if status != 0 {
        let journal = try #require(Journaled(out + "/f/a.pth.part.journal"))
        #expect(journal.bytes > 500_000)
        let again = try run(
          droverPath, ["download", "--manifest", folder + "/m.json", "--output", out, "--connections", "1"],
          environment: ["DROVER_URL": FaultTests.linkText(server.port, signature: "second")])
        #expect(again.status == 0, "\(again.errors)")
      }
      try FaultTests.expectAll(in: out)
      // No byte twice: what was sent is the files, some heads, and a checklist a run.
      #expect(server.bytesSent < contents.values.reduce(0) { $0 + $1.count } + 10_000)
    }
  }

  @Test(.needs(.nginx)) func ctrlCKeepsWhatIsHereAndSaysHowToGoOn() throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 20)
      let nginx = try Nginx(root: stage.root, directives: "limit_rate 2m;")
      defer { nginx.stop() }
      let terminal = try start(stage, ["--yes", "--connections", "2"], link: FaultTests.linkText(nginx.port))
      stage.waitForPart()
      terminal.type("\u{3}")
      #expect(terminal.finish() == 130)
      #expect(terminal.screen.contains("what is here stays, run the same command again to go on"), "\(terminal.screen)")
      #expect(try #require(Journaled(stage.journal)).bytes > 0)
    }
  }

  /// The lines of each frame of bars, as they stand on the screen.
  private func frames(_ text: some StringProtocol) -> [[String]] {
    text.components(separatedBy: "\u{1B}[J").dropFirst().map { frame in
      frame.replacing(/\u{1B}\[[0-9;]*[A-Za-z]/, with: "").components(separatedBy: "\r\n").map { $0.replacing("\r", with: "") }
    }
  }

  @Test(.needs(.nginx)) func barsFollowTheTerminalsWidth() throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 60)
      let nginx = try Nginx(root: stage.root, directives: "limit_rate 1m;")
      defer { nginx.stop() }
      let terminal = try start(stage, ["--yes", "--connections", "2"], link: FaultTests.linkText(nginx.port), columns: 120)
      #expect(terminal.wait { frames(terminal.screen).count > 5 })
      #expect(frames(terminal.screen).contains { $0.contains { $0.count > 80 } })
      for columns in [50, 24, 100] {
        terminal.resize(columns: columns)
        let before = terminal.count
        // Two frames may have been under way.
        #expect(terminal.wait { frames(String(decoding: Array(terminal.screen.utf8)[before...], as: UTF8.self)).count > 6 })
        for frame in frames(String(decoding: Array(terminal.screen.utf8)[before...], as: UTF8.self)).dropFirst(2) {
          for line in frame { #expect(line.count < columns, "\(line)") }
        }
      }
      terminal.type("\u{3}")
      #expect(terminal.finish() == 130)
    }
  }

  @Test(.needs(.nginx), arguments: [("", true, true), ("NO_COLOR=1", false, true), ("TERM=dumb", false, false)])
  func coloursAndBarsAreWhereTheyAreWanted(variable: String, hasColour: Bool, hasBars: Bool) throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 2)
      let nginx = try Nginx(root: stage.root, directives: "limit_rate 1m;")
      defer { nginx.stop() }
      let pair = variable.split(separator: "=").map(String.init)
      let terminal = try start(
        stage, ["--yes", "--connections", "1"], link: FaultTests.linkText(nginx.port), environment: ["NO_COLOR": ""].merging(pair.isEmpty ? [:] : [pair[0]: pair[1]]) { $1 })
      #expect(terminal.finish() == 0)
      #expect(terminal.screen.contains(/\u{1B}\[[0-9;]*m/) == hasColour)
      #expect(terminal.screen.contains("\u{1B}[J") == hasBars)
    }
  }
}
