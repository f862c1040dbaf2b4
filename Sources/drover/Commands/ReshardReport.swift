import Checkpoint
import Integrity
import Platform
import SystemPackage
import Terminal
import Transfer

/// The JSON document of a reshard or a pull; its keys are a promise.
struct ReshardReport: Encodable {
  private struct Plan: Encodable {
    struct File: Encodable {
      let path: String
      let bytes: Int
    }

    let sourceFormat, format: String
    let sourceModelParallel, modelParallel: Int
    let bytes, peakMemory: Int
    let files: [File]
    let notes: [String]
  }

  private struct File: Encodable {
    let path: String
    let bytes: Int
    /// null unless they were asked for.
    let md5, sha256: String?

    enum Key: CodingKey { case path, bytes, md5, sha256 }

    func encode(to encoder: any Encoder) throws {
      var object = encoder.container(keyedBy: Key.self)
      try object.encode(path, forKey: .path)
      try object.encode(bytes, forKey: .bytes)
      try object.encode(md5, forKey: .md5)
      try object.encode(sha256, forKey: .sha256)
    }
  }

  /// What a pull fetched.
  struct Source: Encodable {
    private let files: [TransferReport.File]

    init(_ files: [TransferReport.File]) { self.files = files }

    private enum Key: CodingKey { case files, path, bytes, md5, sha256, status, verified }

    func encode(to encoder: any Encoder) throws {
      var object = encoder.container(keyedBy: Key.self)
      var list = object.nestedUnkeyedContainer(forKey: .files)
      for file in files {
        var entry = list.nestedContainer(keyedBy: Key.self)
        try entry.encode(file.path, forKey: .path)
        try entry.encode(file.bytes, forKey: .bytes)
        try entry.encode(file.digest.digest.algorithm == .md5 ? file.digest.digest : nil, forKey: .md5)
        try entry.encode(file.digest.digest.algorithm == .sha256 ? file.digest.digest : nil, forKey: .sha256)
        try entry.encode(file.status, forKey: .status)
        try entry.encode(file.isVerified, forKey: .verified)
      }
    }
  }

  private let plan: Plan?
  private let files: [File]?
  private let seconds: Double?
  private let peakMemory: Int?
  /// Absent where nothing was fetched.
  private let source: Source?

  /// - Parameter memory: at most, by the plan.
  init(
    _ plan: ReshardPlan, memory: Int, written: [ReshardPlan.WrittenFile]? = nil, seconds: Double? = nil, peakMemory: Int? = nil, source: Source? = nil
  ) {
    self.plan = Plan(
      sourceFormat: plan.source.format.rawValue, format: plan.options.format.rawValue, sourceModelParallel: plan.source.modelParallel,
      modelParallel: plan.options.modelParallel, bytes: plan.byteCount, peakMemory: memory,
      files: plan.files.map { .init(path: $0.name, bytes: $0.byteCount) }, notes: plan.notes)
    files = written?.map { File(path: $0.name, bytes: $0.bytes, md5: $0.digests[.md5]?.digest.hex, sha256: $0.digests[.sha256]?.digest.hex) }
    self.seconds = seconds
    self.peakMemory = peakMemory
    self.source = source
  }

  /// Of an output that was made before: nothing was planned, and nothing fetched.
  init(_ receipt: Receipt, seconds: Double) {
    plan = nil
    files = receipt.files.map { File(path: $0.path.string, bytes: $0.bytes, md5: $0.md5?.digest.hex, sha256: $0.sha256?.digest.hex) }
    self.seconds = seconds
    peakMemory = peakResidentBytes()
    source = Source([])
  }

  private enum Key: CodingKey { case plan, files, seconds, peakMemory, source }

  func encode(to encoder: any Encoder) throws {
    var object = encoder.container(keyedBy: Key.self)
    try object.encode(plan, forKey: .plan)
    try object.encodeIfPresent(files, forKey: .files)
    try object.encodeIfPresent(seconds, forKey: .seconds)
    try object.encodeIfPresent(peakMemory, forKey: .peakMemory)
    try object.encodeIfPresent(source, forKey: .source)
  }
}

extension ReshardPlan {
  var summary: String {
    "\(source.format.rawValue) of \(source.modelParallel) \(source.modelParallel == 1 ? "shard" : "shards") to \(options.format.rawValue) of \(options.modelParallel)"
  }

  /// Says what would be written.
  func show(_ destination: PathArgument, memory: Int) {
    for file in files { Console.outputLine("\(destination)/\(file.name)  \(Format.bytes(file.byteCount))") }
    Console.outputLine("\(summary): \(Format.bytes(byteCount)) in all, with at most \(Format.bytes(memory)) of memory")
  }
}
