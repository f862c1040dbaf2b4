import SystemPackage

/// Why a checklist can't be used.
public struct ChecklistError: Error, CustomStringConvertible, Equatable {
  public enum Reason: Error, Equatable {
    case unreadable(Errno)
    /// It is a web page or a Git LFS pointer; a sentence that says which, and what to do.
    case standIn(String)
    case utf16
    /// Digests by a hash function that drover doesn't know, which is named.
    case otherAlgorithm(String)
    case empty
    case malformed
    /// Already the first line that says something is.
    case malformedFromTheStart
    case leavesFolder(FilePath)
    case listsItself
  }

  public let path: FilePath
  /// From 1; nil when it is about the whole file.
  public let line: Int?
  public let reason: Reason

  init(path: FilePath, line: Int? = nil, reason: Reason) {
    self.path = path
    self.line = line
    self.reason = reason
  }

  public var description: String {
    let place = line.map { "\(path), line \($0)" } ?? path.string
    return switch reason {
    case .unreadable(let error): "\(place): cannot be read: \(error)"
    case .standIn(let sentence): "\(place): \(sentence)."
    case .utf16: "\(place): is UTF-16 text, as PowerShell's > writes it. Save it as UTF-8 (Out-File -Encoding utf8, or iconv -f utf-16 -t utf-8)."
    case .otherAlgorithm(let name): "\(place): has a \(name) digest; drover knows MD5 and SHA-256. Make the list with md5sum or sha256sum, or check it with \(name.lowercased().replacing("-", with: ""))sum -c."
    case .empty: "\(place): names no files; a checklist has lines of a digest and a file name. Fetch it again."
    case .malformed, .malformedFromTheStart: "\(place): not a digest and a file name, as md5sum or sha256sum write them. Fetch the checklist again."
    case .listsItself: "\(place): is about the list itself, whose digest changes with it, so they can't agree. Take the line out."
    case .leavesFolder(let name): "\(place): \"\(name)\" leads out of the checklist's folder; refused."
    }
  }
}
