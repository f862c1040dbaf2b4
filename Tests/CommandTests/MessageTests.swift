import Foundation
import Terminal
import TestSupport
import Testing

/// What the program writes: nothing that came from outside speaks to the terminal, and scripts can read every line.
@Suite struct MessageTests {
  /// Sets the clipboard, the title and colours (ESC and C1), turns text around, is invisible, breaks lines.
  private static let evil = "\u{1B}]52;c;aGk=\u{7}\u{1B}[31m\u{9B}2J\u{202E}\u{2066}\u{E0041}\u{FEFF}\u{AD}\n\r\u{2028}"

  private func isHarmless(_ text: String) -> Bool {
    !text.unicodeScalars.contains { scalar in
      scalar != "\n" && [.control, .format, .lineSeparator, .paragraphSeparator].contains(scalar.properties.generalCategory)
    }
  }

  @Test func whatIsPutIntoTextIsEscaped() {
    #expect(Style(isEnabled: false)("\(Self.evil)é模", .red).description == "\\u{1B}]52;c;aGk=\\u{07}\\u{1B}[31m\\u{009B}2J\\u{202E}\\u{2066}\\u{000E0041}\\u{FEFF}\\u{00AD}\\n\\r\\u{2028}é模")
    #expect(Style(isEnabled: true)("a\n\("b\n")", .bold).description == "\u{1B}[1ma\nb\\n\u{1B}[0m")
    #expect(TerminalText(lines: "a\n\tb\u{1B}[2J\u{202E}").description == "a\n\tb\\u{1B}[2J\\u{202E}")
    #expect(TerminalText(speech: "a\n\tb\u{1B}[2J\u{200F}").description == "a\n\tb\\u{1B}[2J\u{200F}")
  }

  /// Whatever a manifest says, wherever it is shown: the list, one release in full, errors, progress, `--json`.
  @Test func manifestsSayNothingToTheTerminal() throws {
    try withTemporaryFolder { folder in
      let quoted = try String(decoding: JSONEncoder().encode("E" + Self.evil), as: UTF8.self)
      func manifest(_ json: String) throws { try json.replacing("EVIL", with: quoted).write(toFile: folder + "/m.json", atomically: false, encoding: .utf8) }
      let release = #"{"id": "m", "aliases": [EVIL], "family": EVIL, "license": EVIL, "chatFormat": EVIL, "files": [{"path": "m/a‮.pth"}]}"#
      try manifest(release)
      for arguments in [["catalog"], ["catalog", "m"], ["catalog", "--json"], ["catalog", "m", "--json"]] {
        let outcome = try run(droverPath, arguments + ["--manifest", folder + "/m.json"])
        #expect(outcome.status == 0 && isHarmless(outcome.output), "\(arguments)")
        #expect(outcome.output.contains(arguments.contains("--json") ? #""E\u001b]52;c;aGk=\u0007"# : #"E\u{1B}]52;c;aGk=\u{07}"#), "\(outcome.output)")
      }
      // What --json says is what the manifest said.
      let json = try JSONSerialization.jsonObject(with: Data(try drover("catalog", "--json", "--manifest", folder + "/m.json").output.utf8)) as? [[String: Any]]
      #expect(json?.first?["family"] as? String == "E" + Self.evil)
      let download = try drover("download", "--manifest", folder + "/m.json", "--url", BadInputTests.link, "--output", folder + "/out", "--retries", "0", "--progress", "plain")
      #expect(download.status == 69 && isHarmless(download.output + download.errors) && download.errors.contains(#"a\u{202E}.pth"#), "\(download.errors)")
      for wrong in [#"{"id": EVIL, "files": []}"#, #"{"id": "m", "files": [{"path": EVIL}]}"#, #"[{"id": "a", "aliases": [EVIL], "files": [{"path": "a/b"}]}, {"id": "b", "aliases": [EVIL], "files": [{"path": "b/b"}]}]"#] {
        try manifest(wrong)
        let outcome = try drover("catalog", "--manifest", folder + "/m.json")
        #expect(outcome.status == 65 && isHarmless(outcome.errors) && outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
      }
    }
  }

  /// What a model was told and says is shown as it is in a pipe, and can't speak to a terminal.
  @Test func dialogsSayNothingToTheTerminal() throws {
    try withTemporaryFolder { folder in
      try #"[[{"role": "user", "content": "red \u001b[31m\nand blue"}]]"#.write(toFile: folder + "/dialogs.json", atomically: false, encoding: .utf8)
      let arguments = ["chat", Peer.packageRoot + "/Sources/CDemoModel/model", "--format", "llama2", "--dialogs", folder + "/dialogs.json", "--max-gen-len", "2"]
      let piped = try run(droverPath, arguments)
      #expect(piped.output.hasPrefix("user: red \u{1B}[31m\nand blue\n\n"), "\(piped)")
      let terminal = try PseudoTerminal(droverPath, arguments, environment: ["NO_COLOR": "1"])
      #expect(terminal.finish() == 0 && terminal.screen.contains(#"user: red \u{1B}[31m"#) && terminal.screen.contains("\nand blue"), "\(terminal.screen)")
    }
  }

  /// With `--progress json` every line on standard error is an object, notes and errors too.
  @Test func progressIsJSONThroughout() throws {
    struct Line: Decodable { var event: String, text: String? }
    for (arguments, status, events, says) in [
      (["verify", "/nowhere", "--progress", "json"], Int32(66), ["end", "error"], "/nowhere: no such file or folder"),
      (["verify", "--progress=json"], 64, ["error"], "Missing expected argument"),
      (["verify", "m", "--progress", "plain", "--progress", "json", "--x\ny"], 64, ["error"], #"Unknown option '--x\x0Ay'"#),
      (["frobnicate", "--progress", "json"], 64, ["error"], "frobnicate: no such command"),
      (["download", "7B", "--url", BadInputTests.link, "--output", "/proc/drover", "--progress", "json"], 73, ["note", "error"], "taking llama-2-7b"),
    ] {
      let outcome = try run(droverPath, arguments)
      let lines = try outcome.errors.split(separator: "\n").map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
      #expect(outcome.status == status && Set(lines.map(\.event)).isSuperset(of: events), "\(outcome.errors)")
      #expect(lines.contains { $0.event != "end" && $0.text?.contains(says) == true }, "\(outcome.errors)")
      #expect(lines.allSatisfy { ($0.event == "note" || $0.event == "error") == ($0.text != nil) && $0.text?.hasPrefix("note:") != true }, "\(outcome.errors)")
    }
  }
}
