import Foundation
import TestSupport
import Testing

/// What a user gets wrong, the exit code that scripts see, and what the one line must say.
@Suite struct BadInputTests {
  struct Mistake: Sendable, CustomTestStringConvertible {
    let what: String
    /// `{}` stands for the scratch folder, which holds the demo checkpoint as `model/`.
    let arguments: [String]
    let exit: Int32
    /// Words that the message must have.
    let says: [String]
    /// Makes the scratch folder wrong first.
    var spoil: @Sendable (String) throws -> Void = { _ in }

    var testDescription: String { what }
  }

  /// A well-formed link, to a port where nothing listens.
  static let link: String = {
    let policy = #"{"Statement":[{"Resource":"https://127.0.0.1:9/*","Condition":{"DateLessThan":{"AWS:EpochTime":4102444800}}}]}"#
    let encoded = Data(policy.utf8).base64EncodedString().replacingOccurrences(of: "=", with: "_")
    return "https://127.0.0.1:9/*?Policy=\(encoded)&Signature=abc&Key-Pair-Id=K1"
  }()

  static let mistakes: [Mistake] = [
    Mistake(what: "a model that nobody released", arguments: ["catalog", "Llama-9-1T"], exit: 64, says: ["Llama-9-1T"]),
    Mistake(what: "a folder that isn't there to verify", arguments: ["verify", "{}/nowhere"], exit: 66, says: ["nowhere"]),
    Mistake(what: "a folder that isn't there to reshard", arguments: ["reshard", "{}/nowhere", "{}/out", "--mp", "1"], exit: 66, says: ["nowhere"]),
    Mistake(what: "an output that is there", arguments: ["reshard", "{}/model", "{}/model", "--mp", "1"], exit: 73, says: ["model"]),
    Mistake(what: "more ranks than heads", arguments: ["reshard", "{}/model", "{}/out", "--mp", "3"], exit: 64, says: ["3", "8"]),
    Mistake(what: "no ranks", arguments: ["reshard", "{}/model", "{}/out", "--mp", "0"], exit: 64, says: ["0", "1, 2, 4, 8"]),
    Mistake(
      what: "a shard cut off", arguments: ["reshard", "{}/model", "{}/out", "--mp", "1"], exit: 65, says: ["consolidated.01.pth"],
      spoil: { folder in
        let shard = try FileHandle(forWritingTo: URL(filePath: "\(folder)/model/consolidated.01.pth"))
        try shard.truncate(atOffset: 1_000_000)
      }),
    Mistake(
      what: "a flipped bit", arguments: ["verify", "{}/model"], exit: 65, says: ["consolidated.00.pth"],
      spoil: { folder in
        let shard = try FileHandle(forUpdating: URL(filePath: "\(folder)/model/consolidated.00.pth"))
        try shard.seek(toOffset: 500_000)
        let byte = try shard.read(upToCount: 1)?.first ?? 0
        try shard.seek(toOffset: 500_000)
        try shard.write(contentsOf: [byte ^ 0x10])
      }),
    Mistake(
      what: "a shard that is missing", arguments: ["verify", "{}/model"], exit: 66, says: ["consolidated.01.pth"],
      spoil: { try FileManager.default.removeItem(atPath: "\($0)/model/consolidated.01.pth") }),
    Mistake(
      what: "a web page in place of weights", arguments: ["inspect", "{}/model"], exit: 65, says: ["consolidated.00.pth"],
      spoil: { try "<!DOCTYPE html><html><body>Log in</body></html>".write(toFile: "\($0)/model/consolidated.00.pth", atomically: false, encoding: .utf8) }),
    Mistake(
      what: "no tokenizer", arguments: ["complete", "{}/model", "--prompt", "Once"], exit: 66, says: ["tokenizer"],
      spoil: { try FileManager.default.removeItem(atPath: "\($0)/model/tokenizer.model") }),
    Mistake(
      what: "a prompt longer than max_seq_len", arguments: ["complete", "{}/model", "--prompt", String(repeating: "wolf ", count: 100), "--max-seq-len", "32"],
      exit: 64, says: ["32"]),
    Mistake(
      what: "a batch larger than max_batch_size",
      arguments: ["complete", "{}/model", "--prompt", "a", "--prompt", "b", "--prompt", "c", "--max-batch-size", "2"], exit: 64, says: ["3", "2"]),
    Mistake(
      what: "sequences that no memory holds", arguments: ["complete", "{}/model", "--prompt", "Once", "--max-seq-len", "9223372036854775807"], exit: 64, says: ["--max-seq-len"]),
    Mistake(what: "more tokens than are counted", arguments: ["bench", "{}/model", "--prompt-tokens", "9223372036854775807"], exit: 64, says: ["1048576"]),
    Mistake(what: "no prompt", arguments: ["complete", "{}/model"], exit: 64, says: ["prompt"]),
    Mistake(what: "a link that is no link", arguments: ["download", "7B", "--url", "download.llamameta.net", "--output", "{}/out"], exit: 64, says: ["link"]),
    Mistake(
      what: "a folder that may not be written",
      arguments: ["download", "7B", "--url", link, "--output", "/proc/drover"], exit: 73, says: ["/proc/drover"]),
  ]

