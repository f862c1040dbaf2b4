import Integrity
import Transfer

/// The JSON document of a download, of one that failed too; its keys are a promise.
struct DownloadReport: Encodable {
  private let outcome: DownloadOutcome
  private let revision: String?
  private let failure: (any Error)?

  /// - Parameters:
  ///   - revision: the commit, where one repository of the hub was asked for.
  ///   - failure: what the program ends with.
  init(_ outcome: DownloadOutcome, revision: String?, failure: (any Error)?) { (self.outcome, self.revision, self.failure) = (outcome, revision, failure) }

  private enum Key: CodingKey { case files, bytes, seconds, revision, path, md5, sha256, blob, status, verified, error }

  /// Every key is written, null where there is nothing to say.
  func encode(to encoder: any Encoder) throws {
    var document = encoder.container(keyedBy: Key.self)
    var files = document.nestedUnkeyedContainer(forKey: .files)
    let here = outcome.report.files.reduce(into: [:]) { $0[$1.path] = $1 }
    for (index, path) in outcome.files.enumerated() {
      if let file = here[path] {
        var entry = files.nestedContainer(keyedBy: Key.self)
        try encode(file, to: &entry)
      } else {
        let missing = outcome.missing.last { $0.file == index } ?? .init(file: index, status: .unfinished)
        guard missing.status != .skipped else { continue }
        var entry = files.nestedContainer(keyedBy: Key.self)
        try encode(missing, path, to: &entry)
      }
    }
    try document.encode(outcome.report.bytes, forKey: .bytes)
    try document.encode(outcome.report.seconds, forKey: .seconds)
    try document.encode(revision, forKey: .revision)
    try document.encode(failure.map { ProcessSecrets.redact("\($0)") }, forKey: .error)
  }

  private func encode(_ file: TransferReport.File, to entry: inout KeyedEncodingContainer<Key>) throws {
    try entry.encode(file.path, forKey: .path)
    try entry.encode(file.bytes, forKey: .bytes)
    try entry.encode(file.digest.digest.algorithm == .md5 ? file.digest.digest : nil, forKey: .md5)
    try entry.encode(file.digest.digest.algorithm == .sha256 ? file.digest.digest : nil, forKey: .sha256)
    try entry.encode(file.blob, forKey: .blob)
    try entry.encode(file.status, forKey: .status)
    try entry.encode(file.isVerified, forKey: .verified)
    try entry.encodeNil(forKey: .error)
  }

  private func encode(_ missing: DownloadOutcome.Missing, _ path: String, to entry: inout KeyedEncodingContainer<Key>) throws {
    try entry.encode(path, forKey: .path)
    for key in [Key.bytes, .md5, .sha256, .blob] { try entry.encodeNil(forKey: key) }
    try entry.encode(missing.status.rawValue, forKey: .status)
    try entry.encode(false, forKey: .verified)
    try entry.encode(missing.why.map { ProcessSecrets.redact($0) }, forKey: .error)
  }
}
