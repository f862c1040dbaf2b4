import CCurl
import Glibc
import Platform
import Synchronization
import SystemPackage

/// A connection over which ranges of remote files come, one request at a time, and what it has cost so far.
public final class RemoteSession: Sendable {
  private struct State {
    /// The bits of libcurl's handle, which only the holder of the lock uses.
    var handle: UInt
    var requests = 0
    var fetchedBytes = 0
  }

  let retry: RetryPolicy
  private let origin: String
  private let state: Mutex<State>

  /// - Parameters:
  ///   - origin: scheme and host of the links, as `SignedLink` says them. An https origin is never left for http.
  ///   - authorities: a PEM file of certificate authorities to trust in place of the system's.
  ///   - stallSeconds: without a byte for so long a request has failed.
  public init(origin: String, authorities: FilePath? = nil, retry: RetryPolicy = RetryPolicy(), stallSeconds: Double = 30) throws(TransferError) {
    if let authorities, !authorities.allows(R_OK) { throw .authorities(authorities) }
    guard let handle = EasyHandle.make(origin: origin, authorities: authorities, stallSeconds: stallSeconds) else { throw .library("it could not be started") }
    ccurl_easy_setopt_long(handle, CURLOPT_LOW_SPEED_LIMIT, 1)
    ccurl_easy_setopt_long(handle, CURLOPT_LOW_SPEED_TIME, max(1, Int(stallSeconds)))
    self.retry = retry
    self.origin = origin
    state = Mutex(State(handle: UInt(bitPattern: handle)))
  }

  deinit { state.withLock { curl_easy_cleanup(UnsafeMutableRawPointer(bitPattern: $0.handle)) } }

  /// Requests made.
  public var requests: Int { state.withLock { $0.requests } }
  /// Bytes of bodies that came.
  public var fetchedBytes: Int { state.withLock { $0.fetchedBytes } }

  func wait(_ seconds: Double) { pause(seconds: seconds) }

  /// Makes one request for a part of the file at `address`.
  func ask(_ address: String, _ asked: Range<Int>, length: Int?, validators: Validators) -> Answer {
    let answer = Answer(asked: asked, length: length, validators: validators)
    state.withLock { state in
      guard let handle = UnsafeMutableRawPointer(bitPattern: state.handle) else { return }
      let context = Unmanaged.passUnretained(answer).toOpaque()
      ccurl_easy_setopt_string(handle, CURLOPT_URL, address)
      ccurl_easy_setopt_string(handle, CURLOPT_RANGE, "\(asked.lowerBound)-\(asked.upperBound - 1)")
      ccurl_easy_setopt_callback(handle, CURLOPT_HEADERFUNCTION, takeHeader)
      ccurl_easy_setopt_pointer(handle, CURLOPT_HEADERDATA, context)
      ccurl_easy_setopt_callback(handle, CURLOPT_WRITEFUNCTION, takeBody)
      ccurl_easy_setopt_pointer(handle, CURLOPT_WRITEDATA, context)
      let code = curl_easy_perform(handle)
      answer.end(code, handle, origin: origin)
      state.requests += 1
      state.fetchedBytes += answer.gained
    }
    return answer
  }

  /// What came of one request.
  final class Answer {
    enum Failure {
      case transient(String)
      /// Asking again would change nothing.
      case final(String)
    }

    private let asked: Range<Int>
    private let length: Int?
    private let validators: Validators
    fileprivate(set) var head = ResponseHead()
    /// nil before the head is complete.
    private(set) var judgement: Judgement?
    private(set) var body: [UInt8] = []
    /// Bytes of body that came.
    private(set) var gained = 0
    private(set) var failure: Failure?
    private var page = WebPage()

    init(asked: Range<Int>, length: Int?, validators: Validators) {
      self.asked = asked
      self.length = length
      self.validators = validators
    }

    var isHTML: Bool { page.isFound == true }

