/// Why a repository of the hub can't be had. Holds nothing of the token.
public enum HubError: Error, Sendable, CustomStringConvertible {
  case malformedName(String)
  /// HF_ENDPOINT isn't an address.
  case endpoint
  /// A token would go over a network without TLS.
  case withoutTLS(host: String)
  /// - Parameter isCached: whether the hub's cache on this machine has it.
  case offline(HubName, isCached: Bool)
  /// Some files of it that are wanted aren't in the cache, and the hub isn't asked.
  case notInCache(HubName, files: [String])
  /// Nobody has a home, and no variable names a folder.
  case noCache
  /// - Parameter hasToken: whether one was sent: the hub answers the same for what is private.
  case noRepository(HubName, origin: String, hasToken: Bool)
  case noRevision(HubName)
  /// Its licence has to be accepted first.
  case gated(HubName, page: String, hasToken: Bool)
  case badToken(origin: String)
  /// The token doesn't reach so far.
  case forbidden(HubName, page: String)
  /// A file that was on the list is refused when it is asked for.
  case refusedFile(path: String, status: Int, page: String)
  /// A file that was on the list isn't there when it is asked for.
  case missingFile(path: String, status: Int, origin: String)
  /// The hub has closed it.
  case disabled(HubName)
  /// Of what was asked for there is nothing.
  case noFile(HubName, pattern: String)
  /// There is more than one thing that could be meant.
  case ambiguous(HubName, files: [String])
  /// What the hub says makes no sense.
  case answer(HubName, origin: String, why: String)
  /// The network or the hub would not, after all retries.
  case unavailable(HubName, origin: String, why: String)

  public var description: String {
    switch self {
    case .malformedName(let text): "\"\(text)\" isn't the name of a repository: it has the form hf:ORG/NAME or hf:ORG/NAME@REVISION"
    case .endpoint: "HF_ENDPOINT isn't an address of the form https://host"
    case .withoutTLS(let host): "HF_ENDPOINT leads to \(host) over http://, so that everyone on the way could read the token and use it; give an https:// address, or allow it with --allow-http"
    case .offline(let name, false): "\(name): it isn't in the hub's cache on this machine, and HF_HUB_OFFLINE is set, so the hub isn't asked; unset it to download"
    case .offline(let name, true): "\(name): HF_HUB_OFFLINE is set, so the hub isn't asked; it is in the hub's cache already, and commands take \(name) for a model's path"
    case .notInCache(let name, let files):
      "\(name): the hub's cache lacks \(files.prefix(3).joined(separator: ", "))\(files.count > 3 ? " and \(files.count - 3) more" : ""), and HF_HUB_OFFLINE is set, so the hub isn't asked; unset it to fetch the rest"
    case .noCache: "there is no folder for the hub's cache: HOME isn't set; name one in HF_HUB_CACHE"
    case .noRepository(let name, let origin, let hasToken):
      "\(name): \(origin) has no such repository, or \(hasToken ? "the token's account may not see it" : "it is private: give a token that may see it in HF_TOKEN, or run `hf auth login`")"
    case .noRevision(let name): "\(name): the repository has no branch, tag or commit \"\(name.revision)\""
    case .gated(let name, let page, let hasToken):
      "\(name): the repository is gated: accept its licence at \(page)"
        + (hasToken ? " with the account of the token that was sent (a request may have to wait for its answer)" : ", and give a token of that account in HF_TOKEN, or run `hf auth login`")
    case .badToken(let origin): "\(origin) doesn't know the token (HF_TOKEN, or the file that `hf auth login` leaves): it was revoked, or copied incompletely"
    case .forbidden(let name, let page): "\(name): the token may not read it; give one with read access to \(page)"
    case .refusedFile(let path, let status, let page):
      "\(path): the hub refuses this file (HTTP status \(status)): accept the licence at \(page) with the account of the token in HF_TOKEN, or of `hf auth login`; what is here stays"
    case .missingFile(let path, let status, let origin): "\(path): \(origin) has it on its list, and hasn't got it (HTTP status \(status)); what is here stays"
    case .disabled(let name): "\(name): the hub has closed this repository"
    case .noFile(let name, let pattern): "\(name): no file of the repository fits \(pattern)"
    case .ambiguous(let name, let files):
      "\(name): it has \(files.count) models beside each other; choose with --include, such as --include '\(files.first ?? "*")' (there are \(files.prefix(8).joined(separator: ", "))\(files.count > 8 ? ", …" : ""))"
    case .answer(let name, let origin, let why): "\(name): \(origin) \(why)"
    case .unavailable(let name, let origin, let why): "\(name): \(origin): \(why); run the same command again later"
    }
  }
}
