import TestSupport
import Testing

/// Small inputs come out of pipes too: `<(…)`, `/dev/stdin`, and `-` for standard input.
@Suite struct PipeTests {
  /// `$m` is the demo checkpoint, in whose folder the commands run.
  @Test(arguments: [
    (#""$0" verify <(md5sum params.json)"#, "ok        params.json"),
    (#"md5sum params.json | "$0" verify -"#, "ok        params.json"),
    (#"md5sum params.json | "$0" verify /dev/stdin"#, "ok        params.json"),
    (#""$0" verify /dev/stdin < checklist.chk"#, "All agree: 4 files"),
    (#""$0" verify /dev/fd/7 - 7< checklist.chk < checklist.chk"#, "All agree: 4 files"),
    (#"sha256sum params.json | "$0" verify - checklist.chk"#, "All agree: 4 files"),
    (#"echo '[["a"' > /dev/null; "$0" complete . --prompts <(echo '["Once upon"]') --max-gen-len 2 --json"#, #""Once upon""#),
    (#"printf 'Once upon\n' | "$0" complete . --prompts - --max-gen-len 2 --json"#, #""Once upon""#),
    (#"echo '[[{"role": "user", "content": "a"}]]' | "$0" chat . --format llama2 --dialogs /dev/stdin --max-gen-len 2 --json"#, #""assistant""#),
    (#""$0" catalog --manifest <(echo '{"id": "piped", "files": [{"path": "m/a.pth"}]}')"#, "piped"),
    (#"echo '{"id": "piped", "files": [{"path": "m/a.pth"}]}' | "$0" catalog --manifest - --json"#, #""id" : "piped""#),
  ])
  func areRead(script: String, says: String) throws {
    let outcome = try run("/bin/bash", ["-c", script, droverPath], in: Peer.packageRoot + "/Sources/CDemoModel/model")
    #expect(outcome.status == 0 && outcome.output.contains(says), "\(outcome)")
  }

  /// A receipt too; and what is wrong in a pipe is wrong.
  @Test func receiptsAndDamageAreTold() throws {
    try withTemporaryFolder { folder in
      try #require(try drover("reshard", Peer.packageRoot + "/Sources/CDemoModel/model", folder + "/m", "--mp", "1", "--quiet").status == 0)
      let receipt = try run("/bin/bash", ["-c", #""$0" verify --quiet --progress none < drover-receipt.json - && cat drover-receipt.json | "$0" verify -"#, droverPath], in: folder + "/m")
      #expect(receipt.status == 0 && receipt.output.contains("ok        consolidated.00.pth"), "\(receipt)")
      for (script, status, says) in [
        (#"echo d41d8cd98f00b204e9800998ecf8427e  params.json | "$0" verify - --json"#, Int32(65), #""status" : "mismatch""#),
        (#""$0" fingerprint - ../m < drover-receipt.json"#, 0, "../m: the same weights as -"),
        (#""$0" fingerprint . <(cat drover-receipt.json)"#, 0, ": the same weights as ."),
        (#""$0" fingerprint <(cat consolidated.00.pth)"#, 65, "/dev/fd/63: holds no receipt of drover, and weights can't be taken out of a pipe, since they are read at any place: save them to a file first"),
        (#""$0" inspect <(cat consolidated.00.pth)"#, 65, "/dev/fd/63: is a pipe, and weights and what describes them are read at any place: save it to a file first, and name that"),
        (#"cat consolidated.00.pth | "$0" inspect /dev/stdin"#, 65, "/dev/stdin: is a pipe, and weights"),
        (#"cat consolidated.00.pth | "$0" inspect -"#, 66, "-: isn't there, and weights can't be taken from standard input"),
        (#""$0" inspect /dev/null"#, 65, "/dev/null: is a device, and weights"),
        (#""$0" reshard <(cat consolidated.00.pth) out --mp 1"#, 65, "/dev/fd/63: is a pipe, and weights"),
        (#"cat consolidated.00.pth | "$0" complete /dev/stdin --prompt a"#, 65, "/dev/stdin: is a pipe, and weights"),
        (#""$0" complete . --tokenizer <(cat tokenizer.model) --prompt a"#, 65, "/dev/fd/63: is a pipe, and what lies beside a tokenizer tells too: save it to a file first"),
        (#"mkfifo model.gguf; "$0" inspect model.gguf"#, 65, "model.gguf: is a pipe, and weights"),
        (#""$0" reshard model.gguf out --mp 1; code=$?; test -e out && echo made; exit $code"#, 65, "model.gguf: is a pipe, and weights"),
        // In a folder too: a shard, and what describes it.
        (#"mkdir f; cp params.json f; mkfifo f/consolidated.00.pth; "$0" reshard f out --mp 1"#, 65, "f/consolidated.00.pth: is a pipe, and weights"),
        (#"mkdir g; cp consolidated.00.pth g; mkfifo g/params.json; "$0" reshard g out --mp 1"#, 65, "g/params.json: is a pipe, and weights and what describes them"),
        (#"echo nonsense | "$0" verify -"#, 65, "-, line 1"),
        (#""$0" verify - < /dev/null"#, 65, "names no files"),
        (#""$0" catalog --manifest - <<< '[]'"#, 65, "- is not a manifest: it has no releases"),
        (#""$0" download --manifest <(echo ' [ ] ') --yes"#, 65, "it has no releases"),
        (#""$0" complete . --prompts <(printf '\n')"#, 65, "prompts"),
        (#""$0" complete . --prompts nowhere"#, 66, "nowhere: can't be read: No such file or directory"),
      ] {
        let outcome = try run("/bin/bash", ["-c", script, droverPath], in: folder + "/m")
        #expect(outcome.status == status && (outcome.output + outcome.errors).contains(says), "\(script): \(outcome)")
      }
    }
  }
}
