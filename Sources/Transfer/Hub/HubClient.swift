import CCurl
import FoundationEssentials
import Glibc
import Integrity
import Platform
import SystemPackage

/// Asks the hub what a repository holds.
public struct HubClient: Sendable {
  private let settings: HubSettings
  private let authorities: FilePath?
  private let retry: RetryPolicy
  private let stallSeconds: Double

  /// Entries come a thousand a page; a repository has a hundred thousand files at most (the hub's own limit).
  private static let mostPages = 200

  public init(_ settings: HubSettings, authorities: FilePath? = nil, retry: RetryPolicy = RetryPolicy(), stallSeconds: Double = 30) {
    (self.settings, self.authorities, self.retry, self.stallSeconds) = (settings, authorities, retry, stallSeconds)
  }

  /// What `name` holds, and at which commit: later requests name the commit, so that a branch that moves changes nothing.
  public func repository(_ name: HubName) throws -> HubRepository {
    if settings.isOffline { throw HubError.offline(name, isCached: settings.cache.flatMap { CachedRepository(name.repository, in: $0).commit(of: name.revision) } != nil) }
    let session = try DocumentSession(settings, name, authorities: try Authorities(authorities), retry: retry, stallSeconds: stallSeconds)
    let api = settings.endpoint + "/api/models/" + name.repository
    let model = try session.decode(HubDocument.Model.self, from: api + "/revision/" + Self.escaped(name.revision)).value
    guard model.sha.utf8.count == 40, model.sha.utf8.allSatisfy({ "0123456789abcdef".utf8.contains($0) }) else { throw session.nonsense("says no commit of the repository") }
    var files: [HubRepository.File] = []
    var next: String? = api + "/tree/" + model.sha + "?recursive=true&expand=false"
    for page in 0... {
      guard let address = next else { break }
      guard page < Self.mostPages else { throw session.nonsense("lists files without an end") }
      let (entries, following) = try session.decode([HubDocument.Entry].self, from: address)
      do throws(HubDocument.Malformed) { for entry in entries { if let file = try HubDocument.file(entry) { files.append(file) } } } catch { throw session.nonsense(error.why) }
      // The token goes nowhere else.
      if let following, LinkText(following)?.origin != settings.origin { throw session.nonsense("continues its list at another host") }
      next = following
    }
    let repository = HubRepository(name: name, commit: model.sha, isGated: (model.gated?.isClosed ?? false) || (model.private ?? false), files: files)
    return repository
  }

  /// Finds out whether a repository that is gated opens its files to the token: its list is open to everybody.
  public func checkAccess(to repository: HubRepository, _ file: HubRepository.File) throws {
    guard repository.isGated else { return }
    let session = try DocumentSession(settings, repository.name, authorities: try Authorities(authorities), retry: retry, stallSeconds: stallSeconds)
    try session.touch(settings.link.address(of: repository.remote(file.path)))
  }

  /// What the hub's cache has of a repository, where the hub isn't asked: the files of the commit that it knows for the revision.
  /// - Throws: `.offline` where it knows none.
  public func cached(_ name: HubName, in cached: CachedRepository) throws -> HubRepository {
    guard let commit = cached.commit(of: name.revision) else { throw HubError.offline(name, isCached: false) }
    let files = try cached.entries(of: commit).compactMap { entry -> HubRepository.File? in
      guard case .blob(let digest) = entry.content, let bytes = Directory.size(of: entry.path) else { return nil }
      return .init(path: entry.name, bytes: bytes, digest: digest)
    }
    return HubRepository(name: name, commit: commit, files: files)
  }

  /// A reference's name as one part of a path.
  private static func escaped(_ revision: String) -> String { revision.replacing("/", with: "%2F").replacing("#", with: "%23") }
}

/// Requests to the hub's interface, one at a time.
private final class DocumentSession {
  private let settings: HubSettings
  private let name: HubName
  private let retry: RetryPolicy
  private let handle: UnsafeMutableRawPointer

  init(_ settings: HubSettings, _ name: HubName, authorities: Authorities, retry: RetryPolicy, stallSeconds: Double) throws(TransferError) {
    guard let handle = EasyHandle.make(to: settings.link, authorities: authorities, stallSeconds: stallSeconds) else { throw .library("it could not be started") }
    ccurl_easy_setopt_long(handle, CURLOPT_LOW_SPEED_LIMIT, 1)
    ccurl_easy_setopt_long(handle, CURLOPT_LOW_SPEED_TIME, max(1, Int(stallSeconds)))
    (self.settings, self.name, self.retry, self.handle) = (settings, name, retry, handle)
  }

