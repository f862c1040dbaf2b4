import Platform
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// A list of files and what their digests must be: Meta's `checklist.chk`, and what `md5sum` and `sha256sum` write.
///
/// A line is `HEX  NAME` (text), `HEX *NAME` (binary), `HEX NAME` (BSD's `md5 -r`), `MD5 (NAME) = HEX` (BSD, `--tag`) or `MD5(NAME)= HEX` (OpenSSL).
/// A line that begins with a backslash has `\\`, `\n` and `\r` escaped in its name. Lines may end in CRLF; empty ones and those that begin with `#`
/// are skipped, as coreutils does. Unlike coreutils, a line that is none of these is an error: what can't be read can't be verified.
public struct Checklist: Sendable, Equatable {
  public struct Entry: Sendable, Equatable {
    /// Relative to the checklist's folder, normalized, never leaving it.
    public let path: FilePath
    public let digest: Digest

    public init(path: FilePath, digest: Digest) {
      self.path = path
      self.digest = digest
    }
  }

  /// In the order of the lines; a line said twice is there once. None is the list itself.
  public let entries: [Entry]
  /// The line, from 1, that gives the list's own digest, which nobody could write into it: `md5sum * > checklist.chk` makes one, of the list when it was
  /// still empty.
  public let ownLine: Int?

  /// Larger lists than this are not lists: it has room for a hundred thousand files.
  package static let mostBytes = 4 << 20

  public init(entries: [Entry]) { (self.entries, ownLine) = (entries, nil) }

  /// Reads the checklist at `path`.
  public init(contentsOf path: FilePath) throws(ChecklistError) {
    let bytes: [UInt8]
    do {
      bytes = try SmallFile.read(path, atMost: Self.mostBytes)
    } catch {
      throw ChecklistError(path: path, reason: .unreadable(error))
    }
    try self.init(parsing: bytes, path: path, folder: path.removingLastComponent())
  }

  /// Reads a checklist that is in memory already.
  /// - Parameters:
  ///   - path: what errors call it.
  ///   - folder: where it lies on this machine, for lists that name files in it absolutely; nil refuses those.
  public init(parsing bytes: [UInt8], path: FilePath, folder: FilePath? = nil) throws(ChecklistError) {
    func failure(_ line: Int?, _ reason: ChecklistError.Reason) -> ChecklistError { ChecklistError(path: path, line: line, reason: reason) }

    var rest = bytes[...]
    if rest.starts(with: [0xEF, 0xBB, 0xBF]) { rest = rest.dropFirst(3) }
    if let standIn = StandIn(Array(rest.prefix(StandIn.headBytes))) { throw failure(nil, .standIn(standIn.description)) }
    if Self.looksLikeUTF16(rest) { throw failure(nil, .utf16) }

    var entries: [Entry] = []
    var seen: Set<Key> = []
    var ownLine: Int?
    var index = -1
    // A line at a time: a list may be nothing but ends of lines.
    while !rest.isEmpty {
      let end = rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.endIndex
      var line = rest[..<end]
      rest = rest[min(end + 1, rest.endIndex)...]
      index += 1
      line = line.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
      if line.last == UInt8(ascii: "\r") { line = line.dropLast() }
      guard let first = line.first, first != UInt8(ascii: "#") else { continue }
      guard let (named, digest) = Self.parse(line: line) else {
        if let algorithm = Self.otherAlgorithm(of: line) { throw failure(index + 1, .otherAlgorithm(algorithm)) }
        throw failure(index + 1, entries.isEmpty ? .malformedFromTheStart : .malformed)
      }
      let name: FilePath
      do { name = try Self.contained(named, in: folder) } catch { throw failure(index + 1, error) }
      if folder != nil, let own = path.lastComponent, name == FilePath(root: nil, [own]) {
        ownLine = ownLine ?? index + 1
        continue
      }
      let entry = Entry(path: name, digest: digest)
      if seen.insert(Key(path: entry.path, digest: digest)).inserted { entries.append(entry) }
    }
    guard !entries.isEmpty || ownLine != nil else { throw failure(nil, .empty) }
    (self.entries, self.ownLine) = (entries, ownLine)
  }

  /// The list as `md5sum` writes it, odd names escaped.
  public var text: String {
    entries.map { entry in
      let name = entry.path.string
      let escaped = Self.escape(name)
      return "\(escaped == name ? "" : "\\")\(entry.digest)  \(escaped)\n"
    }.joined()
  }

  private struct Key: Hashable {
    let path: FilePath
    let digest: Digest
  }

  /// The path relative to the folder that `name` says, if it stays inside.
  /// - Parameter folder: where an absolute name has to lie; nil refuses all of them.
  static func contained(_ name: [UInt8], in folder: FilePath? = nil) throws(ChecklistError.Reason) -> FilePath {
    // PATH_MAX (linux/limits.h): no longer name can be opened.
    guard !name.isEmpty, !name.contains(0), name.count < 4096 else { throw .malformed }
    let path = name.withUnsafeBytes { raw in
      (Array(raw.bindMemory(to: CInterop.PlatformChar.self)) + [0]).withUnsafeBufferPointer { text in
        text.baseAddress.map(FilePath.init(platformString:)) ?? FilePath()
      }
    }
    if path.isAbsolute, let folder, let inside = inside(path, folder) { return inside }
    guard path.isRelative, !path.components.contains(where: { $0.kind == .parentDirectory }) else { throw .leavesFolder(path) }
    let normal = path.lexicallyNormalized()
    guard !normal.components.isEmpty, normal != "." else { throw .malformed }
    return normal
  }

