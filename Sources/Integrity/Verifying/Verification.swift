import SystemPackage

/// Files held against what their checklists and receipts say.
///
/// Made in two steps: `init(of:)` finds the checklists and what they claim; `run` reads the files.
public struct Verification: Sendable {
  /// What one checklist or receipt says of one file.
  public struct Claim: Sendable, Equatable {
    /// As the caller would open it.
    public let path: FilePath
    public let digest: Digest
    /// Bytes of the file, where a receipt says so.
    public let bytes: Int?
    /// Who says so.
    public let source: FilePath
  }

  public enum Status: Sendable, Equatable {
    case ok
    case mismatch
    case missing
    /// It is there but can't be read, or isn't a regular file; `.resourceBusy` when it changed while it was read, `.canceled` when it wasn't read to
    /// its end.
    case unreadable(Errno)
  }

  public struct Finding: Sendable, Equatable {
    public let claim: Claim
    /// nil unless the file was read.
    public let actual: Digest?
    /// Bytes read.
    public let bytes: Int
    public let status: Status
  }

  /// In the order of the checklists and their lines; what two lists say alike is there once.
  public let claims: [Claim]
  /// Files in and under the given folders that no list speaks of, other than the lists themselves and hidden files.
  public let unlisted: [FilePath]

  /// Finds what there is to verify.
  /// - Parameter paths: checklists, receipts, and folders with some in or under them.
  public init(of paths: [FilePath]) throws(VerificationError) {
    var lists: [FilePath] = []
    var present: [FilePath] = []
    for path in paths {
      do {
        switch try Folder.kind(of: path) {
        case .file: lists.append(path)
        case .folder:
          let files = try Folder.files(under: path)
          let found = files.filter(Self.isList)
          guard !found.isEmpty else { throw VerificationError.noChecklist(path) }
          lists += found
          present += files
        case nil: throw VerificationError.unreadable(path, .invalidArgument)
        }
      } catch let error as VerificationError {
        throw error
      } catch let error as Errno {
        throw error == .noSuchFileOrDirectory || error == .notDirectory ? .missing(path) : .unreadable(path, error)
      } catch let folder as Folder.Unreadable {
        throw .unreadable(folder.path, folder.error)
      } catch {
        throw .unreadable(path, .ioError)
      }
    }
    var claims: [Claim] = []
    var seen: Set<Key> = []
    for list in lists {
      for claim in try Self.claims(of: list) where seen.insert(Key(path: claim.path, digest: claim.digest)).inserted { claims.append(claim) }
    }
    self.claims = claims
    let spokenOf = Set(claims.map(\.path)).union(lists)
    unlisted = present.filter { !spokenOf.contains($0) }
  }

  /// Reads the files, side by side on all cores, each once.
  /// - Parameters:
  ///   - observer: called on any thread as files are read.
  ///   - isCancelled: asked now and then.
  /// - Returns: a finding for each claim, in their order.
  public func run(
    hasher: FileHasher = FileHasher(), observer: any VerificationObserver = NoObserver(), isCancelled: @escaping @Sendable () -> Bool = { false }
  ) -> [Finding] {
    var jobs: [FileHasher.Job] = []
    var jobOf: [FilePath: Int] = [:]
    for claim in claims {
      if let job = jobOf[claim.path] {
        jobs[job].algorithms.insert(claim.digest.algorithm)
      } else {
        jobOf[claim.path] = jobs.count
        jobs.append(.init(path: claim.path, algorithms: [claim.digest.algorithm]))
      }
    }
    observer.willRead(jobs.map { ($0.path, Folder.size(of: $0.path)) })
    let results = hasher.hash(jobs, progress: { observer.didRead(file: $0, bytes: $1) }, isCancelled: isCancelled)
    // Threads may have reported in another order than they read.
    for (job, result) in results.enumerated() {
      if case .success(let outcome) = result { observer.didRead(file: job, bytes: outcome.bytes) }
    }
    return claims.map { claim in
      guard let job = jobOf[claim.path] else { return Finding(claim: claim, actual: nil, bytes: 0, status: .missing) }
      switch results[job] {
      case .success(let outcome):
        let actual = outcome.digests[claim.digest.algorithm]?.digest
        let isOK = actual == claim.digest && claim.bytes ?? outcome.bytes == outcome.bytes
        return Finding(claim: claim, actual: actual, bytes: outcome.bytes, status: isOK ? .ok : .mismatch)
      case .failure(.noSuchFileOrDirectory), .failure(.notDirectory):
        return Finding(claim: claim, actual: nil, bytes: 0, status: .missing)
      case .failure(let error): return Finding(claim: claim, actual: nil, bytes: 0, status: .unreadable(error))
      }
    }
  }

