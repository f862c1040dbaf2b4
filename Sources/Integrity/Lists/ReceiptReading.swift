import FoundationEssentials
import Platform
import SystemPackage

extension Receipt {
  /// Larger files than this are not receipts. A resharded 405B has some 100,000 digests, 10 MB.
  static let mostBytes = 64 << 20

  /// Reads the receipt at `path`, which may be a pipe; `-` is standard input.
  public init(contentsOf path: FilePath) throws(ReceiptError) {
    let bytes: [UInt8]
    do { bytes = try InputFile.isStream(path) ? InputFile.read(path, atMost: Self.mostBytes) : SmallFile.read(path, atMost: Self.mostBytes) } catch { throw ReceiptError(path: path, reason: .unreadable(error)) }
    try self.init(parsing: bytes, path: path)
  }

  /// Reads a receipt that is in memory already. All that it says of sizes, places and numbers of digests fits together; nothing is said of the files.
  /// - Parameter path: what errors call it.
  public init(parsing bytes: [UInt8], path: FilePath) throws(ReceiptError) {
    let document = try Self.document(bytes, path)
    do throws(Contradiction) { try self.init(document) } catch { throw ReceiptError(path: path, reason: .malformed(error.what)) }
  }

  /// What two parts of a receipt can't both say.
  struct Contradiction: Error {
    let what: String
    init(_ what: String) { self.what = what }
  }

  private init(_ document: ReceiptDocument) throws(Contradiction) {
    let files = try Self.files(document.files)
    guard !files.isEmpty else { throw Contradiction("it names no files") }
    var fingerprint: CheckpointFingerprint?
    if let stated = document.fingerprint {
      guard stated.tensors.values.allSatisfy({ $0.algorithm == .sha256 }) else { throw Contradiction("a tensor's fingerprint has the wrong length") }
      let computed = CheckpointFingerprint(tensors: stated.tensors)
      guard stated.checkpoint == computed.whole else { throw Contradiction("the checkpoint's fingerprint is not that of its tensors") }
      fingerprint = computed
    }
    try ReceiptWeights.check(files.flatMap { $0.content?.weights ?? [] }, against: fingerprint)
    let origin: Origin
    let source = document.source
    switch (source.release, source.repository, source.hosts, source.checkpoint) {
    case (let release?, nil, nil, nil): origin = .release(release)
    case (nil, nil, let hosts?, nil): origin = .hosts(hosts)
    case (nil, let repository?, nil, nil):
      guard let commit = source.commit else { throw Contradiction("its source is a repository at no commit") }
      origin = .repository(repository, commit: commit)
    case (nil, nil, nil, let name?): origin = .checkpoint(name)
    default: throw Contradiction("its source is neither a release, nor a repository, nor hosts, nor a checkpoint")
    }
    self.init(
      tool: document.tool, created: document.created, operation: document.operation, origin: origin, sources: try Self.files(source.files ?? []), options: document.options, files: files,
      fingerprint: fingerprint)
  }

  private static func files(_ items: [ReceiptDocument.File]) throws(Contradiction) -> [File] {
    var files: [File] = []
    var names: Set<FilePath> = []
    for item in items {
      let file = try File(item)
      guard names.insert(file.path).inserted else { throw Contradiction("it names \(file.path) twice") }
      files.append(file)
    }
    return files
  }

  // MARK: JSON

  private static func document(_ bytes: [UInt8], _ path: FilePath) throws(ReceiptError) -> ReceiptDocument {
    func failure(_ what: String) -> ReceiptError { ReceiptError(path: path, reason: .malformed(what)) }
    // Decoding takes some 50 bytes of memory a value, however short. Those of a receipt, each on its own line, have over 20 bytes in the file.
    guard bytes.lazy.filter({ $0 == UInt8(ascii: ",") }).count <= 4096 + bytes.count / 16 else { throw failure("it has more values than a receipt of its length") }
    if let standIn = StandIn(Array(bytes.prefix(StandIn.headBytes))) { throw failure("it \(standIn)") }
    do throws(JSONError) { _ = try JSONReader.read(bytes) { (reader) throws(JSONError) in try reader.value() } } catch {
      let what = "byte \(error.byte): it \(error.sentence)"
      throw error.kind == .contradiction ? failure(what) : ReceiptError(path: path, reason: .ofAnotherKind(what))
    }
    let decoder = JSONDecoder()
    decoder.dateDecodingStrategy = .iso8601
    let data = Data(bytes)
    do {
      let document = try decoder.decode(ReceiptDocument.self, from: data)
      if document.receipt != ReceiptDocument.version { throw failure(unknown(document.receipt)) }
      return document
    } catch let error as ReceiptError {
      throw error
    } catch let error as DecodingError {
      // Of another version other things may be missing.
      if let version = try? decoder.decode(ReceiptVersion.self, from: data).receipt, version != ReceiptDocument.version { throw failure(unknown(version)) }
      throw isOfAnotherKind(error) ? ReceiptError(path: path, reason: .ofAnotherKind(explain(error))) : failure(explain(error))
    } catch {
      throw failure("it isn't JSON")
    }
  }

