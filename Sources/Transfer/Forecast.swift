import CLinux
import Glibc
import Integrity
import Platform
import SystemPackage

/// What a download would do: found out with one request a file at most, of which only the first bytes come. Nothing is written, and nothing that is here is read but journals and small files.
public struct Forecast: Sendable {
  public enum Status: String, Sendable {
    /// Here, with the length that it should have; the download verifies it.
    case present
    /// A store on this machine has a file of that name and length; the download copies and verifies it.
    case stored
    /// A part is here, and is gone on from.
    case partial
    case absent
    /// Optional, and not on the server.
    case skipped
    /// It can't be had.
    case failed
    /// The server wasn't asked: it refused everything else.
    case unknown
  }

  public struct File: Sendable {
    public let path: String
    /// nil where nobody says.
    public let bytes: Int?
    /// Bytes that needn't be fetched.
    public let here: Int
    public let status: Status
    public let failure: TransferError?
    /// Bytes on the disk, which may be more than are known to be right.
    fileprivate let onDisk: Int
  }

  public let files: [File]
  /// Bytes that the disk must take; of files whose length is known.
  public let needed: Int
  /// Bytes that it takes; nil where it doesn't say.
  public let free: Int?
  public let requests: Int
  /// The first of the links that opened something; the first of all where none did.
  public let link: SignedLink
  /// Why the download would fail, as far as can be told.
  public let failure: TransferError?

  public var bytes: Int { files.reduce(0) { $0.addingReportingOverflow($1.bytes ?? 0).overflow ? .max : $0 + ($1.bytes ?? 0) } }
  public var here: Int { files.reduce(0) { $0 + $1.here } }
  /// Files that are fetched, in part or whole, and their bytes.
  public var toFetch: (files: Int, bytes: Int) {
    files.reduce(into: (0, 0)) { sum, file in
      guard file.status == .absent || file.status == .partial else { return }
      sum = (sum.0 + 1, sum.1.addingReportingOverflow((file.bytes ?? 0) - file.here).overflow ? .max : sum.1 + (file.bytes ?? 0) - file.here)
    }
  }

  /// Files refused in a row, with none opened, after which the others aren't asked for.
  private static let mostRefused = 3

  /// - Parameter links: to servers that have the same files, at least one; asked in turn.
  public init(_ request: TransferRequest, over links: [SignedLink]) throws(TransferError) {
    var mirrors = try Mirrors(links, request)
    var files: [File] = []
    var refused = 0
    for file in request.files {
      if let bytes = file.bytes {
        files.append(File(file, bytes: bytes, in: request.folder))
        continue
      }
      guard mirrors.opened != nil || refused < Self.mostRefused else {
        files.append(File(path: file.path, bytes: nil, here: 0, status: .unknown, failure: nil, onDisk: 0))
        continue
      }
      do throws(TransferError) {
        files.append(File(file, bytes: try mirrors.look(at: file), in: request.folder))
      } catch {
        if case .refused = error { refused += 1 }
        let isLacking = if case .missing = error { true } else { false }
        files.append(File(path: file.path, bytes: nil, here: 0, status: file.isOptional && isLacking ? .skipped : .failed, failure: file.isOptional && isLacking ? nil : error, onDisk: 0))
      }
    }
    let needed = files.reduce(0) { sum, file in
      guard file.status == .absent || file.status == .partial || file.status == .stored, let bytes = file.bytes else { return sum }
      let (total, overflow) = sum.addingReportingOverflow(max(0, bytes - file.onDisk))
      return overflow ? .max : total
    }
    let free: Int?
    do { free = try DiskRoom.free(in: request.folder) } catch { throw .disk(path: request.folder.string, errno: error.rawValue) }
    (self.files, self.needed, self.free, requests, link) = (files, needed, free, mirrors.requests, mirrors.opened ?? mirrors.first)
    var failure = files.lazy.compactMap(\.failure).first
    // A refusal is the link's where it opens nothing, and else one file's.
    if mirrors.opened != nil, case .refused(let path, let status, let why)? = failure { failure = .denied(path: path, status: status, why: "the link opens others; " + why) }
    if failure == nil, let free, needed > free { failure = .noRoom(needed: needed, free: free, folder: request.folder) }
    self.failure = failure
  }
}

