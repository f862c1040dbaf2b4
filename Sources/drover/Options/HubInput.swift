import ArgumentParser
import Arrival
import Catalog
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

  init(_ names: [HubName], _ options: HubOptions, _ server: ServerOptions, _ request: TransferRequest) throws {
    ProcessSecrets.lockMemory()
    settings = try HubSettings(ProcessSecrets.environment, allowsHTTP: server.allowHttp)
    let client = HubClient(settings, authorities: request.authorities, retry: request.retry)
    wanted = try names.map { try client.wanted($0, options.selection) }
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
