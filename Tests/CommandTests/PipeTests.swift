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
        (#""$0" fingerprint <(cat consolidated.00.pth)"#, 65, "not a receipt"),
        (#""$0" inspect <(cat consolidated.00.pth)"#, 65, "is a pipe, a socket or a device, and a checkpoint's files are read out of order; save it as a file"),
        (#"cat consolidated.00.pth | "$0" inspect /dev/stdin"#, 65, "is a pipe, a socket or a device"),
        (#""$0" complete . --tokenizer <(cat tokenizer.model) --prompt a"#, 65, "is a pipe, a socket or a device, and what lies beside a tokenizer tells too; save it as a file"),
        (#"mkfifo model.gguf; "$0" inspect model.gguf"#, 65, "model.gguf: is a pipe, a socket or a device"),
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
