import Foundation
import TestSupport
import Testing

/// One file behind a link, and its mirrors.
@Suite(.serialized) struct MirrorTests {
  private struct Document: Decodable {
    struct File: Decodable {
      let path, status: String
      let sha256, md5, blob: String?
      let verified: Bool
      let bytes: Int?
    }
    let files: [File]
    let bytes: Int
    let error: String?
  }

  private static let content = Wares.shared.contents["f/a.pth"] ?? []

  private static func link(_ port: UInt16, _ path: String = "models/a.pth") -> String { "http://127.0.0.1:\(port)/\(path)?sig=\(FaultTests.secret)&se=2099-01-01T00:00:00Z" }

  /// What coreutils say that it hashes to.
  private static func sha256(_ content: [UInt8]) throws -> String {
    try withTemporaryFolder { folder in
      try Data(content).write(to: URL(filePath: folder + "/x"))
      return String(try run("/usr/bin/sha256sum", [folder + "/x"]).output.prefix(64))
    }
  }

  private func download(_ links: [String], _ arguments: [String], into folder: String) throws -> Outcome {
    let outcome = try run(droverPath, ["download"] + links + arguments + ["--output", folder + "/out", "--yes", "--retries", "2"], environment: ["DROVER_URL": ""])
    #expect(!(outcome.output + outcome.errors).contains(FaultTests.secret), "\(outcome)")
    #expect(try run("/usr/bin/grep", ["-r", FaultTests.secret, folder]).status == 1)
    return outcome
  }

  @Test(arguments: mirrorFaults, [true, false]) func theNextMirrorIsAsked(_ fault: MirrorFault, hasDigest: Bool) throws {
    guard hasDigest || fault.isNoticedAlone else { return }
    let content = Self.content
    let first = try FaultServer { fault.play($0, content) }
    let port = first.port
    if fault.isDead { first.stop() }
    defer { if !fault.isDead { first.stop() } }
    let second = try FaultServer { FaultServer.good($0, content) }
    defer { second.stop() }
    try withTemporaryFolder { folder in
      let digest = hasDigest ? ["--sha256", try Self.sha256(content).uppercased()] : []
      let outcome = try download([fault.isDead ? Self.link(try freePort()) : Self.link(port), Self.link(second.port)], digest + ["--json"], into: folder)
      try #require(outcome.status == 0, "\(outcome)")
      #expect(outcome.errors.contains("a.pth: http://127.0.0.1:") && outcome.errors.contains(fault.words) && outcome.errors.contains("http://127.0.0.1:\(second.port) is asked next"), "\(outcome.errors)")
      let document = try JSONDecoder().decode(Document.self, from: Data(outcome.output.utf8))
      #expect(document.files.map(\.verified) == [hasDigest] && document.files.map(\.path) == ["a.pth"] && document.bytes == content.count)
      #expect(document.files.first?.sha256 == (try Self.sha256(content)))
      #expect(FileManager.default.contents(atPath: folder + "/out/a.pth") == Data(content))
      #expect(try FileManager.default.subpathsOfDirectory(atPath: folder + "/out").sorted() == ["a.pth", "drover-receipt.json"])
      #expect(!fault.isGoneOnFrom || second.bytesSent < content.count - 500_000, "\(second.bytesSent)")
      #expect(try drover("verify", folder + "/out").status == 0)
    }
  }

  /// Where all are wrong nothing gets the name, and damage weighs more than absence.
  @Test func allMirrorsWrong() throws {
    let wrong = try FaultServer { FaultServer.good($0, Array(Self.content.dropFirst())) }
    defer { wrong.stop() }
    try withTemporaryFolder { folder in
      let outcome = try download([Self.link(wrong.port), Self.link(try freePort())], ["--sha256", try Self.sha256(Self.content), "--json"], into: folder)
      #expect(outcome.status == 65 && outcome.errors.contains("what arrived has SHA-256"), "\(outcome)")
      #expect(try FileManager.default.subpathsOfDirectory(atPath: folder + "/out").isEmpty)
    }
  }

