import Checkpoint
import Foundation
import Integrity
import Synchronization
import SystemPackage
import TestSupport
import Testing

/// torch reads what drover wrote, and drover what torch wrote, every tensor bit for bit.
@Suite(.needs(.python), .needs(.currentTorch))
struct ReshardTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var shape = PythonModels.Shape()
    var from: Int
    var to: [Int]
    var testDescription: String { "\(from) to \(to), \(shape.testDescription)" }
  }

  static let llama2 = PythonModels.Shape(dim: 64, heads: 16, hidden: 96, vocabulary: 32_000)

  static let cases = [
    Case(from: 8, to: [2, 4, 8, 16]),
    Case(from: 16, to: [8]),
    // Of one shard the size of the vocabulary tells how the embedding is to be cut.
    Case(shape: llama2, from: 8, to: [1, 16]),
    Case(shape: llama2, from: 1, to: [2, 8]),
    Case(shape: .init(embeddingAxis: 0), from: 1, to: [4]),
    Case(shape: .init(embeddingAxis: 0), from: 4, to: [1, 2, 8]),
    Case(shape: .init(dim: 96, heads: 6, kvHeads: 6, hidden: 192, vocabulary: 300, dtype: "float16"), from: 3, to: [2, 6]),
    Case(shape: .init(dim: 96, heads: 6, kvHeads: 3, hidden: 192, vocabulary: 300, embeddingAxis: 0, dtype: "float32"), from: 3, to: [6, 1]),
  ]

  @Test(arguments: cases) func everyTensorBitForBit(_ test: Case) throws {
    try withTemporaryFolder { folder in
      let sources = ["pth", "safetensors", "legacy"].map { PythonModels.Folder(path: "\(folder)/\($0)-source", modelParallel: test.from, format: $0) }
      try PythonModels.write(test.shape, to: sources)
      var outputs: [PythonModels.Folder] = []
      for source in sources {
        for count in test.to {
          let format: Checkpoint.Format = source.format == "safetensors" ? .safetensors : .pth
          let output = "\(folder)/\(source.format)-\(count)"
          try reshard(source.path, output, modelParallel: count, format: format)
          outputs.append(.init(path: output, modelParallel: count, format: format.rawValue))
          // And back, from what drover wrote, through the other format.
          let other: Checkpoint.Format = format == .pth ? .safetensors : .pth
          try reshard(output, output + "-back", modelParallel: test.from, format: other)
          outputs.append(.init(path: output + "-back", modelParallel: test.from, format: other.rawValue))
        }
      }
      try PythonModels.check(test.shape, outputs, with: .python)
      try PythonModels.check(test.shape, outputs, with: .currentTorch)
    }
  }

  @Test func sameInputSameBytes() throws {
    try withTemporaryFolder { folder in
      try PythonModels.write(.init(), to: folder + "/source", modelParallel: 2)
      let first = try reshard(folder + "/source", folder + "/a", modelParallel: 4, .init(digests: [.sha256], threads: 1))
      let second = try reshard(folder + "/source", folder + "/b", modelParallel: 4, .init(digests: [.sha256], threads: 7))
      #expect(first.map { [$0.name, $0.digests[.sha256]?.digest.hex] } == second.map { [$0.name, $0.digests[.sha256]?.digest.hex] })
    }
  }

  /// Each byte of the source is read once, also those that are copies of others, and though all is hashed and has a receipt.
  @Test(arguments: [("8", "1", "pth"), ("8", "8", "safetensors"), ("1", "4", "pth"), ("1", "1", "hf")])
  func readsEachByteOnce(from: String, to: String, format: String) throws {
    try withTemporaryFolder { folder in
      try PythonModels.write(.init(dim: 512, heads: 8, kvHeads: 8, hidden: 1408, layers: 3, vocabulary: 8192), to: folder + "/source", modelParallel: Int(from) ?? 1)
      // What a shell has waited for counts as its own.
      let outcome = try run(
        "/bin/bash", ["-c", "\"$0\" \"$@\" && while read -r line; do echo \"$line\"; done < /proc/$$/io"]
          + [droverPath, "reshard", folder + "/source", folder + "/out", "--mp", to, "--format", format, "--quiet", "--progress", "none"])
      try #require(outcome.status == 0, "\(outcome.errors)")
      let line = try #require(outcome.output.split(separator: "\n").first { $0.hasPrefix("rchar:") })
      let read = try #require(Int(line.dropFirst(6).trimmingCharacters(in: .whitespaces)))
      // Storages in torch's shards may be larger than what the tensors show of them: the output tells how many bytes of weights there are.
      let names = try FileManager.default.contentsOfDirectory(atPath: folder + "/out")
      let weights = try names.reduce(0) { $0 + (try FileManager.default.attributesOfItem(atPath: "\(folder)/out/\($1)")[.size] as? Int ?? 0) }
      // The program itself and its libraries are read too.
      #expect(read < weights + 3 << 20 && read > weights * 95 / 100, "\(read) for \(weights)")
    }
  }

  /// A mount whose server is far away takes as long for each request as for a megabyte. What is read whole is read in few: those of a fingerprint are
  /// pieces of a megabyte, or all that a shard has of a tensor; and the system is asked ahead for what comes next in each file, once for megabytes.
  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/usr/bin/strace") || Peer.isCI, "needs strace"), arguments: ["fingerprint", "reshard"])
  func readsInLargeRequests(_ command: String) throws {
    try withTemporaryFolder { folder in
      let shape = PythonModels.Shape(dim: 1024, heads: 16, kvHeads: 8, hidden: 4096, layers: 2, vocabulary: 4096)
      try PythonModels.write(shape, to: folder + "/source", modelParallel: 8)
      func calls(_ arguments: [String]) throws -> (count: Int, ahead: [(from: Int, bytes: Int)]) {
        let outcome = try run("/usr/bin/strace", ["-f", "-qq", "-e", "trace=pread64,fadvise64", "-o", folder + "/trace", droverPath] + arguments)
        try #require(outcome.status == 0, "\(outcome.errors)")
        let trace = try String(contentsOfFile: folder + "/trace", encoding: .utf8).split(separator: "\n")
        let advice = trace.compactMap { line in line.wholeMatch(of: /.*fadvise64\(\d+, (\d+), (\d+), POSIX_FADV_WILLNEED.*/) }
        return (trace.count { $0.contains("pread64(") }, advice.compactMap { match in Int(match.1).flatMap { from in Int(match.2).map { (from, $0) } } })
      }
      let (count, ahead) = try calls(command == "reshard" ? [command, folder + "/source", folder + "/out", "--mp", "1", "-q"] : [command, folder + "/source", "-q"])
      let tensors = 3 + 9 * shape.layers
      let bytes = try (0..<8).reduce(0) { $0 + (try FileManager.default.attributesOfItem(atPath: "\(folder)/source/consolidated.0\($1).pth")[.size] as? Int ?? 0) }
      // Headers take a few reads a file, and one or two a tensor.
      if command == "fingerprint" { #expect(count <= bytes >> 20 + 8 * (2 * tensors + 40), "\(count) requests for \(bytes) bytes of \(tensors) tensors in 8 files") }
      // What is asked for ahead is most of each file, and little of it twice.
      #expect((bytes * 9 / 10...bytes * 3 / 2).contains(ahead.reduce(0) { $0 + $1.bytes }), "\(ahead)")
    }
  }

  /// Files that are here, as if they arrived: notes down how far they were let go.
  private final class Released: ArrivingSources {
    let schedule: ReadingSchedule
    let starts = Mutex<[Int: Int]>([:])
    init(_ plan: ReshardPlan) { schedule = ReadingSchedule(plan) }
    func release(_ file: Int, to start: Int) { starts.withLock { $0[file] = max($0[file] ?? 0, start) } }
    var haveEnded: Bool { false }
    func giveUp() {}
  }

  /// A plan says nothing of its order: carried out as the source lies it writes the same bytes, and the same receipt. In the end all files are let go of.
  @Test(arguments: [(8, 1), (1, 8), (2, 4), (8, 8), (4, 2), (1, 16), (16, 1)], [0, 1]) func theOrderOfArrivalWillDo(_ sizes: (Int, Int), axis: Int) throws {
    try withTemporaryFolder { folder in
      // Wide enough for the grid to be cut where shards are.
      let shape = PythonModels.Shape(dim: 1024, heads: 16, kvHeads: 8, hidden: 2048, layers: 2, vocabulary: 2048, embeddingAxis: axis)
      try PythonModels.write(shape, to: folder + "/source", modelParallel: sizes.0)
      try reshard(folder + "/source", folder + "/a", modelParallel: sizes.1, .init(tool: "t"))
      let released = try Released(ReshardPlan(Checkpoint.open(at: FilePath(folder + "/source")), .init(modelParallel: sizes.1)))
      var options = ReshardPlan.WriteOptions(tool: "t")
      options.arriving = released
      try reshard(folder + "/source", folder + "/b", modelParallel: sizes.1, options)
      for file in 0..<sizes.0 {
        let path = "\(folder)/source/consolidated.\(file < 10 ? "0" : "")\(file).pth"
        #expect(try released.starts.withLock { $0[file] } == FileManager.default.attributesOfItem(atPath: path)[.size] as? Int)
      }
      let outcome = try run("/usr/bin/diff", ["-r", "-x", "drover-receipt.json", folder + "/a", folder + "/b"])
      #expect(outcome.status == 0, "\(outcome.output)")
      let receipts = try ["a", "b"].map { try Receipt(contentsOf: FilePath("\(folder)/\($0)/drover-receipt.json")) }
      #expect(receipts[0].files == receipts[1].files && receipts[0].fingerprint == receipts[1].fingerprint)
    }
  }

  @Test func checklistAgreesWithMD5Sum() throws {
    try withTemporaryFolder { folder in
      try PythonModels.write(.init(), to: folder + "/source", modelParallel: 2)
      try reshard(folder + "/source", folder + "/out", modelParallel: 4, .init(checklist: true))
      let outcome = try run("/usr/bin/md5sum", ["-c", "--strict", "checklist.chk"], in: folder + "/out")
      #expect(outcome.status == 0)
      #expect(outcome.output.split(separator: "\n").count == 5)
    }
  }

  @Test func zipIsWhatOthersExpect() throws {
    try withTemporaryFolder { folder in
      try PythonModels.write(.init(), to: folder + "/source", modelParallel: 1)
      try reshard(folder + "/source", folder + "/out", modelParallel: 2)
      // testzip compares every CRC; torch's own alignment is 64.
      try python(
        """
        import sys, zipfile
        file = zipfile.ZipFile(sys.argv[1])
        assert file.testzip() is None
        raw = open(sys.argv[1], "rb").read()
        for info in file.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            names = int.from_bytes(raw[info.header_offset + 26:info.header_offset + 28], "little")
            extra = int.from_bytes(raw[info.header_offset + 28:info.header_offset + 30], "little")
            assert (info.header_offset + 30 + names + extra) % 64 == 0, info
        """, folder + "/out/consolidated.01.pth")
    }
  }

  @Test func viewsAndLegacyNames() throws {
    try withTemporaryFolder { folder in
      // Transposed, sliced out of larger storages, sharing one, wrapped as parameters, in an OrderedDict with attributes.
      try python(
        """
        import collections, json, sys, torch
        torch.manual_seed(3)
        dim, hidden, vocab, folder = 16, 48, 32, sys.argv[1]
        big = torch.randn(200, 64)
        w = collections.OrderedDict()
        w["tok_embeddings.weight"] = torch.nn.Parameter(torch.randn(dim, vocab).t())
        w["output.weight"] = big[10:10 + vocab, 3:3 + dim]
        w["norm.weight"] = big[0, :2 * dim:2]
        p = "layers.0."
        for n, name in enumerate(["wq", "wk", "wv", "wo"]): w[p + f"attention.{name}.weight"] = big[n:n + dim, dim:2 * dim]
        w[p + "feed_forward.w1.weight"] = torch.randn(hidden, 2 * dim)[:, ::2]
        w[p + "feed_forward.w2.weight"] = torch.randn(hidden, dim).t()
        w[p + "feed_forward.w3.weight"] = torch.randn(hidden + 5, dim)[5:]
        w[p + "attention_norm.weight"] = torch.randn(dim)
        w[p + "ffn_norm.weight"] = w[p + "attention_norm.weight"]
        w[p + "attention.inner_attention.rope.freqs"] = torch.tensor([1, 0.01])
        w._metadata = {"version": 1}
        torch.save(w, folder + "/consolidated.00.pth")
        json.dump({"dim": dim, "n_heads": 4, "n_layers": 1, "multiple_of": 48, "norm_eps": 1e-6, "vocab_size": vocab}, open(folder + "/params.json", "w"))
        """, folder)
      try reshard(folder, folder + "/out", modelParallel: 1)
      try python(
        """
        import sys, torch
        a, b = (torch.load(f"{folder}/consolidated.00.pth") for folder in sys.argv[1:])
        assert set(a) == set(b)
        for name in a: assert torch.equal(a[name], b[name]) and b[name].is_contiguous() and b[name].storage().size() == b[name].numel(), name
        """, folder, folder + "/out")
    }
  }

  @Test func replicasThatDifferAreRefused() throws {
    try withTemporaryFolder { folder in
      try PythonModels.write(.init(), to: folder + "/source", modelParallel: 2)
      try python(
        "import sys, torch; w = torch.load(sys.argv[1]); w['layers.1.ffn_norm.weight'][3] = 1; torch.save(w, sys.argv[1])",
        folder + "/source/consolidated.01.pth")
      let error = #expect(throws: CheckpointError.self) { try reshard(folder + "/source", folder + "/out", modelParallel: 1) }
      #expect(error?.reason == .corrupt)
      #expect(error?.description.contains("layers.1.ffn_norm.weight") == true)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["source"])
    }
  }

  /// Tensors whose elements lie far apart, larger than what is read at a time.
  @Test func farApart() throws {
    try withTemporaryFolder { folder in
      try python(
        """
        import json, sys, torch
        torch.manual_seed(4)
        dim, hidden, vocab, folder = 1024, 1024, 5000, sys.argv[1]
        w = {"tok_embeddings.weight": torch.randn(dim, vocab).t(), "output.weight": torch.randn(vocab, 3 * dim)[:, ::3], "norm.weight": torch.randn(40 * dim)[::40]}
        p = "layers.0."
        for name in ["wq", "wk", "wv", "wo"]: w[p + f"attention.{name}.weight"] = torch.randn(dim, dim)
        for name in ["w1", "w2", "w3"]: w[p + f"feed_forward.{name}.weight"] = torch.randn(2 * dim, 2 * dim).t()[::2, ::2]
        w[p + "attention.wo.weight"] = torch.randn(dim, 40 * dim)[:, ::40]
        for name in ["attention_norm", "ffn_norm"]: w[p + f"{name}.weight"] = torch.randn(dim)
        torch.save(w, folder + "/consolidated.00.pth")
        json.dump({"dim": dim, "n_heads": 8, "n_layers": 1, "hidden_dim": hidden, "norm_eps": 1e-6, "vocab_size": vocab}, open(folder + "/params.json", "w"))
        """, folder)
      for (count, dtype) in [(1, DTypeMix?.none), (4, nil), (1, .bf16)] {
        let out = "\(folder)/\(count)-\(dtype?.rawValue ?? "keep")"
        try reshard(folder, out, modelParallel: count, dtype: dtype)
        try python(
          """
          import glob, sys, torch
          whole = torch.load(sys.argv[1] + "/consolidated.00.pth")
          parts = [torch.load(file) for file in sorted(glob.glob(sys.argv[2] + "/*.pth"))]
          for name, tensor in whole.items():
              axis = 1 if any(n in name for n in ["wo", "w2"]) else 0
              made = parts[0][name] if tensor.dim() == 1 else torch.cat([part[name] for part in parts], axis)
              assert torch.equal(made, tensor.to(made.dtype)), name
          """, folder, out)
      }
    }
  }

  /// Heads whose columns don't come in pairs can't be rotated.
  @Test(arguments: [(12, 4, 3), (8, 8, 1)]) func oddHeads(dim: Int, heads: Int, width: Int) throws {
    try withTemporaryFolder { folder in
      try PythonModels.write(.init(dim: dim, heads: heads, kvHeads: heads, hidden: 16, layers: 1, vocabulary: 32), to: folder + "/source", modelParallel: 1)
      let outcome = try drover("reshard", folder + "/source", folder + "/out", "--mp", "1", "--format", "hf")
      #expect(outcome.status == 65)
      #expect(outcome.errors.contains("heads of \(width),"), "\(outcome.errors)")
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["source"])
    }
  }

  @Test(arguments: [5, 3, 0, -1, 128])
  func sizesThatHeadsDontAllow(_ count: Int) throws {
    try withTemporaryFolder { folder in
      try PythonModels.write(.init(), to: folder, modelParallel: 1)
      let outcome = try drover("reshard", folder, folder + "/out", "--mp=\(count)")
      #expect(outcome.status == 64)
      #expect(outcome.errors.contains("Sizes that work: 1, 2, 4, 8, 16, 32, 64"))
    }
  }
}
