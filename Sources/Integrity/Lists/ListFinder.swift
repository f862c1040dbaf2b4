import Platform
import SystemPackage

/// The lists that a verification goes by, what they say, and what else lies beside the files.
struct ListFinder {
  private(set) var claims: [Verification.Claim] = []
  /// Files in and under the given folders, hidden ones left out.
  private(set) var present: [FilePath] = []
  private(set) var lists: [FilePath] = []
  /// What kept a path or a list from being read; the others are read all the same.
  private(set) var problems: [VerificationError] = []

  /// - Parameter paths: checklists, receipts, and folders with some in or under them.
  init(_ paths: [FilePath]) {
    for path in paths { look(path) }
    var seen: Set<FilePath> = []
    lists = lists.filter { seen.insert($0).inserted }
    for list in lists { do throws(VerificationError) { claims += try claims(of: list) } catch { problems.append(error) } }
  }

  private mutating func look(_ path: FilePath) {
    // A pipe has a list in it: `verify <(md5sum …)`.
    if InputFile.isStream(path) { return lists.append(path) }
    if let store = StoreClaims(at: path) { return take(store) }
    do throws(Errno) {
      switch try Directory.kind(of: path) {
      case .file: lists.append(path)
      case .folder:
        let (files, unreadable, stores) = Folder.files(under: path)
        for store in stores { take(store) }
        var found = files.filter(Self.isList)
        // Where nothing else is to go by, lists that drover can't use are read all the same: their errors say what can.
        if found.isEmpty { found = files.filter(Self.isListByAnotherAlgorithm) }
        if found.isEmpty, unreadable.isEmpty, stores.isEmpty { problems.append(.noChecklist(path)) }
        problems += unreadable.map { .unreadable($0.path, $0.error) }
        lists += found
        present += files
      case nil: problems.append(.unreadable(path, .invalidArgument))
      }
    } catch {
      problems.append(error == .noSuchFileOrDirectory || error == .notDirectory ? .missing(path) : .unreadable(path, error))
    }
  }

  private mutating func take(_ store: StoreClaims) {
    claims += store.claims
    present += store.others
    problems += store.problems
  }

  /// What the checklist or receipt at `list` says.
  private mutating func claims(of list: FilePath) throws(VerificationError) -> [Verification.Claim] {
    if InputFile.isStream(list) { return try Self.claims(ofStream: list) }
    let folder = list.removingLastComponent()
    if list.extension == "json" {
      let receipt: Receipt
      do { receipt = try Receipt(contentsOf: list) } catch {
        if case .ofAnotherKind = error.reason, !Self.isList(list) { throw .noList(list) }
        throw .receipt(error)
      }
      return receipt.files.map { .init(path: folder.appending($0.path.components), source: list, content: .receipt($0)) }
    }
    do {
      let checklist = try Checklist(contentsOf: list)
      if let line = checklist.ownLine { problems.append(.checklist(ChecklistError(path: list, line: line, reason: .listsItself))) }
      return checklist.entries.map { .init(path: folder.appending($0.path.components), source: list, content: .digest($0.digest)) }
    } catch {
      // Weights, for one, are too large.
      if !Self.isList(list), [.malformedFromTheStart, .unreadable(.fileTooLarge)].contains(error.reason) { throw .noList(list) }
      throw .checklist(error)
    }
  }

  /// What comes out of a pipe. Names in it are those of the shell's folder, as whoever wrote into it had them.
  private static func claims(ofStream list: FilePath) throws(VerificationError) -> [Verification.Claim] {
    let bytes: [UInt8]
    do { bytes = try InputFile.read(list, atMost: Receipt.mostBytes) } catch { throw .unreadable(list, error) }
    if bytes.first(where: { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }) == UInt8(ascii: "{") {
      do { return try Receipt(parsing: bytes, path: list).files.map { .init(path: $0.path, source: list, content: .receipt($0)) } } catch { throw .receipt(error) }
    }
    do { return try Checklist(parsing: bytes, path: list).entries.map { .init(path: $0.path, source: list, content: .digest($0.digest)) } } catch { throw .checklist(error) }
  }

  /// The names that lists with digests by other hash functions go by.
  private static func isListByAnotherAlgorithm(_ path: FilePath) -> Bool {
    let algorithms = ["sha1", "sha224", "sha384", "sha512"]
    guard let name = path.lastComponent?.string.lowercased() else { return false }
    return algorithms.contains { name.hasSuffix("." + $0) || [$0 + "sums", $0 + "sums.txt", $0 + "sum.txt"].contains(name) }
  }

  /// The names that checklists go by: Meta's `.chk`, what people call the output of `md5sum` and `sha256sum`, and receipts.
  private static func isList(_ path: FilePath) -> Bool {
    if let ending = path.extension?.lowercased(), ["chk", "md5", "sha256"].contains(ending) { return true }
    guard let name = path.lastComponent?.string.lowercased() else { return false }
    return [Receipt.fileName, "md5sums", "md5sums.txt", "md5sum.txt", "sha256sums", "sha256sums.txt", "sha256sum.txt"].contains(name)
  }
}