  private static func unknown(_ version: Int) -> String { "it is of version \(version), which this drover doesn't know" }

  /// Whether the document doesn't even claim to be a receipt.
  private static func isOfAnotherKind(_ error: DecodingError) -> Bool {
    switch error {
    case .keyNotFound(let key, let context): key.stringValue == "receipt" && context.codingPath.isEmpty
    case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context): context.codingPath.isEmpty
    @unknown default: false
    }
  }

  private static func explain(_ error: DecodingError) -> String {
    func place(_ context: DecodingError.Context) -> String { context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".") }
    return switch error {
    case .keyNotFound(let key, let context): "\(key.stringValue) is missing\(context.codingPath.isEmpty ? "" : " in \(place(context))")"
    case .typeMismatch(_, let context), .valueNotFound(_, let context): "\(place(context)) is of the wrong kind"
    case .dataCorrupted(let context) where !context.codingPath.isEmpty: "\(place(context)) makes no sense"
    default: "it isn't JSON"
    }
  }
}

extension Receipt.File {
  fileprivate typealias Contradiction = Receipt.Contradiction

  fileprivate init(_ item: ReceiptDocument.File) throws(Contradiction) {
    let name: FilePath
    do { name = try Checklist.contained(Array(item.path.utf8)) } catch {
      if case .leavesFolder(let path) = error { throw Contradiction("\"\(path)\" leads out of its folder") }
      throw Contradiction("\"\(item.path)\" is no file's name")
    }
    guard item.bytes >= 0 else { throw Contradiction("\(name) can't have \(item.bytes) bytes") }
    self.init(
      path: name, bytes: item.bytes, md5: try Self.chain(.md5, item.md5, item.md5States, name, item.bytes),
      sha256: try Self.chain(.sha256, item.sha256, item.sha256States, name, item.bytes))
    switch (item.weights, item.rest) {
    case (nil, nil):
      guard md5 != nil || sha256 != nil else { throw Contradiction("\(name) has neither a digest nor weights") }
    case (let weights?, let rest?):
      guard rest.algorithm == .sha256 else { throw Contradiction("the rest of \(name) has a digest of the wrong length") }
      var proofs: [WeightProof] = []
      for weight in weights { proofs.append(try ReceiptWeights.proof(weight, in: name, of: item.bytes)) }
      let content = Receipt.Content(weights: proofs, rest: rest)
      for (first, next) in zip(content.weights, content.weights.dropFirst()) where first.bytes.upperBound > next.offset {
        throw Contradiction("\(first.tensor) and \(next.tensor) overlap in \(name)")
      }
      self.content = content
    default: throw Contradiction("\(name) has weights and no digest of the rest, or the other way round")
    }
  }

  private static func chain(
    _ algorithm: HashAlgorithm, _ digest: Digest?, _ states: String?, _ name: FilePath, _ length: Int
  ) throws(Contradiction) -> ChainedDigest? {
    guard let digest else {
      guard states == nil else { throw Contradiction("\(name) has states of \(algorithm.rawValue) and no digest") }
      return nil
    }
    guard digest.algorithm == algorithm else { throw Contradiction("\(name) has a digest of the wrong length") }
    guard let bytes = Hex.decode(states ?? ""), let states = ChainStates(algorithm, bytes: bytes) else {
      throw Contradiction("the states of \(name) are not hexadecimal digits of whole values")
    }
    let chain = ChainedDigest(digest, states: states)
    guard chain.isComplete(forFile: length) else {
      throw Contradiction("\(name) has \(states.count) states, and with \(length) bytes it should have \(ChainStates.count(ofFile: length))")
    }
    return chain
  }
}
