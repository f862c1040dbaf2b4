import Platform
import SystemPackage

extension Receipt {
  /// The file's bytes: JSON, the same for the same receipt.
  /// - Throws: `.secret` when an option or a source is a link or an absolute path.
  public func encoded() throws(ReceiptError) -> [UInt8] {
    for text in options.values + [tool, operation, originText] + (files + sources).map(\.path.string) where text.contains("://") || text.hasPrefix("/") {
      throw ReceiptError(path: FilePath(Self.fileName), reason: .secret)
    }
    do { return try JSONText.encode(ReceiptDocument(self)) } catch {
      throw ReceiptError(path: FilePath(Self.fileName), reason: .malformed("\(error)"))
    }
  }

  /// Writes it into `folder`, in place of one that is there. It appears whole or not at all.
  public func write(into folder: FilePath) throws(ReceiptError) {
    let path = folder.appending(Self.fileName)
    let bytes = try encoded()
    do { try SmallFile.write(bytes, to: path) } catch { throw ReceiptError(path: path, reason: .unwritable(error)) }
  }

  private var originText: String {
    switch origin {
    case .release(let name), .checkpoint(let name), .repository(let name, _): name
    case .hosts(let hosts): hosts.joined(separator: " ")
    }
  }
}

extension ReceiptDocument {
  init(_ receipt: Receipt) {
    var source =
      switch receipt.origin {
      case .release(let id): Source(release: id)
      case .repository(let name, let commit): Source(repository: name, commit: commit)
      case .hosts(let hosts): Source(hosts: hosts)
      case .checkpoint(let name): Source(checkpoint: name)
      }
    if !receipt.sources.isEmpty { source.files = receipt.sources.map(File.init) }
    self.init(
      tool: receipt.tool, created: receipt.created, operation: receipt.operation, source: source, options: receipt.options,
      files: receipt.files.map(File.init), fingerprint: receipt.fingerprint.map { Fingerprint(checkpoint: $0.whole, tensors: $0.tensors) })
  }
}

extension ReceiptDocument.File {
  fileprivate init(_ file: Receipt.File) {
    func states(_ chain: ChainedDigest?) -> String? { chain.flatMap { $0.states.count > 0 ? Hex.encode($0.states.bytes) : nil } }
    self.init(
      path: file.path.string, bytes: file.bytes, md5: file.md5?.digest, md5States: states(file.md5), sha256: file.sha256?.digest,
      sha256States: states(file.sha256), weights: file.content?.weights.map(ReceiptDocument.Weight.init), rest: file.content?.rest)
  }
}

extension ReceiptDocument.Weight {
  fileprivate init(_ proof: WeightProof) {
    self.init(
      tensor: proof.tensor, dtype: proof.dtype, shape: proof.shape, cut: proof.cut, offset: proof.offset,
      rows: [proof.rows.lowerBound, proof.rows.upperBound], columns: [proof.columns.lowerBound, proof.columns.upperBound], headDim: proof.headDim,
      digests: proof.digests)
  }
}
