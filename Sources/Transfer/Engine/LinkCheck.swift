import CCurl
import Platform

/// One request for a file's first bytes, which finds out whether a link that has refused another file still opens anything.
final class LinkCheck: AnswerSink {
  enum Outcome { case opens, opensNothing, unknown }

  let handle: UnsafeMutableRawPointer
  let file: FileTask
  /// Whether its loop has it.
  var isBegun = false
  private var received = 0
  private var page = WebPage()

  private static let bytes = 256

  /// - Parameter handle: this request's own.
  init(of file: FileTask, handle: UnsafeMutableRawPointer, address: String, seconds: Double) {
    self.file = file
    self.handle = handle
    super.init()
    ccurl_easy_setopt_string(handle, CURLOPT_URL, address)
    ccurl_easy_setopt_string(handle, CURLOPT_RANGE, "0-\(Self.bytes - 1)")
    ccurl_easy_setopt_long(handle, CURLOPT_TIMEOUT_MS, Int(seconds * 1000))
    attach(to: handle)
  }

  override func take(_ bytes: UnsafeRawBufferPointer) -> Int {
    received += bytes.count
    page.take(bytes)
    // A server without ranges sends all of it.
    return received <= 65536 ? bytes.count : -1
  }

  var outcome: Outcome {
    switch head.status {
    case 200, 206: head.contentType.hasPrefix("text/html") || page.isFound == true ? .opensNothing : .opens
    case 416: .opens
    case 401, 403: .opensNothing
    default: .unknown
    }
  }
}