  deinit { curl_easy_cleanup(handle) }

  func nonsense(_ why: String) -> HubError { .answer(name, origin: settings.origin, why: why) }

  /// - Returns: what the document says, and where the list goes on.
  func decode<Value: Decodable>(_ type: Value.Type, from address: String) throws -> (value: Value, next: String?) {
    let answer = try ask(address, range: nil)
    guard !answer.isTooLong else { throw nonsense("answered with more than \(DocumentAnswer.mostBytes >> 20) MiB of JSON") }
    guard let value = try? JSONDecoder().decode(type, from: Data(answer.body)) else { throw nonsense("answered with something that isn't its JSON; is HF_ENDPOINT a hub?") }
    return (value, answer.head.next)
  }

  /// Asks for a file's first byte.
  func touch(_ address: String) throws { _ = try ask(address, range: "0-0") }

  private func ask(_ address: String, range: String?) throws -> DocumentAnswer {
    for failures in 1... {
      let answer = DocumentAnswer()
      ccurl_easy_setopt_string(handle, CURLOPT_URL, address)
      ccurl_easy_setopt_string(handle, CURLOPT_RANGE, range)
      answer.attach(to: handle)
      let code = curl_easy_perform(handle)
      let why: String
      if code == CURLE_OK || answer.isTooLong || answer.isEnough {
        switch answer.head.status {
        case 200, 206, 416: return answer
        case 408, 429, 500...: why = "HTTP status \(answer.head.status)"
        default: throw refusal(answer.head)
        }
      } else {
        switch RequestFailure(code, handle, answer.head, origin: settings.origin) {
        case .final(let words), .proxy(let words): throw HubError.unavailable(name, origin: settings.origin, why: words)
        case .authorities: throw HubError.unavailable(name, origin: settings.origin, why: "the certificate authorities can't be read")
        case .junk: why = RequestFailure.notHTTP
        case .encoding: why = RequestFailure.badEncoding
        case .network(let words): why = words
        }
      }
      if let wait = answer.head.retryAfter, wait > retry.longestRetryAfter {
        throw HubError.unavailable(name, origin: settings.origin, why: "it asks to come back in \(Moment.ago(Int(min(wait, 1e9))))")
      }
      if let end = retry.end(failures: failures, silence: nil) { throw HubError.unavailable(name, origin: settings.origin, why: why + end) }
      pause(seconds: retry.delay(after: failures, asked: answer.head.retryAfter, random: .random(in: 0..<1)))
    }
    throw HubError.unavailable(name, origin: settings.origin, why: "it doesn't answer")
  }

  /// The hub says 401 for what it hides from people without a name, and for a name that it doesn't know; its own codes tell more
  /// (huggingface_hub's `hf_raise_for_status`).
  private func refusal(_ head: ResponseHead) -> HubError {
    let hasToken = settings.hasToken
    switch (head.status, head.errorCode) {
    case (_, "RevisionNotFound"): return .noRevision(name)
    case (_, "GatedRepo"): return .gated(name, page: settings.page(of: name), hasToken: hasToken)
    case (_, "DisabledRepo"): return .disabled(name)
    case (401, _) where hasToken && (head.deniesCredentials || head.errorCode == nil): return .badToken(origin: settings.origin)
    case (_, "RepoNotFound"), (401, _), (404, _): return .noRepository(name, origin: settings.origin, hasToken: hasToken)
    case (403, _): return .forbidden(name, page: settings.page(of: name))
    default: return nonsense("answered with HTTP status \(head.status)")
    }
  }
}

/// A document that is taken whole, within bounds.
private final class DocumentAnswer: AnswerSink {
  static let mostBytes = 16 << 20
  private(set) var body: [UInt8] = []
  private(set) var isTooLong = false
  /// Whether a file began to come, of which nothing is wanted.
  private(set) var isEnough = false

  override func take(_ bytes: UnsafeRawBufferPointer) -> Int {
    guard body.count + bytes.count <= Self.mostBytes else {
      isTooLong = true
      return -1
    }
    body += bytes
    return bytes.count
  }
}