    /// What kept the answer from being what was asked for, when asking again may help.
    var obstacle: String? {
      if case .transient(let why)? = failure { return why }
      switch judgement {
      case .busy: return "HTTP status \(head.status)"
      case .failed(let why): return why
      case .rangesBroken(let why): return "it gives \(why)"
      case .part(let total, let end) where body.count < 4096 && end < min(asked.upperBound, total ?? 0) || body.isEmpty: return "it gives a few bytes at a time"
      default: return nil
      }
    }

    private func judge() {
      if judgement == nil { judgement = Judgement(head, asked: asked, length: length, validators: validators, allowsHTML: false) }
    }

    /// - Returns: `bytes.count`, or something else to end the request.
    fileprivate func take(_ bytes: UnsafeRawBufferPointer) -> Int {
      judge()
      gained += bytes.count
      let most: Int
      switch judgement {
      case .part(_, let end): most = end - asked.lowerBound
      case .whole(let total): most = total ?? 0 > RemoteFile.smallBytes ? 0 : RemoteFile.smallBytes
      // A small body is read to its end, so that the connection can be used again.
      default: return gained <= 65536 ? bytes.count : -1
      }
      if asked.lowerBound == 0 || judgement.map(Self.isWhole) == true { page.take(bytes) }
      body.append(contentsOf: bytes.prefix(max(0, most - body.count)))
      return gained <= most && !isHTML ? bytes.count : -1
    }

    private static func isWhole(_ judgement: Judgement) -> Bool { if case .whole = judgement { true } else { false } }

    fileprivate func end(_ code: CURLcode, _ handle: UnsafeMutableRawPointer, origin: String) {
      if code == CURLE_OK { judge() }
      var proxyStatus = head.status == 407 ? 407 : 0
      if code != CURLE_OK { ccurl_easy_getinfo_long(handle, CURLINFO_HTTP_CONNECTCODE, &proxyStatus) }
      if 300...499 ~= proxyStatus {
        failure = .final(Proxy.refusal(proxyStatus, origin: origin))
        return
      }
      if code == CURLE_OK { return }
      // We ended it ourselves, with all that we wanted.
      if code == CURLE_WRITE_ERROR, judgement != nil { return }
      failure = switch code {
      case CURLE_PEER_FAILED_VERIFICATION:
        .final("its certificate can't be trusted (\(EasyHandle.verification(handle))); --cacert names other authorities")
      case CURLE_SSL_CACERT_BADFILE: .final("the certificate authorities can't be read")
      case CURLE_TOO_MANY_REDIRECTS: .final("it redirects in a circle")
      case CURLE_UNSUPPORTED_PROTOCOL: .final("it redirects to an address that is neither http nor https, or from https down to http, which is refused")
      case CURLE_URL_MALFORMAT: .final("the link is malformed")
      case CURLE_PARTIAL_FILE, CURLE_GOT_NOTHING: .transient("the connection ended before the answer did")
      case CURLE_OPERATION_TIMEDOUT: .transient("no byte came for too long")
      case CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_PROXY:
        .transient("couldn't connect to \(Proxy.named(for: origin).map { "the proxy \($0)" } ?? "the server")")
      // These words are libcurl's constants; they hold nothing of the request.
      default: .transient(EasyHandle.words(for: code))
      }
    }
  }
}

private func takeHeader(_ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?) -> Int {
  guard let bytes, let context else { return 0 }
  let line = UnsafeRawBufferPointer(start: bytes, count: size * count)
  Unmanaged<RemoteSession.Answer>.fromOpaque(context).takeUnretainedValue().head.take(String(decoding: line, as: UTF8.self))
  return size * count
}

private func takeBody(_ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?) -> Int {
  guard let bytes, let context else { return 0 }
  return Unmanaged<RemoteSession.Answer>.fromOpaque(context).takeUnretainedValue().take(UnsafeRawBufferPointer(start: bytes, count: size * count))
}
