import Foundation
import Glibc
import Integrity
import SystemPackage
import TestSupport
import Testing

/// Receipts of what comes from the hub and from behind a link: the fingerprint is made on the way, and nothing is read again for it.
@Suite(.serialized, .needs(.python), .needs(.nginx)) struct FollowedFormatsTests {
  /// What is fetched, of the files that `ReferenceModel` writes.
  enum Model: String, CaseIterable {
    case hf
    case parts = "hf-parts"
    case gguf = "model.gguf"
    case quantized = "q8_0.gguf"

    var isFile: Bool { self == .gguf || self == .quantized }
  }

  /// A model, where it is fetched from, and where it goes.
  private final class Stage {
    let model: Model
    let expected: ReferenceModel.Fingerprint
    /// Bytes of the weights.
    let bytes: Int
    let arguments: [String]
    let environment: [String: String]
    private let output: String
    private let stopServer: () -> Void

    /// - Parameters:
    ///   - folder: has the models, and gets the download.
    ///   - rate: bytes a second of a connection.
    init(_ folder: String, _ model: Model, _ expected: ReferenceModel.Fingerprint, rate: Int? = nil) throws {
      (self.model, self.expected) = (model, expected)
      let source = folder + "/" + model.rawValue
      if model.isFile {
        bytes = try Self.size(source)
        let nginx = try Nginx(root: folder, directives: rate.map { "limit_rate \($0);" } ?? "")
        stopServer = { nginx.stop() }
        let digest = try run("/usr/bin/sha256sum", [source]).output.prefix(64)
        arguments = ["download", "http://127.0.0.1:\(nginx.port)/\(model.rawValue)", "--sha256", String(digest), "--output", folder + "/out", "--yes"]
        environment = ["DROVER_URL": ""]
        output = folder + "/out"
      } else {
        let hub = try rate.map { try HubStandIn("--rate", "\($0)") } ?? HubStandIn()
        stopServer = { hub.stop() }
        try FileManager.default.createDirectory(atPath: hub.root + "/org/model", withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: source, toPath: hub.root + "/org/model/main")
        let weights = try FileManager.default.contentsOfDirectory(atPath: source).filter { $0.hasSuffix(".safetensors") }
        bytes = try weights.reduce(0) { $0 + (try Self.size(source + "/" + $1)) }
        arguments = ["download", "hf:org/model", "--output", folder + "/out", "--yes"]
        environment = ["HF_ENDPOINT": hub.endpoint, "HOME": folder, "HF_HOME": folder + "/none", "HF_TOKEN": "", "HF_HUB_OFFLINE": "", "DROVER_URL": ""]
        output = folder + "/out/model"
      }
    }

    deinit { stopServer() }

    static func size(_ path: String) throws -> Int { try #require(try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) }

    /// Bytes of weights that are here for good.
    var here: Int {
      guard let names = try? FileManager.default.contentsOfDirectory(atPath: output) else { return 0 }
      return names.reduce(0) { sum, name in
        if name.hasSuffix(".part.journal") {
          let file = name.dropLast(".part.journal".count)
          return names.contains(String(file)) ? sum : sum + (Journaled(output + "/" + name)?.bytes ?? 0)
        }
        return name.hasSuffix(".safetensors") || name.hasSuffix(".gguf") ? sum + ((try? Self.size(output + "/" + name)) ?? 0) : sum
      }
    }

    /// The receipt has the fingerprint that the weights have, which is Python's too.
    func expectFingerprint() throws {
      let receipt = try Receipt(contentsOf: FilePath(output + "/drover-receipt.json"))
      let outcome = try drover("fingerprint", model.isFile ? output + "/" + model.rawValue : output, "--json", "--progress", "none")
      let read = try JSONDecoder().decode(ReferenceModel.Fingerprint.self, from: Data(outcome.output.utf8))
      #expect(receipt.fingerprint?.whole.hex == read.checkpoint && receipt.fingerprint?.tensors.mapValues(\.hex) == read.tensors)
      // Python's is of numbers as they were before they were quantized.
      if model != .quantized { #expect(read == expected) }
      #expect(try FileManager.default.contentsOfDirectory(atPath: output).allSatisfy { !$0.contains(".part") })
      #expect(try drover("verify", output).status == 0)
    }
  }

  /// Writes the model once for all ways of fetching it, of which each gets a folder for what it downloads.
  private func each(_ body: (String, Model, ReferenceModel.Fingerprint) throws -> Void) throws {
    try withTemporaryFolder { folder in
      let expected = try #require(try ReferenceModel.write(to: folder, scale: 16)["keep"])
      try ReferenceModel.arrange(folder, parts: 2)
      for model in Model.allCases {
        try body(folder, model, expected)
        try FileManager.default.removeItem(atPath: folder + "/out")
      }
    }
  }

  /// What a run may read at most: the program's lists and journals, and of a weight that was begun a band or a head or two.
  private static let most = 3_000_000

  /// What the kernel counts as read, which the network's bytes don't belong to, is little, and nothing is told to have been read again.
  @Test func nothingIsReadAgain() throws {
    try each { folder, model, expected in
      let stage = try Stage(folder, model, expected)
      let (outcome, read, _) = try countingReadsAndWrites(stage.arguments, environment: stage.environment)
      print("\(model.rawValue): \(read) bytes read for \(stage.bytes) of weights")
      #expect(read < Self.most, "\(model): \(read) bytes read, \(stage.bytes) of weights")
      #expect(outcome.errors.contains("receipt written") && !outcome.errors.contains("read again"), "\(model): \(outcome.errors)")
      try stage.expectFingerprint()
    }
  }

  /// Killed in the middle, or interrupted: the next run takes from the journals what was made of the bytes that are here.
  @Test(arguments: [SIGKILL, SIGINT]) func aResumedRunReadsNothingAgain(signal: Int32) throws {
    try each { folder, model, expected in
      let stage = try Stage(folder, model, expected, rate: model == .quantized ? 5_000_000 : 10_000_000)
      // Over one connection nothing lies ahead of the hash, which the next run would read once.
      let drover = try Child(droverPath, stage.arguments + ["--quiet", "--connections", "1"], environment: stage.environment)
      while drover.isRunning, stage.here < stage.bytes * 7 / 10 { usleep(20_000) }
      drover.signal(signal)
      #expect(drover.wait() == (signal == SIGINT ? 130 : 128 + SIGKILL), "\(model)")
      let here = stage.here
      let (outcome, read, _) = try countingReadsAndWrites(stage.arguments, environment: stage.environment)
      print("\(model.rawValue), signal \(signal): \(read) bytes read, with \(here) of \(stage.bytes) here")
      #expect(here >= stage.bytes * 7 / 10 && read < Self.most, "\(model): \(read) bytes read, \(here) were here")
      #expect(outcome.errors.contains("receipt written") && !outcome.errors.contains("read again"), "\(model): \(outcome.errors)")
      try stage.expectFingerprint()
    }
  }
}
