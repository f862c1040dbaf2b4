import FoundationEssentials
import Manifests
import Platform
import SystemPackage

/// The releases that can be named.
public struct Catalog: Sendable {
  /// In the order of their appearance.
  public let releases: [Release]
  /// Where they come from, for messages: `the catalog`, or a manifest's path.
  private let source: String
  private let byName: [String: Int]

  /// The releases that come with the program.
  public static func builtIn() throws(CatalogError) -> Catalog {
    var releases: [Release] = []
    for manifest in Manifests.releases { releases += try decode(manifest, from: "a built-in manifest") }
    return try Catalog(releases, source: "the catalog")
  }

  /// Larger files than this are no manifests.
  private static let mostManifestBytes = 64 << 20

  /// The releases of a manifest: one JSON object in the form of `Manifests/releases`, or an array of them.
  /// - Parameter path: of a file or a pipe; `-` is standard input.
  public init(manifest path: FilePath) throws(CatalogError) {
    let bytes: [UInt8]
    do { bytes = try InputFile.read(path, atMost: Self.mostManifestBytes) } catch { throw .unreadable(path, error) }
    let releases = try Self.decode(bytes, from: path.string)
    // All of nothing would be done at once, and well.
    guard !releases.isEmpty else { throw .malformed(path.string, "it has no releases") }
    try self.init(releases, source: path.string)
  }

  init(_ releases: [Release], source: String) throws(CatalogError) {
    var byName: [String: Int] = [:]
    for (index, release) in releases.enumerated() {
      if let defect = release.defect() { throw .malformed(source, defect) }
      for name in Set(([release.id] + release.aliases).map { $0.lowercased() }) {
        if let other = byName.updateValue(index, forKey: name) {
          throw .malformed(source, "\"\(name)\" names both \(releases[other].id) and \(release.id)")
        }
      }
    }
    self.releases = releases
    self.source = source
    self.byName = byName
  }

  /// A name, and what it was taken for.
  public struct Match: Sendable {
    public let release: Release
    /// Other releases whose own script takes the same name; someone may have meant one of them.
    public let alternatives: [Release]
  }

  /// Resolves an id or an alias, in upper or lower case.
  ///
  /// A bare size that several of Meta's scripts take goes where the script with the longest list of such names puts it: `7B`, `13B` and `70B`
  /// are Llama 2, `70B-Instruct` is Llama 3. The others are told as `alternatives`.
  public func release(named name: String) throws(CatalogError) -> Match {
    let key = name.lowercased()
    guard let index = byName[key] else { throw .unknown(name, source: source, suggestions: suggestions(for: key)) }
    let others = releases.indices.filter { $0 != index && releases[$0].contested.contains { $0.lowercased() == key } }
    return Match(release: releases[index], alternatives: others.map { releases[$0] })
  }

  /// Resolves names separated by commas; a release named twice counts once.
  public func matches(_ list: String) throws(CatalogError) -> [Match] {
    var matches: [Match] = []
    for part in list.split(separator: ",", omittingEmptySubsequences: true) {
      let name = part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()
      let match = try release(named: String(name))
      if !matches.contains(where: { $0.release.id == match.release.id }) { matches.append(match) }
    }
    if matches.isEmpty { throw .unknown(list, source: source, suggestions: []) }
    return matches
  }

  private static func decode(_ bytes: [UInt8], from source: String) throws(CatalogError) -> [Release] {
    if let standIn = StandIn(Array(bytes.prefix(StandIn.headBytes))) { throw .malformed(source, "it \(standIn)") }
    let isArray: Bool
    do throws(JSONError) {
      let document = try JSONReader.read(bytes) { (reader) throws(JSONError) in try reader.value() }
      if case .array = document { isArray = true } else { isArray = false }
    } catch {
      throw .malformed(source, "byte \(error.byte): it \(error.sentence)")
    }
    let data = Data(bytes)
    do {
      return isArray ? try JSONDecoder().decode([Release].self, from: data) : [try JSONDecoder().decode(Release.self, from: data)]
    } catch let error as DecodingError {
      throw .malformed(source, error.sentence)
    } catch {
      throw .malformed(source, "it isn't JSON")
    }
  }

  /// Ids that were probably meant, best first.
  private func suggestions(for name: String) -> [String] {
    var best: [Int: Int] = [:]
    for (candidate, index) in byName {
      let distance = editDistance(Array(name.utf8), Array(candidate.utf8))
      // A name that begins alike is near, however long the rest.
      let counts = candidate.hasPrefix(name) && name.utf8.count >= 3 ? 1 : distance
      if counts <= max(2, name.utf8.count / 4) { best[index] = min(best[index] ?? .max, counts) }
    }
    return best.sorted { ($0.value, $0.key) < ($1.value, $1.key) }.prefix(4).map { releases[$0.key].id }
  }
}

/// Why a name or a manifest can't be used.
public enum CatalogError: Error, Sendable, CustomStringConvertible {
  case unknown(String, source: String, suggestions: [String])
  case unreadable(FilePath, Errno)
  case malformed(String, String)

  public var description: String {
    switch self {
    case .unknown(let name, let source, let suggestions):
      let hint = suggestions.isEmpty ? "`drover catalog` lists the names" : "did you mean " + suggestions.joined(separator: ", ") + "?"
      return "\"\(name.prefix(80))\" isn't in \(source); \(hint)"
    case .unreadable(let path, let error): return "the manifest \(path) can't be read: \(error)"
    case .malformed(let source, let reason): return "\(source) is not a manifest: \(reason)"
    }
  }
}

extension DecodingError {
  /// Where in the document, and what.
  fileprivate var sentence: String {
    func place(_ path: [any CodingKey]) -> String {
      path.map { key in key.intValue.map { "[\($0)]" } ?? ".\(key.stringValue)" }.joined()
    }
    switch self {
    case .keyNotFound(let key, let context): return "\"\(key.stringValue)\" is missing\(context.codingPath.isEmpty ? "" : " at \(place(context.codingPath))") in it"
    case .typeMismatch(_, let context), .valueNotFound(_, let context): return "\(place(context.codingPath)) is of the wrong kind"
    case .dataCorrupted(let context): return context.codingPath.isEmpty ? "it isn't JSON" : "\(place(context.codingPath)) is malformed"
    @unknown default: return "it can't be decoded"
    }
  }
}

/// Levenshtein's distance.
package func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
  var previous = Array(0...b.count)
  for (i, x) in a.enumerated() {
    var row = [i + 1]
    row.reserveCapacity(b.count + 1)
    for (j, y) in b.enumerated() { row.append(min(previous[j] + (x == y ? 0 : 1), previous[j + 1] + 1, row[j] + 1)) }
    previous = row
  }
  return previous[b.count]
}
