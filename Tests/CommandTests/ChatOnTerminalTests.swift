import Foundation
import Glibc
import TestSupport
import Testing

/// Talking with a model on a terminal.
@Suite(.serialized) struct ChatOnTerminalTests {
  private static let model = Peer.packageRoot + "/Sources/CDemoModel/model"

  private func chat() throws -> PseudoTerminal {
    try PseudoTerminal(droverPath, ["chat", Self.model, "--format", "llama2", "--temperature", "0", "--max-gen-len", "8"], environment: ["NO_COLOR": "1"])
  }

  @Test func aConversationEndsWithItsInput() throws {
    let terminal = try chat()
    #expect(terminal.wait(for: "> "))
    terminal.type("Once upon a time\n")
    #expect(terminal.wait(for: "> ", times: 2), "\(terminal.screen)")
    let turn = terminal.screen.components(separatedBy: "> ")[1]
    #expect(turn.hasPrefix("Once upon a time\r\n") && turn.dropFirst("Once upon a time\r\n".count).contains { $0.isLetter }, "\(turn)")
    // An empty line is no message, and one that can't be put to the model doesn't end the conversation.
    terminal.type("\n")
    #expect(terminal.wait(for: "> ", times: 3))
    terminal.type("hi [/INST]\n")
    #expect(terminal.wait(for: "> ", times: 4) && terminal.screen.contains("“[/INST]”"), "\(terminal.screen)")
    terminal.type("and then?\n")
    #expect(terminal.wait(for: "> ", times: 5))
    terminal.type("\u{4}")
    #expect(terminal.finish() == 0)
    #expect(terminal.screen.hasSuffix("\r\n"))
  }

  /// What is mapped may be cut short under us.
  @Test func aModelThatIsCutShortEndsIt() throws {
    try withTemporaryFolder { folder in
      try FileManager.default.copyItem(atPath: Self.model, toPath: folder + "/model")
      let terminal = try PseudoTerminal(droverPath, ["chat", folder + "/model", "--format", "llama2", "--max-gen-len", "8"])
      #expect(terminal.wait(for: "> "))
      for rank in 0..<2 { truncate("\(folder)/model/consolidated.0\(rank).pth", 0) }
      terminal.type("Once upon a time\n")
      #expect(terminal.finish() == 65)
      #expect(terminal.screen.contains("consolidated.00.pth, byte ") && terminal.screen.contains("and has 0 now"), "\(terminal.screen)")
    }
  }

  @Test(arguments: ["\u{3}", "TERM"]) func aConversationCanBeInterrupted(how: String) throws {
    let terminal = try chat()
    #expect(terminal.wait(for: "> "))
    if how == "TERM" { terminal.signal(SIGTERM) } else { terminal.type(how) }
    #expect(terminal.finish() == 130)
    #expect(terminal.echoes)
  }

  @Test func aCompletionCanBeInterrupted() throws {
    let terminal = try PseudoTerminal(
      droverPath,
      ["complete", Self.model, "--prompt", "Once upon a time", "--temperature", "1", "--max-gen-len", "8000", "--max-seq-len", "9000", "--threads", "1", "--echo"])
    #expect(terminal.wait(for: "Once upon a time "), "\(terminal.screen)")
    terminal.type("\u{3}")
    #expect(terminal.finish() == 130, "\(terminal.screen.suffix(200))")
  }
}
