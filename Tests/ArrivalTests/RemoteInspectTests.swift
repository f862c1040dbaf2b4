import Foundation
import Glibc
import TestSupport
import Testing

/// `drover inspect` of what nginx serves: the same as of the files here, for a few requests and few bytes.
@Suite(.serialized, .needs(.python), .needs(.nginx)) struct RemoteInspectTests {
  static let secret = "sEcReTsIgNaTuRe"
  static let query = "?sig=\(secret)&se=2099-01-01"

  /// A model of some 65 MB in four forms, and what their writers say is in them.
  struct Wares {
    let root: String
    /// By folder: Meta's name, and the shape and dtype of the whole.
    let truth: [String: [String: Tensor]]
    let shard: [String: Tensor]

    struct Tensor: Codable, Equatable {
      let shape: [Int]
      let dtype: String
    }

    init(_ folder: String) throws {
      root = folder + "/www"
      try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
      try python(Self.script, root)
      truth = try Self.read(root + "/truth.json")
      shard = try Self.read(root + "/shard.json")
    }

    private static func read<T: Decodable>(_ path: String) throws -> T {
      try JSONDecoder().decode(T.self, from: Data(contentsOf: URL(filePath: path)))
    }

    private static let script = """
      import json, os, sys, torch
      from safetensors.torch import save_file
      from safetensors import safe_open
      from gguf import GGUFWriter, GGUFReader
      root = sys.argv[1]
      dim, heads, kv, hidden, vocab, layers, mp = 1024, 8, 2, 2048, 8192, 2, 2
      hd = dim // heads
      shapes = {"tok_embeddings.weight": (vocab, dim), "norm.weight": (dim,), "output.weight": (vocab, dim)}
      for l in range(layers):
          p = f"layers.{l}."
          shapes |= {p + "attention.wq.weight": (dim, dim), p + "attention.wk.weight": (kv * hd, dim), p + "attention.wv.weight": (kv * hd, dim),
                     p + "attention.wo.weight": (dim, dim), p + "feed_forward.w1.weight": (hidden, dim), p + "feed_forward.w2.weight": (dim, hidden),
                     p + "feed_forward.w3.weight": (hidden, dim), p + "attention_norm.weight": (dim,), p + "ffn_norm.weight": (dim,)}
      torch.manual_seed(4)
      w = {n: (torch.randn(s) if "wk" in n or "wv" in n else torch.zeros(s)).to(torch.bfloat16) for n, s in shapes.items()}
      params = {"dim": dim, "n_heads": heads, "n_kv_heads": kv, "n_layers": layers, "hidden_dim": hidden, "norm_eps": 1e-5, "vocab_size": vocab}
      def folder(name):
          os.makedirs(f"{root}/{name}")
          return f"{root}/{name}"
      def kind(t): return {torch.bfloat16: "bf16", torch.float16: "f16", torch.float32: "f32"}[t.dtype]
      def axis(n): return None if "norm" in n else 1 if "wo." in n or "w2." in n or "tok" in n else 0
      # Meta's: two shards; and one whose ranks repeat the heads of keys and values.
      for name, count in [("pth", mp), ("repeated", 4)]:
          f = folder(name)
          json.dump(params | {"n_kv_heads": max(kv, count)}, open(f + "/params.json", "w"))
          for rank in range(count):
              part = {}
              for n, t in w.items():
                  if axis(n) is None: part[n] = t
                  elif ("wk" in n or "wv" in n): part[n] = t.chunk(kv, 0)[rank * kv // count].clone()
                  else: part[n] = t.chunk(count, axis(n))[rank].clone()
              torch.save(part, f"{f}/consolidated.{rank:02d}.pth")
      truth = {"pth": {n: {"shape": list(t.shape), "dtype": kind(t)} for n, t in w.items()}}
      truth["repeated"] = truth["pth"]
      shard = {n: {"shape": list(t.shape), "dtype": kind(t)} for n, t in torch.load(root + "/pth/consolidated.01.pth").items()}
      # Hugging Face's
      hf = {"tok_embeddings": "model.embed_tokens", "norm": "model.norm", "output": "lm_head", "attention.wq": "self_attn.q_proj", "attention.wk": "self_attn.k_proj",
            "attention.wv": "self_attn.v_proj", "attention.wo": "self_attn.o_proj", "feed_forward.w1": "mlp.gate_proj", "feed_forward.w2": "mlp.down_proj",
            "feed_forward.w3": "mlp.up_proj", "attention_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
      def named(n, table, layer):
          n = n[:-len(".weight")]
          if not n.startswith("layers."): return table[n] + ".weight"
          _, l, rest = n.split(".", 2)
          return f"{layer}.{l}.{table[rest]}.weight"
      f = folder("hf")
      save_file({named(n, hf, "model.layers"): t for n, t in w.items()}, f + "/model.safetensors")
      json.dump({"model_type": "llama", "hidden_size": dim, "intermediate_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
                 "num_key_value_heads": kv, "vocab_size": vocab, "rms_norm_eps": 1e-5, "tie_word_embeddings": False}, open(f + "/config.json", "w"))
      with safe_open(f + "/model.safetensors", "pt") as s:
          truth["hf"] = {n: {"shape": s.get_slice(named(n, hf, "model.layers")).get_shape(), "dtype": s.get_slice(named(n, hf, "model.layers")).get_dtype().lower()} for n in w}
      # GGUF, with a vocabulary as large as Llama 3's.
      gg = {"tok_embeddings": "token_embd", "norm": "output_norm", "output": "output", "attention.wq": "attn_q", "attention.wk": "attn_k", "attention.wv": "attn_v",
            "attention.wo": "attn_output", "feed_forward.w1": "ffn_gate", "feed_forward.w2": "ffn_down", "feed_forward.w3": "ffn_up",
            "attention_norm": "attn_norm", "ffn_norm": "ffn_norm"}
      for name, tokens in [("gguf", 2000), ("gguf-vocabulary", 128000)]:
          f = folder(name)
          g = GGUFWriter(f + "/model.gguf", "llama")
          g.add_block_count(layers); g.add_embedding_length(dim); g.add_feed_forward_length(hidden); g.add_head_count(heads); g.add_head_count_kv(kv)
          g.add_layer_norm_rms_eps(1e-5); g.add_rope_freq_base(10000.0)
          g.add_tokenizer_model("gpt2"); g.add_token_list([f"token{i}" for i in range(tokens)]); g.add_token_merges([f"a{i} b{i}" for i in range(tokens)])
          for n, t in w.items(): g.add_tensor(named(n, gg, "blk"), t.to(torch.float16).numpy())
          g.write_header_to_file(); g.write_kv_data_to_file(); g.write_tensors_to_file(); g.close()
          back = {t.name: t for t in GGUFReader(f + "/model.gguf").tensors}
          truth[name] = {n: {"shape": [int(x) for x in reversed(back[named(n, gg, "blk")].shape)], "dtype": back[named(n, gg, "blk")].tensor_type.name.lower()} for n in w}
      json.dump(truth, open(root + "/truth.json", "w")); json.dump(shard, open(root + "/shard.json", "w"))
      for name, count in [("pth", mp), ("repeated", 4)]:
          files = [{"path": f"{name}/{n}"} for n in ["params.json"] + [f"consolidated.{r:02d}.pth" for r in range(count)]]
          json.dump({"id": name, "files": files}, open(f"{root}/{name}.json", "w"))
      """
  }

  /// What the server sent for requests whose line holds `path`.
  private func sent(_ nginx: Nginx, _ path: String) -> (requests: Int, bytes: Int) {
    // combined: address - user [time zone] "GET path protocol" status bytes …
    let lines = nginx.accessLog.filter { $0.contains(path) }
    return (lines.count, lines.reduce(0) { $0 + (Int($1.split(separator: " ")[9]) ?? 0) })
  }

  private func document(_ outcome: Outcome) throws -> [String: any Sendable] {
    try #require(outcome.status == 0, "\(outcome.errors)")
    return try #require(try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: any Sendable])
  }

  private func expectTensors(_ document: [String: any Sendable], _ truth: [String: Wares.Tensor]?) throws {
    let tensors = try #require(document["tensors"] as? [[String: any Sendable]])
    var found: [String: Wares.Tensor] = [:]
    for tensor in tensors {
      found[try #require(tensor["name"] as? String)] = .init(shape: try #require(tensor["shape"] as? [Int]), dtype: try #require(tensor["dtype"] as? String))
    }
    #expect(tensors.count == truth?.count && found == truth)
  }

  @Test func remoteIsAsLocalForFewBytes() throws {
    try withTemporaryFolder { folder in
      let wares = try Wares(folder)
      let nginx = try Nginx(root: wares.root)
      defer { nginx.stop() }
      let base = "http://127.0.0.1:\(nginx.port)/"
      // The arguments for the server's, the path of the local one, requests and bytes at most.
      let cases: [(name: String, arguments: [String], local: String, requests: Int, bytes: Int)] = [
        ("pth", ["--manifest", wares.root + "/pth.json", base + "*" + Self.query], "pth", 8, 700_000),
        ("repeated", ["--manifest", wares.root + "/repeated.json", "--model", "repeated", base + "*" + Self.query], "repeated", 30, 1_500_000),
        ("hf", [base + "hf/model.safetensors"], "hf", 2, 200_000),
        ("gguf", [base + "gguf/model.gguf" + Self.query], "gguf/model.gguf", 2, 300_000),
        ("gguf-vocabulary", [base + "gguf-vocabulary/model.gguf" + Self.query], "gguf-vocabulary/model.gguf", 8, 9_000_000),
      ]
      for (name, arguments, local, requests, bytes) in cases {
        let outcome = try run(droverPath, ["inspect", "--json"] + arguments)
        var remote = try document(outcome)
        #expect(!outcome.errors.contains(Self.secret) && !outcome.output.contains(Self.secret))
        let log = sent(nginx, "/\(name)/")
        #expect(remote.removeValue(forKey: "requests") as? Int == log.requests && log.requests <= requests, "\(name): \(log)")
        #expect(remote.removeValue(forKey: "fetchedBytes") as? Int == log.bytes && log.bytes <= bytes, "\(name): \(log)")
        let here = try document(drover("inspect", "--json", wares.root + "/" + local))
        #expect(NSDictionary(dictionary: remote) == NSDictionary(dictionary: here), "\(name)")
        try expectTensors(remote, wares.truth[name])
      }
      // From the environment, for people.
      let outcome = try drover("inspect", "--manifest", wares.root + "/pth.json", "--tensors", environment: ["DROVER_URL": base + "*" + Self.query])
      #expect(outcome.status == 0 && outcome.output.contains("layers.1.feed_forward.w2.weight") && outcome.output.contains(" requests"), "\(outcome.errors)")

      // A shard by itself has its own shapes, and says what it is; what lies beside it isn't taken for its own.
      for link in [base + "pth/consolidated.01.pth", base + "pth/consolidated.01.pth" + Self.query] {
        let lone = try drover("inspect", link, "--json")
        let shard = try document(lone)
        try expectTensors(shard, wares.shard)
        #expect(shard["modelParallel"] as? Int == 2 && lone.errors.contains("one of 2 shards"), "\(lone.errors)")
        #expect((shard["params"] as? [String: Int])?["hiddenDim"] == 2048 && (shard["params"] as? [String: Int])?["vocabularySize"] == 8192)
      }
      // Without what describes it, one file tells what shapes tell.
      let bare = try document(drover("inspect", base + "hf/model.safetensors" + Self.query, "--json"))
      try expectTensors(bare, wares.truth["hf"])
      #expect(bare["params"] as? [String: Int] == ["dim": 1024, "layers": 2, "hiddenDim": 2048, "vocabularySize": 8192])
    }
  }

  /// What a server or a link does, and what must come of it.
  struct Fault: Sendable, CustomTestStringConvertible {
    let name: String
    let status: Int32
    let words: String
    let play: @Sendable (FaultServer.Request, [UInt8]) -> [FaultServer.Step]?

    init(_ name: String, _ status: Int32, _ words: String = "", _ play: @escaping @Sendable (FaultServer.Request, [UInt8]) -> [FaultServer.Step]?) {
      (self.name, self.status, self.words, self.play) = (name, status, words, play)
    }

    var testDescription: String { name }
  }

  /// A shard of a megabyte that torch wrote.
  private static let shard: [UInt8] = {
    let bytes = try? withTemporaryFolder { folder in
      try python(
        """
        import sys, torch
        w = {"tok_embeddings.weight": (512, 64), "norm.weight": (64,), "output.weight": (512, 64)}
        for l in range(10):
            p = f"layers.{l}."
            w |= {p + "attention.wq.weight": (64, 64), p + "attention.wk.weight": (64, 64), p + "attention.wv.weight": (64, 64), p + "attention.wo.weight": (64, 64),
                  p + "feed_forward.w1.weight": (256, 64), p + "feed_forward.w2.weight": (64, 256), p + "feed_forward.w3.weight": (256, 64),
                  p + "attention_norm.weight": (64,), p + "ffn_norm.weight": (64,)}
        torch.save({n: torch.zeros(s, dtype=torch.bfloat16) for n, s in w.items()}, sys.argv[1] + "/a.pth")
        """, folder)
      return [UInt8](try Data(contentsOf: URL(filePath: folder + "/a.pth")))
    }
    return bytes ?? []
  }()

  /// `bytes` with the end record's field at `offset` replaced.
  private static func falsified(_ bytes: [UInt8], _ offset: Int, _ value: [UInt8]) -> [UInt8] {
    guard let end = (0...bytes.count - 22).last(where: { bytes[$0...].starts(with: [0x50, 0x4B, 5, 6]) }) else { return bytes }
    var bytes = bytes
    bytes.replaceSubrange(end + offset..<end + offset + value.count, with: value)
    return bytes
  }

  private static func claiming(_ count: Int, _ request: FaultServer.Request, _ content: (Range<Int>) -> [UInt8]) -> [FaultServer.Step]? {
    guard let range = request.range?.clamped(to: 0..<count) else { return nil }
    return [.send(FaultServer.partHead(range.lowerBound, range.count, of: count, tag: "ETag: \"one\"\r\n") + content(range))]
  }

  private static func gzip(_ bytes: [UInt8]) throws -> [UInt8] {
    try withTemporaryFolder { folder in
      try Data(bytes).write(to: URL(filePath: folder + "/x"))
      _ = try run("/usr/bin/gzip", ["-1", folder + "/x"])
      return [UInt8](try Data(contentsOf: URL(filePath: folder + "/x.gz")))
    }
  }

  private static func whole(_ request: FaultServer.Request, _ content: [UInt8]) -> [FaultServer.Step] {
    FaultServer.good(.init(path: request.path, range: nil, turn: request.turn, count: request.count), content)
  }

  static let faults: [Fault] = [
    Fault("a good server", 0) { _, _ in nil },
    Fault("403", 77, "refused the link") { _, _ in FaultServer.status(403) },
    Fault("401", 77, "refused the link") { _, _ in FaultServer.status(401) },
    Fault("403 in the middle", 77, "refused the link") { request, _ in request.turn > 0 ? FaultServer.status(403) : nil },
    Fault("404", 69, "no such file") { _, _ in FaultServer.status(404) },
    Fault("HTML", 65, "HTML") { _, _ in FaultServer.html() },
    Fault("HTML that says it is binary, in parts", 65, "HTML") { request, _ in
      FaultServer.good(request, Array(" <!DOCTYPE html><html>log in</html>".utf8))
    },
    Fault("HTML that says it is binary, whole", 65, "HTML") { request, _ in whole(request, Array("<html>log in</html>".utf8)) },
    Fault("no ranges, small", 0) { request, content in whole(request, content) },
    Fault("no ranges, large", 69, "only as a whole") { request, content in whole(request, content + [UInt8](repeating: 0, count: 5 << 20)) },
    Fault("no ranges, no length, large", 69, "only as a whole") { _, content in
      [.send(Array("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".utf8) + content + [UInt8](repeating: 0, count: 5 << 20)), .close]
    },
    Fault("no ranges any more", 0) { request, content in request.turn > 0 ? whole(request, content) : nil },
    Fault("another range", 69, "another part") { request, content in
      guard let range = request.range, range.lowerBound >= 100 else { return nil }
      return FaultServer.good(.init(path: request.path, range: range.lowerBound - 100..<range.upperBound - 100, turn: 0, count: 0), content)
    },
    Fault("206 without Content-Range", 69, "without saying which") { _, _ in [.send(Array("HTTP/1.1 206 P\r\nContent-Length: 4\r\n\r\nabcd".utf8))] },
    Fault("a part without the whole's length", 69, "how long") { _, _ in
      [.send(Array("HTTP/1.1 206 P\r\nContent-Range: bytes 0-3/*\r\nContent-Length: 4\r\n\r\nabcd".utf8))]
    },
    Fault("another ETag between ranges", 69, "changed") { request, content in FaultServer.good(request, content, etag: "\"\(request.turn)\"") },
    Fault("another length between ranges", 69, "changed") { request, content in
      request.turn > 0 ? FaultServer.good(request, Array(content.dropLast(7))) : nil
    },
    Fault("parts of few bytes", 69, "a few bytes") { request, content in
      guard let range = request.range else { return nil }
      return FaultServer.good(.init(path: request.path, range: range.lowerBound..<range.lowerBound + 3, turn: 0, count: 0), content)
    },
    Fault("half of each part", 0) { request, content in
      guard let range = request.range, range.count > 8192 else { return nil }
      return FaultServer.good(.init(path: request.path, range: range.lowerBound..<range.lowerBound + range.count / 2, turn: 0, count: 0), content)
    },
    Fault("more than was asked for", 0) { request, content in
      guard let range = request.range?.clamped(to: 0..<content.count) else { return nil }
      let head = FaultServer.partHead(range.lowerBound, range.count, of: content.count, promised: range.count + 99, tag: "ETag: \"one\"\r\n")
      return [.send(head + content[range] + [UInt8](repeating: 1, count: 99))]
    },
    Fault("reset in the body, once", 0) { request, content in
      guard request.turn == 0, let range = request.range else { return nil }
      return [.send(FaultServer.partHead(range.lowerBound, range.count, of: content.count, tag: "ETag: \"one\"\r\n") + content[range].prefix(50_000)), .wait(0.05), .reset]
    },
    Fault("500 once", 0) { request, _ in request.turn == 1 ? FaultServer.status(500) : nil },
    Fault("500 for ever", 69, "HTTP status 500") { _, _ in FaultServer.status(500) },
    Fault("429 with seconds to wait", 0) { request, _ in request.turn == 0 ? FaultServer.status(429, "Retry-After: 1\r\n") : nil },
    Fault("503 that asks for an hour", 69, "come back in") { _, _ in FaultServer.status(503, "Retry-After: 3600\r\n") },
    Fault("closed before the head", 69) { _, _ in [.close] },
    Fault("redirect in a circle", 69, "circle") { _, _ in FaultServer.status(302, "Location: /again\r\n") },
    Fault("redirect to a file of the machine", 69, "neither http nor https") { _, _ in FaultServer.status(302, "Location: file:///etc/passwd\r\n") },
    Fault("redirect to where the file is", 0) { request, _ in request.path == "cdn" ? nil : FaultServer.status(302, "Location: /cdn\r\n") },
    Fault("gzip unasked, in parts", 69) { request, content in
      guard let range = request.range?.clamped(to: 0..<content.count) else { return nil }
      return [.send(FaultServer.partHead(range.lowerBound, range.count, of: content.count, tag: "Content-Encoding: gzip\r\n") + content[range])]
    },
    // What S3 keeps of an upload that was signed chunk by chunk.
    Fault("Content-Encoding: aws-chunked", 0) { request, content in FaultServer.good(request, content, etag: "\"one\"\r\nContent-Encoding: aws-chunked") },
    Fault("gzip unasked, whole", 0) { _, content in
      guard let packed = try? gzip(content) else { return nil }
      return [.send(Array("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: \(packed.count)\r\n\r\n".utf8) + packed)]
    },
    Fault("HTTP/0.9 once", 0) { request, _ in request.turn == 0 ? [.send(Array("hello".utf8)), .close] : nil },
    Fault("redirect to a dead host", 69, "redirected to http://127.0.0.1:1:") { _, _ in FaultServer.status(302, "Location: http://127.0.0.1:1/a.pth?\(secret)\r\n") },
    Fault("403 in a blocked country", 77, "country") { _, _ in
      FaultServer.status(403, body: "The Amazon CloudFront distribution is configured to block access from your country.")
    },
    Fault("no bytes", 65) { request, _ in FaultServer.good(request, []) },
    Fault("what is no checkpoint", 65, "neither") { request, _ in FaultServer.good(request, [UInt8](repeating: 7, count: 300_000)) },
    Fault("the directory cut off", 65, "cut off") { request, content in FaultServer.good(request, Array(content.dropLast(3000))) },
    Fault("a directory as long as the file", 65) { request, content in FaultServer.good(request, falsified(content, 12, [0, 0, 15, 0])) },
    Fault("a directory beyond the file", 65, "doesn't fit") { request, content in FaultServer.good(request, falsified(content, 16, [255, 255, 255, 127])) },
    Fault("a directory of more entries than bytes", 65, "entries") { request, content in
      FaultServer.good(request, falsified(content, 8, [254, 255, 254, 255]))
    },
    Fault("a petabyte, and zeros", 65) { request, content in
      claiming(1 << 46, request) { $0.lowerBound == 0 ? Array(content[$0]) : [UInt8](repeating: 0, count: $0.count) }
    },
    Fault("2^60 bytes", 65, "which no file has") { request, content in claiming(1 << 60, request) { Array(content[$0]) } },
    Fault("a GGUF whose vocabulary never ends", 65, "256 MB") { request, _ in
      func little(_ value: Int, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
      let head = Array("GGUF".utf8) + little(3, 4) + little(0, 8) + little(1, 8) + little(1, 8) + [97] + little(9, 4) + little(8, 4) + little(1 << 36, 8)
      return claiming(1 << 40, request) { $0.lowerBound == 0 ? head + [UInt8](repeating: 0, count: $0.count - head.count) : [UInt8](repeating: 0, count: $0.count) }
    },
    Fault("a safetensors header longer than is sane", 65, "too much") { request, _ in
      claiming(1 << 40, request) { [0, 0, 0, 0, 64, 0, 0, 0, 0x7B] + [UInt8](repeating: 0x20, count: $0.count - 9) }
    },
  ]

  /// What has delivered is tried again for as long as was asked for, and not a number of times.
  @Test(arguments: ["reset", "busy"]) func triedAgainByTime(how: String) throws {
    let content = Self.shard
    let server = try FaultServer { request in
      if request.turn == 0 { return FaultServer.good(request, content) }
      return how == "busy" ? FaultServer.status(503) : [.reset]
    }
    defer { server.stop() }
    let outcome = try drover("inspect", "--retry-time", "2s", "http://127.0.0.1:\(server.port)/a.pth\(Self.query)")
    #expect(outcome.status == 69 && outcome.errors.contains(" without a new byte"), "\(outcome)")
    #expect((3..<10).contains(server.requests))
  }

  @Test(arguments: faults) func comesToItsEnd(_ fault: Fault) throws {
    let content = Self.shard
    let server = try FaultServer { fault.play($0, content) ?? FaultServer.good($0, content) }
    defer { server.stop() }
    let link = "http://127.0.0.1:\(server.port)/a.pth\(Self.query)"
    // Whatever size a server claims: half a gigabyte of writable memory is enough.
    let outcome = try run("/bin/sh", ["-c", #"ulimit -d 500000; exec "$@""#, "sh", droverPath, "inspect", "--retries", "1", "--json", link])
    #expect(outcome.status == fault.status && (fault.words.isEmpty || outcome.errors.contains(fault.words)), "\(outcome.status) \(outcome.errors)")
    #expect(!outcome.errors.contains(Self.secret) && !outcome.output.contains(Self.secret))
    #expect(outcome.output.isEmpty == (fault.status != 0))
    if fault.status != 0 { #expect(outcome.errors.split(separator: "\n").count <= 2) }
    #expect(server.requests < 80)
  }

  /// What people type.
  @Test(arguments: [
    (["http://s/*\(query)"], Int32(64), "--model"), (["--model", "7B", "https://s/a.pth\(query)"], 64, "needs no --model"),
    (["ftp://s/a.pth\(query)"], 64, "neither http nor https"), (["--model", "7B", "folder"], 64, "go with a link"), ([], 64, "path"),
    (["--model", "nothing", "http://s/*\(query)"], 64, "nothing"), (["https://huggingface.co/meta-llama/Llama-2-7b"], 64, "Hugging Face"),
    (["a", "https://s/a.pth\(query)"], 64, "a link"), (["--retries=https://s/a.pth\(query)", "a"], 64, "a link"),
  ])
  func mistakesAreExplained(arguments: [String], status: Int32, words: String) throws {
    let outcome = try run(droverPath, ["inspect"] + arguments)
    #expect(outcome.status == status && outcome.errors.contains(words), "\(outcome.status) \(outcome.errors)")
    #expect(!outcome.errors.contains(Self.secret) && outcome.output.isEmpty)
  }

  @Test func theLinkIsNotInTheProcessTitle() throws {
    let server = try FaultServer { _ in [.wait(10)] }
    defer { server.stop() }
    let process = try Child(droverPath, ["inspect", "http://127.0.0.1:\(server.port)/a.pth\(Self.query)"])
    defer {
      process.signal(SIGKILL)
      process.wait()
    }
    for _ in 0..<500 where server.requests == 0 { usleep(10_000) }
    let title = String(decoding: FileManager.default.contents(atPath: "/proc/\(process.processIdentifier)/cmdline") ?? Data(), as: UTF8.self)
    #expect(server.requests == 1 && title.contains("inspect") && !title.contains(Self.secret) && !title.contains("://"))
  }
}