  /// Which kind of link it is, its place and its `*` say together; what doesn't fit is an error that names both.
  @Test(arguments: [
    (["https://h.example/"], "names no file"), (["https://h.example"], "names no file"), (["https://h.example/a/?x=y.gguf"], "names no file"),
    (["https://h.example/a%2Fb.gguf"], "slash"), (["https://h.example/..%2Fb.gguf"], "slash"), (["https://h.example/.bashrc"], "begins with a dot"), (["https://h.example/.."], "begins with a dot"),
    (["https://h.example/-rf"], "begins with a dot or a dash"), (["https://h.example/a%00.gguf"], "invisible"), (["https://h.example/a%0Ab"], "invisible"), (["https://h.example/%FF"], "isn't text"),
    (["https://h.example/" + String(repeating: "a", count: 201)], "longer than 200"), (["https://h.example/a.part"], "uses itself"), (["https://h.example/drover-receipt.json"], "uses itself"),
    (["https://h.example/*?Policy=x"], "cut off"), (["https://h.example/*"], "Meta's signed links"), (["https://h.example/%2A"], "Meta's signed links"), (["https://h.example/models/*.gguf"], "Meta's signed links"),
    (["https://download.llamameta.net/?Policy=x&Signature=y&Key-Pair-Id=z"], "cut off"),
    (["7B", "https://h.example/a.gguf"], "side by side"), (["https://h.example/a.gguf", "--url", "https://h.example/*"], "neither --url"),
    (["7B", "--url", "https://h.example/a.gguf"], "a link to one file goes where"), (["https://h.example/a.gguf", "https://h.example/b.gguf"], "different names, a.gguf and b.gguf"),
    (["https://h.example/a.gguf", "--sha256", "12"], "64 hexadecimal digits"), (["7B", "--sha256", String(repeating: "a", count: 64)], "goes with the link"),
    (["ftp://h.example/a.gguf"], "neither http nor https"), (["http://h.example/a.gguf?sig=x&se=2099-01-01"], "--allow-http"), (["https://huggingface.co/org/model"], "Hugging Face page"),
  ]) func otherLinksAreRefused(words: [String], says: String) throws {
    let outcome = try run(droverPath, ["download"] + words, environment: ["DROVER_URL": ""])
    #expect(outcome.status == 64 && outcome.errors.contains(says), "\(outcome)")
  }

  /// A file's name is what its path ends in, decoded, whatever a header says.
  @Test func theNameIsThePaths() throws {
    let server = try FaultServer { FaultServer.good($0, Array("GGUF\u{3}\0\0\0".utf8), etag: "\"one\"\r\nContent-Disposition: attachment; filename=\"../../evil\"") }
    defer { server.stop() }
    try withTemporaryFolder { folder in
      let outcome = try download([Self.link(server.port, "a/b/m%C3%B6del%20v1.gguf")], ["--quiet"], into: folder)
      #expect(outcome.status == 0, "\(outcome)")
      #expect(try FileManager.default.subpathsOfDirectory(atPath: folder).sorted() == ["out", "out/drover-receipt.json", "out/m\u{F6}del v1.gguf"])
      #expect(try download([Self.link(server.port, "a/b/m%C3%B6del%20v1.gguf")], [], into: folder).output.contains("all verified but 1 that nothing vouches for"))
    }
  }

