import Foundation
import TestSupport
import Testing

/// Paths are bytes, from the command line to the system call: names that aren't UTF-8 (an old disk, an unpacked archive) work in every command.
@Suite struct PathBytesTests {
  /// A shell runs each command in a folder where `$m` is the demo checkpoint in a folder of such a name, and `$n` another such name.
  @Test(arguments: [
    #""$0" verify "$m""#,
    #""$0" verify "$m/checklist.chk""#,
    #""$0" inspect "$m""#,
    #""$0" fingerprint "$m""#,
    #""$0" bench "$m" --prompt-tokens 1 --gen-tokens 1 --repetitions 1"#,
    #""$0" complete "$m" --prompt a --max-gen-len 1"#,
    #""$0" complete "$m" --prompt a --max-gen-len 1 --tokenizer "$m/tokenizer.model""#,
    #"echo a > "$n"; "$0" complete "$m" --prompts "$n" --max-gen-len 1"#,
    #"echo '[[{"role": "user", "content": "a"}]]' > "$n"; "$0" chat "$m" --format llama2 --dialogs "$n" --max-gen-len 1"#,
    #"echo '{"id": "m", "files": [{"path": "m/a.pth"}]}' > "$n"; "$0" catalog --manifest "$n""#,
    #""$0" demo --quiet --keep "$n/deep" && md5sum -c --quiet "$n/deep/drover-demo-mp4-pth/checklist.chk" || (cd "$n/deep/drover-demo" && md5sum -c --quiet checklist.chk)"#,
    #""$0" reshard "$m" "$n" --mp 1 --checklist && cd "$n" && md5sum -c --quiet checklist.chk"#,
    #""$0" reshard "$m" "$n" --mp 1 && "$0" reshard "$m" "$n" --mp 4 --force && "$0" verify "$n""#,
  ])
  func everyCommandTakesThem(script: String) throws {
    try withTemporaryFolder { folder in
      let before = #"m=$(printf 'mod\350le'); n=$(printf 'n\351w'); cp -r "$1" "$m"; "#
      let after = #"; status=$?; cd "$2"; for name in *; do case $name in "$m"|"$n") ;; *) echo "made: $name" >&2; exit 9;; esac; done; exit $status"#
      let outcome = try run("/bin/sh", ["-c", before + script + after, droverPath, Peer.packageRoot + "/Sources/CDemoModel/model", folder], in: folder)
      #expect(outcome.status == 0, "\(outcome)")
    }
  }

  /// Into a folder of such a name, out of a manifest of such a name.
  @Test(.needs(.nginx)) func downloadsTakeThem() throws {
    try withTemporaryFolder { folder in
      let nginx = try Nginx(root: Peer.packageRoot + "/Sources/CDemoModel")
      defer { nginx.stop() }
      let files = ["checklist.chk", "params.json", "tokenizer.model", "consolidated.00.pth", "consolidated.01.pth"].map { #"{"path": "model/\#($0)"}"# }
      try #"{"id": "m", "files": [\#(files.joined(separator: ","))]}"#.write(toFile: folder + "/manifest", atomically: false, encoding: .utf8)
      let script = #"""
        n=$(printf 'n\351w'); mv manifest "$n.json"
        "$0" download --manifest "$n.json" --output "$n/deep" --yes || exit 1
        cd "$n/deep/model" && md5sum -c --quiet checklist.chk && "$0" verify . && cd ../../.. && [ "$(ls | wc -l)" = 2 ]
        """#
      let outcome = try run(
        "/bin/sh", ["-c", script, droverPath], environment: ["DROVER_URL": "http://127.0.0.1:\(nginx.port)/*?sig=a&se=2099-01-01"], in: folder)
      #expect(outcome.status == 0, "\(outcome)")
    }
  }

  /// What isn't a path is text.
  @Test(arguments: [
    (#""$0" catalog "$(printf 'm\350')""#, #""m\xE8" has bytes in it that aren't plain text"#),
    (#""$0" catalog "$(printf 'm\nok')""#, #""m\x0Aok" has bytes in it"#),
    (#""$0" complete m --prompt "$(printf 'm\350')""#, #"The value 'm\xE8' is invalid for '--prompt"#),
    (#""$0" verify m "--$(printf 'x\nok')""#, #"Unknown option '--x\x0Aok'"#),
    (#""$0" "$(printf 'x\033[2J')""#, #"x\x1B[2J: no such command"#),
  ])
  func otherArgumentsAreText(script: String, says: String) throws {
    let outcome = try run("/bin/sh", ["-c", script, droverPath])
    #expect(outcome.status == 64 && outcome.errors.contains(says), "\(outcome)")
  }

  private static let linkPlaces: [(words: [String], status: Int32)] = [
    (["download", "7B", "--url", "LINK", "--output", "out", "--retries", "0"], 69),
    (["inspect", "LINK", "--model", "7B", "--retries", "0"], 69),
    (["verify", "LINK"], 64), (["download", "LINK"], 64), (["catalog", "LINK"], 64), (["LINK"], 64), (["help", "LINK"], 64), (["verify", "a", "--LINK"], 64),
    (["verify", "-h", "LINK"], 64), (["complete", "m", "--format", "LINK", "--prompt", "a"], 64), (["chat", "m", "--format", "LINK"], 64), (["demo", "--progress", "LINK"], 64),
  ]

  /// A link may come with the line breaks of its mail; wherever it is put by mistake, no message has any of it.
  @Test(arguments: linkPlaces)
  func aLinkMayBeBroken(words: [String], status: Int32) throws {
    let link = BadInputTests.link.replacing("&Signature=abc", with: "&Signature=abcSEC\nRETdefSEC\nRETghi")
    try withTemporaryFolder { folder in
      for mode in ["plain", "json"] {
        let outcome = try run(droverPath, words.map { $0.replacing("LINK", with: link) } + (words.contains("--progress") ? [] : ["--progress", mode]), in: folder)
        #expect(outcome.status == status && !(outcome.output + outcome.errors).contains("SEC") && !outcome.errors.contains("RET"), "\(outcome)")
      }
    }
  }

  @Test func aPromptMayHaveLines() throws {
    let outcome = try drover("complete", Peer.packageRoot + "/Sources/CDemoModel/model", "--prompt", "a\nwolf", "--max-gen-len", "1", "--json")
    #expect(outcome.status == 0 && outcome.output.contains(#""a\nwolf""#), "\(outcome)")
  }
}
