import Foundation
import Glibc
import TestSupport
import Testing

/// A release on a server, which torch or safetensors wrote.
struct PullStage {
  let folder: String
  let nginx: Nginx
  var out: String { folder + "/here/out" }
  var here: String { folder + "/here" }

  /// - Parameter weights: makes the files of the release in `folder/www/m`, and names those of weights.
  init(_ folder: String, directives: String = "", listed: [String]? = nil, _ weights: (_ model: String) throws -> [String]) throws {
    self.folder = folder
    try FileManager.default.createDirectory(atPath: folder + "/www", withIntermediateDirectories: true)
    try FileManager.default.createDirectory(atPath: folder + "/here", withIntermediateDirectories: true)
    let names = try weights(folder + "/www/m") + ["params.json"]
    let list = try run("/usr/bin/md5sum", listed ?? names, in: folder + "/www/m").output
    try list.write(toFile: folder + "/www/m/checklist.chk", atomically: true, encoding: .utf8)
    let files = (["checklist.chk"] + names).map { #"{"path": "m/\#($0)"}"# }.joined(separator: ",")
    try #"{"id": "tiny", "files": [\#(files)]}"#.write(toFile: folder + "/manifest.json", atomically: true, encoding: .utf8)
    nginx = try Nginx(root: folder + "/www", directives: directives)
  }

  /// The random model of the other tests, in all layouts; made once, and removed when the tests end.
  private static let made = NSTemporaryDirectory() + "drover-pulled-\(UUID().uuidString)"
  static let expected = Result {
    atexit { try? FileManager.default.removeItem(atPath: PullStage.made) }
    return try ReferenceModel.write(to: made, scale: 8)["keep"]
  }

  init(_ folder: String, layout: String, directives: String = "", listed: [String]? = nil) throws {
    _ = try Self.expected.get()
    try self.init(folder, directives: directives, listed: listed) { model in
      try FileManager.default.copyItem(atPath: Self.made + "/" + layout, toPath: model)
      return try FileManager.default.contentsOfDirectory(atPath: model).filter { $0.hasPrefix("consolidated") }.sorted()
    }
  }

  var environment: [String: String] { ["DROVER_URL": "http://127.0.0.1:\(nginx.port)/*?sig=sEcReT&se=2099-01-01", "SOURCE_DATE_EPOCH": "0"] }
  func arguments(_ more: [String]) -> [String] { ["pull", "tiny", out, "--manifest", folder + "/manifest.json", "--yes", "--progress", "plain"] + more }
  func pull(_ some: String..., more: [String] = []) throws -> Outcome { try run(droverPath, arguments(some + more), environment: environment) }

  /// The same by way of the disk.
  func reshard(_ more: [String]) throws -> String {
    let downloaded = try run(droverPath, ["download", "--manifest", folder + "/manifest.json", "--output", folder + "/there", "--yes", "--quiet"], environment: environment)
    try #require(downloaded.status == 0, "\(downloaded.errors)")
    let resharded = try run(droverPath, ["reshard", folder + "/there/m", folder + "/resharded", "--quiet"] + more, environment: environment)
    try #require(resharded.status == 0, "\(resharded.errors)")
    return folder + "/resharded"
  }

  /// Paths of the weights that were asked for so far, each request once.
  var asked: [String] { nginx.accessLog.compactMap { line in line.split(separator: " ").first { $0.hasPrefix("/m/consolidated") }.map { String($0.prefix { $0 != "?" }) } } }
  /// Bytes of weights that were sent so far.
  var sent: Int {
    nginx.accessLog.reduce(0) { sum, line in
      guard line.contains("/m/consolidated"), let bytes = line.split(separator: "\"").dropFirst(2).first?.split(separator: " ").last else { return sum }
      return sum + (Int(bytes) ?? 0)
    }
  }

  /// A random model of bfloat16s, wide enough for the grid of fingerprints to be cut where its shards are.
  struct Wide {
    var dim = 1024
    var hidden = 2816
    var vocabulary = 4096
    var layers = 4
    var ranks = 4

    func write(to folder: String) throws -> [String] {
      try python(
        """
        import sys, os, json, torch
        root, (dim, hidden, vocab, layers, ranks) = sys.argv[1], map(int, sys.argv[2:])
        os.makedirs(root)
        json.dump({"dim": dim, "n_layers": layers, "n_heads": 16, "n_kv_heads": 8, "vocab_size": vocab, "multiple_of": 256, "norm_eps": 1e-5}, open(f"{root}/params.json", "w"))
        torch.manual_seed(7)
        norms = torch.randn(dim).to(torch.bfloat16)
        for rank in range(ranks):
            # Finite, of either sign.
            def rand(*shape): return (torch.randint(0, 0x4100, shape) - 0x8000 * torch.randint(0, 2, shape)).to(torch.int16).view(torch.bfloat16)
            t = {"tok_embeddings.weight": rand(vocab, dim // ranks)}
            for n in range(layers):
                p = f"layers.{n}."
                t |= {p + "attention.wq.weight": rand(dim // ranks, dim), p + "attention.wk.weight": rand(dim // 2 // ranks, dim), p + "attention.wv.weight": rand(dim // 2 // ranks, dim),
                      p + "attention.wo.weight": rand(dim, dim // ranks), p + "feed_forward.w1.weight": rand(hidden // ranks, dim), p + "feed_forward.w2.weight": rand(dim, hidden // ranks),
                      p + "feed_forward.w3.weight": rand(hidden // ranks, dim), p + "attention_norm.weight": norms, p + "ffn_norm.weight": norms.clone()}
            t |= {"norm.weight": norms.clone(), "output.weight": rand(vocab // ranks, dim)}
            torch.save(t, f"{root}/consolidated.{rank:02}.pth")
        """, folder, "\(dim)", "\(hidden)", "\(vocabulary)", "\(layers)", "\(ranks)")
      return (0..<ranks).map { "consolidated.0\($0).pth" }
    }
  }

  init(_ folder: String, wide: Wide, directives: String = "") throws { try self.init(folder, directives: directives) { try wide.write(to: $0) } }

  /// Bytes of weights that the server has.
  var total: Int {
    get throws {
      try FileManager.default.contentsOfDirectory(atPath: folder + "/www/m").filter { $0.hasPrefix("consolidated") }
        .reduce(0) { $0 + (try FileManager.default.attributesOfItem(atPath: "\(folder)/www/m/\($1)")[.size] as? Int ?? 0) }
    }
  }

  /// Bytes of one file that were sent so far.
  func sent(of name: String) -> Int {
    nginx.accessLog.reduce(0) { sum, line in
      guard line.contains("/m/\(name)"), let bytes = line.split(separator: "\"").dropFirst(2).first?.split(separator: " ").last else { return sum }
      return sum + (Int(bytes) ?? 0)
    }
  }

  /// Starts a pull that somebody will end.
  func start(_ more: [String]) throws -> Child {
    try Child(droverPath, arguments(more + ["--quiet"]), environment: environment)
  }

  var journal: String { here + "/.out.drover-pull/journal" }

  /// Bytes of the source that needn't be fetched again, as the journal has it.
  var journaled: Int {
    guard let text = try? String(contentsOfFile: journal, encoding: .utf8), let body = text.split(separator: "\n", maxSplits: 1).last,
      let document = try? JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any], let sources = document["sources"] as? [[String: Any]]
    else { return 0 }
    return sources.reduce(0) { sum, source in
      guard let point = source["point"] as? [String: Any], let hash = (point["hash"] as? String).flatMap({ Data(base64Encoded: $0) }), hash.count > 24 else { return sum }
      // A saved MD5: the chaining value, and the number of bytes behind it.
      return sum + (0..<8).reduce(0) { $0 | Int(hash[16 + $1]) << (8 * $1) }
    }
  }

  /// Runs a pull until some bytes needn't be fetched again, and ends it. It takes 6 MB a second, so that it can't come to its end before, however many connections
  /// it has.
  func interrupt(_ more: [String], _ signal: Int32 = SIGKILL, at bytes: Int = 1) throws {
    let process = try start(more + ["--limit-rate", "6M"])
    _ = waitUntil { journaled >= bytes || !process.isRunning }
    try #require(process.isRunning, "it has come to its end before it could be ended")
    process.signal(signal)
    #expect(process.wait() == (signal == SIGKILL ? 128 + SIGKILL : 130))
    try #require(journaled >= bytes && !FileManager.default.fileExists(atPath: out))
  }
}
