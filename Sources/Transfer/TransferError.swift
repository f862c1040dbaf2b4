import Glibc
import Integrity
import SystemPackage

/// Why a download, or one file of it, didn't come to its end. Never says anything of the link but its host.
public enum TransferError: Error, Sendable, CustomStringConvertible {
  case link(LinkError)
  /// 401 or 403.
  case refused(path: String, status: Int, why: String)
  /// 401 or 403 to one file, behind a link that opens others.
  case denied(path: String, status: Int, why: String)
  case missing(path: String, status: Int)
  /// The network or the server would not, after all retries.
  case unavailable(path: String, origin: String, why: String)
  /// A part of a file on the server can't be had, after all retries or ever. Nothing was being downloaded.
  case unreadable(path: String, origin: String, why: String)
  /// A file that passes by has to begin anew, and what has passed can't be had back.
  case changed(path: String, why: String)
  case html(path: String, origin: String)
  /// What came can't be the file. `what` stands after "answered with".
  case notTheFile(path: String, origin: String, what: String)
  case mismatch(path: String, expected: Digest, actual: Digest, kept: String?)
  /// git's name for what came is another than the one that the repository has.
  case otherBlob(path: String, expected: GitBlobID, actual: GitBlobID, kept: String?)
  /// A checklist that can't be one, or that doesn't name what it should.
  case checklist(path: String, why: String)
  case disk(path: String, errno: Int32)
  /// A file of a store on this machine that isn't what it is called by, where nothing is asked for over the network.
  case damagedCopy(path: String, source: FilePath)
  case noRoom(needed: Int, free: Int, folder: FilePath)
  case busyFolder(String)
  /// A file name that must not be written to.
  case unsafePath(String)
  /// A file or folder of certificates that can't be used, and the variable that names it.
  case authorities(FilePath, variable: String?)
  case declined
  case interrupted
  case library(String)

  public var description: String {
    let again = "what is here stays, run the same command again to go on"
    return switch self {
    case .link(let error): error.description
    case .refused(let path, let status, let why): "\(path): the server refused the link (HTTP status \(status)); \(why)"
    case .denied(let path, let status, let why): "\(path): the server refuses this file (HTTP status \(status)): \(why)"
    case .missing(let path, let status): "\(path): the server has no such file (HTTP status \(status)); the link may be for other models than the one asked for"
    case .unavailable(let path, let origin, let why): "\(path): \(origin): \(why); \(again)"
    case .unreadable(let path, let origin, let why): "\(path): \(origin): \(why)"
    case .changed(let path, let why): "\(path): \(why), and what had passed of it before can't be had back; \(again)"
    case .html(let path, let origin):
      "\(path): \(origin) answered with a page of HTML in place of the file: the link leads to a page about it, or isn't the signed one, whose text the mail has"
    case .notTheFile(let path, let origin, let what):
      "\(path): \(origin) answered with \(what) in place of the file; if that doesn't pass, the link is for other files, or the server lacks this one"
    case .mismatch(let path, let expected, let actual, let kept):
      "\(path): what arrived has \(actual.algorithm == .md5 ? "MD5" : "SHA-256") \(actual), \(actual.algorithm == .md5 ? "the checklist" : "its publisher") says \(expected); it was \(kept.map { "kept as \($0)" } ?? "removed"): run the same command again to fetch it afresh"
    case .otherBlob(let path, let expected, let actual, let kept):
      "\(path): what arrived is git's blob \(actual), the repository has \(expected); it was \(kept.map { "kept as \($0)" } ?? "removed"): run the same command again to fetch it afresh"
    case .checklist(let path, let why): "\(path): \(why); nothing it should vouch for was fetched"
    case .damagedCopy(let path, let source):
      "\(path): \(source) isn't there, or is damaged: its content isn't what it is called by. Nothing is asked for over the network; `drover repair` mends the store when it may be"
    case .disk(let path, let code): "\(path): \(String(cString: strerror(code))); \(Self.advice(code, again))"
    case .noRoom(let needed, let free, let folder): "\(folder): \(needed) bytes are needed, and \(free) are free; make room or choose another folder with --output"
    case .busyFolder(let folder): "\(folder): another drover is downloading into it; let it finish, or choose another folder"
    case .unsafePath(let path): "\"\(path.prefix(100))\" can't be the name of a downloaded file: it must be relative and stay below the folder"
    case .authorities(let path, let variable): "\(path)\(variable.map { ", which \($0) names" } ?? ""): these certificates can't be read"
    case .declined: "not started; what was fetched for the question stays, run the same command again to go on"
    case .interrupted: "interrupted; \(again)"
    case .library(let why): "libcurl: \(why)"
    }
  }

  /// Whether the same file may come from another server all the same.
  var isOfOneServer: Bool {
    switch self {
    case .refused, .denied, .missing, .unavailable, .unreadable, .html, .notTheFile, .mismatch, .otherBlob, .checklist: true
    case .link, .disk, .damagedCopy, .noRoom, .busyFolder, .unsafePath, .authorities, .declined, .interrupted, .library, .changed: false
    }
  }

  /// Whether what came was wrong.
  var isDamage: Bool {
    switch self {
    case .mismatch, .otherBlob: true
    default: false
    }
  }

  /// Why a server hasn't given a file, for a sentence that goes on with another server.
  var shortReason: String {
    switch self {
    case .refused(_, let status, _), .denied(_, let status, _), .missing(_, let status): "HTTP status \(status)"
    case .unavailable(_, _, let why), .unreadable(_, _, let why), .checklist(_, let why): why
    case .html: "a page of HTML came in its place"
    case .notTheFile(_, _, let what): "\(what) came in its place"
    case .mismatch(_, let expected, let actual, let kept):
      "what came has \(expected.algorithm == .md5 ? "MD5" : "SHA-256") \(actual) in place of \(expected), and was \(kept.map { "kept as \($0)" } ?? "thrown away")"
    case .otherBlob(_, let expected, let actual, let kept): "what came is git's blob \(actual) in place of \(expected), and was \(kept.map { "kept as \($0)" } ?? "thrown away")"
    default: description
    }
  }

  private static func advice(_ code: Int32, _ again: String) -> String {
    switch code {
    case ENOSPC, EDQUOT: "make room; \(again)"
    case EFBIG: "its file system, or a limit (ulimit -f), takes no file as large as this one; choose a folder on another one with --output"
    case EACCES, EPERM, EROFS: "make the folder writable, or choose another one with --output"
    case EISDIR, ENOTDIR, EEXIST, ELOOP: "something else has that name: move it away, or choose another folder with --output"
    default: again
    }
  }
}