  @Test("A mistake gets its exit code and one clear line", arguments: mistakes)
  func mistake(_ mistake: Mistake) throws {
    try withTemporaryFolder { folder in
      try FileManager.default.copyItem(atPath: Peer.packageRoot + "/Sources/CDemoModel/model", toPath: folder + "/model")
      try mistake.spoil(folder)
      let before = try contents(folder)
      let outcome = try run(droverPath, mistake.arguments.map { $0.replacingOccurrences(of: "{}", with: folder) })
      #expect(outcome.status == mistake.exit, "\(outcome.errors)")
      for words in mistake.says { #expect((outcome.errors + outcome.output).contains(words), "\(outcome.errors)") }
      let lines = outcome.errors.split(separator: "\n")
      #expect(!lines.isEmpty && lines.count <= 4, "\(outcome.errors)")
      #expect(try contents(folder) == before, "nothing may appear or be lost")
    }
  }

  @Test("A folder that may not be looked into is named, in the system's words")
  func closedFolder() throws {
    try withTemporaryFolder { folder in
      try FileManager.default.createDirectory(atPath: folder + "/closed", withIntermediateDirectories: false, attributes: [.posixPermissions: 0])
      let outcome = try droverWithoutPrivileges("inspect", folder + "/closed")
      #expect(outcome.status == 1)
      #expect(outcome.errors.hasSuffix("/closed: can't be listed: Permission denied\n"), "\(outcome.errors)")
    }
  }

  @Test("A pickle that would run code is refused by name, and does not run")
  func hostilePickle() throws {
    try withTemporaryFolder { folder in
      let evil = """
        import os, sys, zipfile
        class Evil:
            def __reduce__(self): return (os.system, ("touch " + sys.argv[1] + "/ran",))
        import pickle
        with zipfile.ZipFile(sys.argv[1] + "/consolidated.00.pth", "w") as z:
            z.writestr("archive/data.pkl", pickle.dumps({"tok_embeddings.weight": Evil()}, protocol=2))
            z.writestr("archive/version", "3\\n")
        open(sys.argv[1] + "/params.json", "w").write('{"dim": 8, "n_layers": 1, "n_heads": 2, "norm_eps": 1e-5, "vocab_size": 16}')
        """
      _ = try run("/usr/bin/python3", ["-c", evil, folder])
      for arguments in [["inspect", folder], ["reshard", folder, folder + "/out", "--mp", "1"], ["complete", folder, "--prompt", "a"]] {
        let outcome = try run(droverPath, arguments)
        #expect(outcome.status == 65, "\(arguments[0]): \(outcome.errors)")
        #expect(outcome.errors.contains("system"), "\(outcome.errors)")
        #expect(!FileManager.default.fileExists(atPath: folder + "/ran"))
      }
    }
  }

  /// Every file below `folder` with its bytes.
  private func contents(_ folder: String) throws -> [String: Data] {
    var files: [String: Data] = [:]
    for name in try FileManager.default.subpathsOfDirectory(atPath: folder) {
      files[name] = FileManager.default.contents(atPath: folder + "/" + name)
    }
    return files
  }
}