/// The links of a forecast, in their order.
private struct Mirrors {
  let first: SignedLink
  private(set) var opened: SignedLink?
  /// Without those that don't answer.
  private var sessions: [(link: SignedLink, session: RemoteSession)] = []
  private var spent = 0

  init(_ links: [SignedLink], _ request: TransferRequest) throws(TransferError) {
    guard let first = links.first else { throw .library("there is no link to ask") }
    self.first = first
    for link in links {
      var retry = request.retry
      // Others have the same.
      if links.count > 1 { retry.limit = min(retry.limit ?? .max, 2) }
      sessions.append((link, try RemoteSession(to: link, authorities: request.authorities, retry: retry, stallSeconds: request.stallSeconds)))
    }
  }

  var requests: Int { spent + sessions.reduce(0) { $0 + $1.session.requests } }

  mutating func look(at file: TransferRequest.File) throws(TransferError) -> Int? {
    var failure: TransferError?
    var index = 0
    while index < sessions.count {
      let (link, session) = sessions[index]
      do throws(TransferError) {
        let bytes = try session.look(at: file, over: link)
        opened = opened ?? link
        return bytes
      } catch {
        failure = failure.map { $0.isDamage ? $0 : error } ?? error
        guard error.isOfOneServer else { throw error }
        if case .unavailable = error, sessions.count > 1 {
          spent += session.requests
          sessions.remove(at: index)
        } else { index += 1 }
      }
    }
    throw failure ?? .library("there is no link to ask")
  }
}

extension Forecast.File {
  /// A file that can be had.
  fileprivate init(_ file: TransferRequest.File, bytes: Int?, in folder: FilePath) {
    let part = PartialFile(path: folder.appending(file.path), name: file.path, remote: file.remote)
    if let bytes, Directory.size(of: part.path) == bytes, Self.mayBe(file, at: part.path) {
      self.init(path: file.path, bytes: bytes, here: bytes, status: .present, failure: nil, onDisk: bytes)
      return
    }
    let onDisk = Self.blocks(of: part.partPath)
    if let bytes, let stored = file.stored, Directory.size(of: stored.path) == bytes {
      self.init(path: file.path, bytes: bytes, here: 0, status: .stored, failure: nil, onDisk: onDisk)
      return
    }
    let journal = onDisk > 0 ? (try? SmallFile.read(part.journalPath, atMost: Journal.mostBytes)).flatMap { Journal(decoding: $0) } : nil
    guard let journal, journal.remote == file.remote, bytes == nil || journal.length == bytes, file.digest == nil || file.digest == journal.expected.map({ .hash($0) }) else {
      self.init(path: file.path, bytes: bytes, here: 0, status: .absent, failure: nil, onDisk: onDisk)
      return
    }
    let here = journal.safe.total
    self.init(path: file.path, bytes: bytes, here: here, status: here > 0 ? .partial : .absent, failure: nil, onDisk: onDisk)
  }

  /// Whether what has the name and the length may be the file. Small files are read; of large ones a receipt tells, where there is one.
  private static func mayBe(_ file: TransferRequest.File, at path: FilePath) -> Bool {
    switch file.digest {
    case .blob(let blob)?: (try? GitBlobID(ofFileAt: path)) == blob
    case .hash(let digest)?: file.replaceable.map { $0 == digest } ?? true
    case nil: true
    }
  }

  private static func blocks(of path: FilePath) -> Int {
    var status = stat()
    return path.withPlatformString { lstat($0, &status) } == 0 ? Int(status.st_blocks) * 512 : 0
  }
}
