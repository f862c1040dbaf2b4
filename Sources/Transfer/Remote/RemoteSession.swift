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
  /// Without a byte for so long a request has failed.
  let stallSeconds: Double
  private let origin: String
  private let state: Mutex<State>

  /// - Parameters:
  ///   - link: opens the files, or is to the same host as those that do. An https origin is never left for http.
  ///   - authorities: a PEM file of certificate authorities to trust in place of the system's.
  ///   - stallSeconds: without a byte for so long a request has failed; the first byte is waited for longer each time.
  public init(to link: SignedLink, authorities: FilePath? = nil, retry: RetryPolicy = RetryPolicy(), stallSeconds: Double = 30) throws(TransferError) {
    guard let handle = EasyHandle.make(to: link, authorities: try Authorities(authorities), stallSeconds: stallSeconds) else { throw .library("it could not be started") }
    ccurl_easy_setopt_long(handle, CURLOPT_LOW_SPEED_LIMIT, 1)
    self.retry = retry
    self.stallSeconds = stallSeconds
    origin = link.origin
    state = Mutex(State(handle: UInt(bitPattern: handle)))
  }

  deinit { state.withLock { curl_easy_cleanup(UnsafeMutableRawPointer(bitPattern: $0.handle)) } }

  /// Requests made.
  public var requests: Int { state.withLock { $0.requests } }
  /// Bytes of bodies that came.
  public var fetchedBytes: Int { state.withLock { $0.fetchedBytes } }

  func wait(_ seconds: Double) { pause(seconds: seconds) }

  /// Makes one request for a part of the file at `address`.
  /// - Parameter patience: seconds without a byte after which it has failed.
  func ask(_ address: String, _ asked: Range<Int>, length: Int?, validators: Validators, isDecoding: Bool, patience: Double) -> Answer {
    let answer = Answer(asked: asked, length: length, validators: validators, isDecoding: isDecoding)
    state.withLock { state in
      guard let handle = UnsafeMutableRawPointer(bitPattern: state.handle) else { return }
      ccurl_easy_setopt_string(handle, CURLOPT_URL, address)
      ccurl_easy_setopt_string(handle, CURLOPT_RANGE, "\(asked.lowerBound)-\(asked.upperBound - 1)")
      ccurl_easy_setopt_long(handle, CURLOPT_LOW_SPEED_TIME, max(1, Int(patience)))
      EasyHandle.decode(handle, isDecoding)
      answer.attach(to: handle)
      let code = curl_easy_perform(handle)
      answer.end(code, handle, origin: origin)
      state.requests += 1
      state.fetchedBytes += answer.gained
    }
    return answer
  }

  /// What came of one request.
  final class Answer: AnswerSink {
    enum Failure {
      case transient(String)
      /// Asking again would change nothing.
      case final(String)
    }

    private let asked: Range<Int>
    private let length: Int?
    private let validators: Validators
    private let isDecoding: Bool
    /// nil before the head is complete.
    private(set) var judgement: Judgement?
    private(set) var body: [UInt8] = []
    /// Bytes of body that came.
    private(set) var gained = 0
    private(set) var failure: Failure?
    /// Whether it was given up because nothing came for too long.
    private(set) var hasTimedOut = false
    private var page = WebPage()

    init(asked: Range<Int>, length: Int?, validators: Validators, isDecoding: Bool) {
      self.asked = asked
      self.length = length
      self.validators = validators
      self.isDecoding = isDecoding
    }

    var isHTML: Bool { page.isFound == true }

    /// What kept the answer from being what was asked for, when asking again may help.
    var obstacle: String? {
      if case .transient(let why)? = failure { return why }
      switch judgement {
      case .busy: return "HTTP status \(head.status)"
      case .failed(let why), .wrong(let why): return why
      case .rangesBroken(let why): return "it gives \(why)"
      case .part(let total, let end) where body.count < 4096 && end < min(asked.upperBound, total ?? 0) || body.isEmpty: return "it gives a few bytes at a time"
      default: return nil
      }
    }

    /// Whether the obstacle is the way to the server or the server's state, which may pass, and not what it answers.
    var mayPass: Bool {
      if case .transient? = failure { return true }
      switch judgement {
      case .busy, .failed: return true
      default: return false
      }
    }

    private func judge() {
      if judgement == nil { judgement = Judgement(head, asked: asked, length: length, validators: validators, isDecoding: isDecoding, allowsHTML: false) }
    }

    /// - Returns: `bytes.count`, or something else to end the request.
    override func take(_ bytes: UnsafeRawBufferPointer) -> Int {
      judge()
      gained += bytes.count
      let most: Int
      switch judgement {
      case .part(_, let end): most = end - asked.lowerBound
      case .whole(let total): most = total ?? 0 > RemoteFile.smallBytes ? 0 : RemoteFile.smallBytes
      // A small body is read to its end, so that the connection can be used again.
      default:
        keepExcerpt(bytes)
        return gained <= 65536 ? bytes.count : -1
      }
      if asked.lowerBound == 0 || judgement.map(Self.isWhole) == true { page.take(bytes) }
      body.append(contentsOf: bytes.prefix(max(0, most - body.count)))
      return gained <= most && !isHTML ? bytes.count : -1
    }

    private static func isWhole(_ judgement: Judgement) -> Bool { if case .whole = judgement { true } else { false } }

    fileprivate func end(_ code: CURLcode, _ handle: UnsafeMutableRawPointer, origin: String) {
      if code == CURLE_OK { judge() }
      if head.status == 407 {
        failure = .final(Proxy.refusal(407, origin: origin))
        return
      }
      if code == CURLE_OK { return }
      // We ended it ourselves, with all that we wanted.
      if code == CURLE_WRITE_ERROR, judgement != nil { return }
      hasTimedOut = code == CURLE_OPERATION_TIMEDOUT
      let host = head.asked.flatMap { $0 == origin ? nil : "redirected to \($0): " } ?? ""
      failure = switch RequestFailure(code, handle, head, origin: origin) {
      case .final(let why): .final(host + why)
      case .proxy(let why): .final(why)
      case .authorities: .final("the certificate authorities can't be read")
      case .junk: .transient(host + RequestFailure.notHTTP)
      case .encoding: .transient(RequestFailure.badEncoding)
      case .network where hasTimedOut: .transient(host + "no byte came for too long")
      case .network(let why): .transient(host + why)
      }
    }
  }
}
