import ArgumentParser
import Arrival
import Catalog
import Integrity
import SystemPackage
import Terminal
import Transfer

/// Which files of a repository of Hugging Face's hub are wanted.
struct HubOptions: ParsableArguments {
  @Option(parsing: .singleValue, help: ArgumentHelp("Of a hub's repository the files that fit this pattern, and its licence and card; may be repeated. Otherwise what runs the model.", valueName: "pattern"))
  var include: [String] = []

  @Option(parsing: .singleValue, help: ArgumentHelp("Of a hub's repository not the files that fit this pattern; may be repeated.", valueName: "pattern"))
  var exclude: [String] = []

  var isGiven: Bool { !include.isEmpty || !exclude.isEmpty }
  var selection: HubSelection { HubSelection(include: include, exclude: exclude, companions: LegalFiles.names) }
}

/// A download from Hugging Face's hub, made ready: what the repositories hold is known, and that the token opens them.
struct HubInput {
  /// Each with the files that are wanted of it.
  let wanted: [(HubRepository, files: [HubRepository.File])]
  let link: SignedLink
  /// The commits, in the order of the names.
  let commits: [String]
  let settings: HubSettings

  /// - Parameter models: as they stand on the command line.
  /// - Returns: nil where none of them is a repository's name.
  static func names(in models: [String]) throws -> [HubName]? {
    let words = models.flatMap { $0.split(separator: ",").map(String.init) }
    let names = try words.compactMap { word throws(HubError) in try HubName(word) }
    guard !names.isEmpty else { return nil }
    guard names.count == words.count else { throw CommandError(.usage, "repositories of the hub (hf:…) come over another link than releases: download them one after the other") }
    return names
  }

  /// - Parameter takesCache: whether what the hub's cache has does where the hub isn't asked.
  init(_ names: [HubName], _ options: HubOptions, _ server: ServerOptions, _ request: TransferRequest, takesCache: Bool = false) throws {
    ProcessSecrets.lockMemory()
    settings = try HubSettings(ProcessSecrets.environment, allowsHTTP: server.allowHttp)
    let client = HubClient(settings, authorities: request.authorities, retry: request.retry)
    if takesCache, settings.isOffline {
      guard let cache = settings.cache else { throw HubError.noCache }
      wanted = try names.map { try client.cached($0, options.selection, in: cache) }
    } else {
      wanted = try names.map { try client.wanted($0, options.selection) }
    }
    link = settings.link
    commits = wanted.map(\.0.commit)
  }
}

extension HubClient {
  /// What a repository holds, and which of it is fetched; the token opens it.
  func wanted(_ name: HubName, _ selection: HubSelection) throws -> (HubRepository, files: [HubRepository.File]) {
    let repository = try repository(name)
    // A receipt that somebody published is of another folder than the one that gets a receipt here.
    let files = try selection.files(of: repository).filter { $0.path != "drover-receipt.json" }
    if let file = files.min(by: { $0.bytes < $1.bytes }) { try checkAccess(to: repository, file) }
    return (repository, files)
  }

  /// What is wanted of a repository, out of what the cache has of it.
  func cached(_ name: HubName, _ selection: HubSelection, in cache: FilePath) throws -> (HubRepository, files: [HubRepository.File]) {
    let folder = CachedRepository(name.repository, in: cache)
    let here = try cached(name, in: folder)
    // Where the hub's tools have noted what there is, it shows what is missing.
    let all = folder.listed(at: here.commit).map { HubRepository(name: name, commit: here.commit, files: $0.map { .init(path: $0.key, bytes: 0, digest: $0.value) }) }
    let files = try selection.files(of: all ?? here)
    let found = Dictionary(here.files.map { ($0.path, $0) }) { first, _ in first }
    let missing = files.map(\.path).filter { found[$0] == nil }
    guard missing.isEmpty else { throw HubError.notInCache(name, files: missing) }
    return (here, files.compactMap { found[$0.path] })
  }
}

/// What the engine says of a file, which knows of signed links, in the words of the hub.
func hubError(_ error: TransferError, _ names: [HubName], _ settings: HubSettings) -> any Error {
  let page = names.count == 1 ? settings.page(of: names[0]) : settings.endpoint
  switch error {
  case .refused(let path, let status, _), .denied(let path, let status, _): return HubError.refusedFile(path: path, status: status, page: page)
  case .missing(let path, let status): return HubError.missingFile(path: path, status: status, origin: settings.origin)
  default: return error
  }
}