  /// What the checklist or receipt at `list` says. Of a receipt's digests the stronger is taken.
  private static func claims(of list: FilePath) throws(VerificationError) -> [Claim] {
    let folder = list.removingLastComponent()
    func claim(_ path: FilePath, _ digest: Digest, _ bytes: Int? = nil) -> Claim {
      Claim(path: folder.appending(path.components), digest: digest, bytes: bytes, source: list)
    }
    if list.extension == "json" {
      let receipt: Receipt
      do { receipt = try Receipt(contentsOf: list) } catch {
        if case .ofAnotherKind = error.reason, !isList(list) { throw .noList(list) }
        throw .receipt(error)
      }
      return receipt.files.compactMap { file in (file.sha256 ?? file.md5).map { claim(file.path, $0.digest, file.bytes) } }
    }
    do { return try Checklist(contentsOf: list).entries.map { claim($0.path, $0.digest) } } catch {
      // Weights, for one, are too large.
      if !isList(list), [.malformedFromTheStart, .unreadable(.fileTooLarge)].contains(error.reason) { throw .noList(list) }
      throw .checklist(error)
    }
  }

  private struct Key: Hashable {
    let path: FilePath
    let digest: Digest
  }

  /// The names that checklists go by: Meta's `.chk`, what people call the output of `md5sum` and `sha256sum`, and receipts.
  private static func isList(_ path: FilePath) -> Bool {
    if let ending = path.extension?.lowercased(), ["chk", "md5", "sha256"].contains(ending) { return true }
    guard let name = path.lastComponent?.string.lowercased() else { return false }
    return [Receipt.fileName, "md5sums", "md5sums.txt", "md5sum.txt", "sha256sums", "sha256sums.txt", "sha256sum.txt"].contains(name)
  }
}

/// Is told how a verification gets on.
public protocol VerificationObserver: Sendable {
  /// The files that are about to be read, each once, and their sizes in bytes where they are there.
  func willRead(_ files: [(path: FilePath, bytes: Int?)])
  /// Of file number `file` of those, `bytes` have been read.
  func didRead(file: Int, bytes: Int)
}

public struct NoObserver: VerificationObserver {
  public init() {}
  public func willRead(_ files: [(path: FilePath, bytes: Int?)]) {}
  public func didRead(file: Int, bytes: Int) {}
}

/// Why nothing could be verified.
public enum VerificationError: Error, CustomStringConvertible, Equatable {
  case missing(FilePath)
  case unreadable(FilePath, Errno)
  case noChecklist(FilePath)
  /// A file that was named, and that doesn't look like a checklist or a receipt.
  case noList(FilePath)
  case checklist(ChecklistError)
  case receipt(ReceiptError)

  public var description: String {
    switch self {
    case .missing(let path): "\(path): no such file or folder."
    case .unreadable(let path, let error): "\(path): cannot be read: \(error)."
    case .noChecklist(let path): "\(path): no checklist or receipt in or under it (checklist.chk, *.md5, *.sha256, drover-receipt.json, …), so there is nothing to verify against."
    case .noList(let path): "\(path): is no checklist or receipt. Name the list that speaks of it, or its folder."
    case .checklist(let error): error.description
    case .receipt(let error): error.description
    }
  }
}