  /// Files that came one by one share a receipt; that of a model is never replaced by one of theirs.
  @Test func receiptsOfSingleFilesAreJoined() throws {
    let server = try FaultServer { FaultServer.good($0, Array("\u{1}\u{2}\($0.path)".utf8)) }
    defer { server.stop() }
    try withTemporaryFolder { folder in
      for name in ["a.bin", "b.bin"] { #expect(try download([Self.link(server.port, name)], [], into: folder).status == 0) }
      let verified = try drover("verify", folder + "/out", "--json")
      #expect(verified.status == 0 && verified.output.components(separatedBy: "\"ok\"").count == 3, "\(verified)")
      try #"{"id": "m", "files": [{"path": "c.bin"}]}"#.write(toFile: folder + "/m.json", atomically: true, encoding: .utf8)
      let release = try run(droverPath, ["download", "--manifest", folder + "/m.json", "--output", folder + "/other", "--yes"], environment: ["DROVER_URL": "http://127.0.0.1:\(server.port)/*"])
      #expect(release.status == 0, "\(release)")
      let receipt = FileManager.default.contents(atPath: folder + "/other/drover-receipt.json")
      #expect(try run(droverPath, ["download", Self.link(server.port, "d.bin"), "--output", folder + "/other", "--yes"]).status == 0)
      #expect(receipt != nil && FileManager.default.contents(atPath: folder + "/other/drover-receipt.json") == receipt)
    }
  }

  /// A manifest's mirrors and digests: what fits is verified, what doesn't is thrown away.
  @Test(arguments: ["sha256", "md5", "blob"], [true, false]) func aManifestNamesMirrorsAndDigests(kind: String, isRight: Bool) throws {
    let content = Self.content
    let server = try FaultServer { $0.path == "deep/x/a.pth" ? FaultServer.good($0, content) : FaultServer.status(404) }
    defer { server.stop() }
    try withTemporaryFolder { folder in
      try Data(content).write(to: URL(filePath: folder + "/x"))
      let program = "import hashlib,sys; b=open(sys.argv[1],'rb').read(); print(hashlib.sha1(b'blob %d\\0'%len(b)+b).hexdigest() if sys.argv[2]=='blob' else hashlib.new(sys.argv[2],b).hexdigest())"
      var digest = try run("/usr/bin/python3", ["-c", program, folder + "/x", kind]).output.trimmingCharacters(in: .newlines)
      if !isRight { digest = String(digest.reversed()) }
      let mirrors = try ["http://127.0.0.1:\(freePort())/*?sig=\(FaultTests.secret)&se=2099-01-01", "http://127.0.0.1:\(server.port)/deep/*"].map { "\"\($0)\"" }.joined(separator: ",")
      try withTemporaryFolder { place in
        try #"{"id": "m", "mirrors": [\#(mirrors)], "files": [{"path": "m/a.pth", "remote": "x/a.pth", "\#(kind)": "\#(digest)"}]}"#.write(toFile: place + "/m.json", atomically: true, encoding: .utf8)
        let outcome = try run(
          droverPath, ["download", "--manifest", place + "/m.json", "--output", folder + "/out", "--yes", "--json", "--retries", "0"], environment: ["DROVER_URL": "https://another.example/*"])
        #expect(outcome.status == (isRight ? 0 : 65) && !outcome.errors.contains(FaultTests.secret), "\(outcome)")
        let document = try JSONDecoder().decode(Document.self, from: Data(outcome.output.utf8))
        #expect(document.files.map(\.verified) == [isRight])
        if isRight { #expect([document.files[0].sha256, document.files[0].md5, document.files[0].blob].contains(digest)) }
        #expect(FileManager.default.fileExists(atPath: folder + "/out/m/a.pth") == isRight)
        #expect(try run("/usr/bin/grep", ["-r", FaultTests.secret, folder]).status == 1)
        #expect(try !drover("catalog", "--manifest", place + "/m.json", "--json").output.contains(FaultTests.secret))
        let dry = try run(droverPath, ["download", "--manifest", place + "/m.json", "--output", folder + "/none", "--dry-run", "--json", "--retries", "0"])
        #expect(dry.status == 0 && dry.output.contains("\"bytes\" : \(content.count)") && !dry.output.contains(FaultTests.secret), "\(dry)")
      }
    }
  }

  private struct Counts: Decodable {
    struct File: Decodable { let path, status: String }
    let files: [File]
    let error: String?
  }

  /// What the rest is of use without comes from whichever mirror has it, also where the first has all else; where none has it, nothing failed.
  @Test(arguments: ["first", "second", "third", "none", "gone", "damaged"]) func licencesComeThroughMirrors(place: String) throws {
    let content = Self.content
    let licence = Array("Terms, and a policy\n".utf8)
    func serve(_ name: String) -> @Sendable (FaultServer.Request) -> [FaultServer.Step] {
      { request in
        switch request.path {
        case "d/m/a.pth": FaultServer.good(request, content)
        case "d/LICENSE", "d/USE_POLICY.md": name == place ? FaultServer.good(request, licence) : FaultServer.status(404)
        default: FaultServer.status(404)
        }
      }
    }
    let servers = try ["first", "second", "third"].map { try FaultServer(serve($0)) }
    defer { for server in servers { server.stop() } }
    try withTemporaryFolder { folder in
      var ports = servers.map(\.port)
      // The last doesn't answer at all: what it alone could have had isn't missed.
      if place == "gone" { ports[2] = try freePort() }
      let mirrors = ports.map { "\"http://127.0.0.1:\($0)/d/*?sig=\(FaultTests.secret)&se=2099-01-01\"" }.joined(separator: ",")
      let digest = try Self.sha256(place == "damaged" ? Array(content.dropLast()) : content)
      try #"{"id": "m", "mirrors": [\#(mirrors)], "files": [{"path": "LICENSE", "optional": true}, {"path": "USE_POLICY.md", "optional": true}, {"path": "m/a.pth", "sha256": "\#(digest)"}]}"#
        .write(toFile: folder + "/m.json", atomically: true, encoding: .utf8)
      let arguments = ["download", "--manifest", folder + "/m.json", "--output", folder + "/out", "--yes", "--json", "--retries", "1"]
      let outcome = try run(droverPath, arguments, environment: ["DROVER_URL": ""])
      #expect(outcome.status == (place == "damaged" ? 65 : 0) && !outcome.errors.contains(FaultTests.secret), "\(outcome)")
      let statuses = try Dictionary(uniqueKeysWithValues: JSONDecoder().decode(Counts.self, from: Data(outcome.output.utf8)).files.map { ($0.path, $0.status) })
      let isHad = ["first", "second", "third"].contains(place)
      // What no server has and isn't needed isn't among the files.
      let came = (isHad ? ["LICENSE", "USE_POLICY.md"] : []) + ["m/a.pth"]
      if place != "damaged" { #expect(statuses == Dictionary(uniqueKeysWithValues: came.map { ($0, "downloaded") }), "\(statuses)") }
      for name in ["LICENSE", "USE_POLICY.md"] { #expect(FileManager.default.contents(atPath: folder + "/out/" + name) == (isHad ? Data(licence) : nil)) }
      #expect(outcome.errors.contains("LICENSE: http://127.0.0.1:\(ports[0]) hasn't got it; http://127.0.0.1:\(ports[1]) is asked next") == !["first", "damaged"].contains(place), "\(outcome.errors)")
      // The weights come once, whoever has the licence.
      if place != "damaged" { #expect(servers.dropFirst().allSatisfy { $0.bytesSent < 10_000 }) }
      if isHad { #expect(try run(droverPath, arguments, environment: ["DROVER_URL": ""]).status == 0) }
    }
  }
}