  /// What an absolute name says relative to the folder, where it lies in it: `md5sum "$PWD"/*` writes such names.
  private static func inside(_ path: FilePath, _ folder: FilePath) -> FilePath? {
    // The way there may go over symbolic links; the name itself needn't exist.
    var (rest, names) = (path, [FilePath.Component]())
    let real = resolved(folder.isEmpty ? "." : folder)
    while let name = rest.lastComponent, name.kind == .regular {
      rest.removeLastComponent()
      names.append(name)
      if let there = resolved(rest), there == real { return FilePath(root: nil, names.reversed()) }
    }
    return nil
  }

  private static func resolved(_ path: FilePath) -> FilePath? {
    guard let real = path.withPlatformString({ realpath($0, nil) }) else { return nil }
    defer { free(real) }
    return FilePath(platformString: real)
  }

  // MARK: Lines

  private static func parse(line: ArraySlice<UInt8>) -> (name: [UInt8], digest: Digest)? {
    let isEscaped = line.first == UInt8(ascii: "\\")
    let line = isEscaped ? line.dropFirst() : line
    guard let (name, digest) = parseTagged(line) ?? parsePlain(line) else { return nil }
    return (isEscaped ? unescape(name) : Array(name)).map { ($0, digest) }
  }

  private static let tags: [(head: String, tail: String, algorithm: HashAlgorithm)] = [
    ("MD5 (", ") = ", .md5), ("SHA256 (", ") = ", .sha256), ("MD5(", ")= ", .md5), ("SHA256(", ")= ", .sha256), ("SHA2-256(", ")= ", .sha256),
  ]

  /// `MD5 (NAME) = HEX` or `MD5(NAME)= HEX`
  private static func parseTagged(_ line: ArraySlice<UInt8>) -> (ArraySlice<UInt8>, Digest)? {
    for (tag, tail, algorithm) in tags where line.starts(with: Array(tag.utf8)) {
      // From the end: a name may hold anything, also ") = ".
      let tail = Array(tail.utf8)
      let digits = algorithm.digestBytes * 2
      guard line.count >= tag.utf8.count + tail.count + digits, let digest = Digest(hex: ascii(line.suffix(digits))) else { return nil }
      let before = line.dropLast(digits)
      guard before.suffix(tail.count).elementsEqual(tail) else { return nil }
      return (before.dropFirst(tag.utf8.count).dropLast(tail.count), digest)
    }
    return nil
  }

  /// `HEX  NAME`, `HEX *NAME` or `HEX NAME`
  private static func parsePlain(_ line: ArraySlice<UInt8>) -> (ArraySlice<UInt8>, Digest)? {
    guard let end = line.firstIndex(where: { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }) else { return nil }
    guard let digest = Digest(hex: ascii(line[..<end])) else { return nil }
    var name = line[end...].dropFirst()
    if let mode = name.first, mode == UInt8(ascii: " ") || mode == UInt8(ascii: "*") { name = name.dropFirst() }
    return name.isEmpty ? nil : (name, digest)
  }

  private static func unescape(_ name: ArraySlice<UInt8>) -> [UInt8]? {
    var plain: [UInt8] = []
    var bytes = name.makeIterator()
    while let byte = bytes.next() {
      guard byte == UInt8(ascii: "\\") else {
        plain.append(byte)
        continue
      }
      switch bytes.next() {
      case UInt8(ascii: "\\"): plain.append(UInt8(ascii: "\\"))
      case UInt8(ascii: "n"): plain.append(UInt8(ascii: "\n"))
      case UInt8(ascii: "r"): plain.append(UInt8(ascii: "\r"))
      default: return nil
      }
    }
    return plain
  }

  private static func escape(_ name: String) -> String {
    var escaped = ""
    for scalar in name.unicodeScalars {
      switch scalar {
      case "\\": escaped += "\\\\"
      case "\n": escaped += "\\n"
      case "\r": escaped += "\\r"
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return escaped
  }

  private static func ascii(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

  /// What PowerShell's `>` writes.
  private static func looksLikeUTF16(_ bytes: ArraySlice<UInt8>) -> Bool {
    if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) { return true }
    let start = Array(bytes.prefix(64))
    return start.count >= 8 && (0...1).contains { half in stride(from: half, to: start.count, by: 2).allSatisfy { start[$0] == 0 } }
  }

  /// The algorithm that made the digest in a line which is right but for that.
  private static func otherAlgorithm(of line: ArraySlice<UInt8>) -> String? {
    let algorithms = [40: "SHA-1", 56: "SHA-224", 96: "SHA-384", 128: "SHA-512"]
    for word in [line.prefix { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }, line[(line.lastIndex(of: UInt8(ascii: " ")).map { $0 + 1 } ?? line.startIndex)...]] {
      if let algorithm = algorithms[word.count], Hex.decode(ascii(word)) != nil { return algorithm }
    }
    return nil
  }
}
