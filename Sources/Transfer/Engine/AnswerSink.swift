import CCurl

/// Who takes what a request brings: its head line by line, its body in pieces. libcurl's callbacks are C functions that carry one pointer, which is to one
/// of these.
class AnswerSink {
  final private(set) var head = ResponseHead()
  /// The beginning of a body that isn't a file's, for whoever wants to know what a server says with a refusal.
  final private(set) var excerpt: [UInt8] = []

  private static let mostExcerptBytes = 4096

  /// Told after each line of a head.
  func headCame() {}

  /// Does what concerns this while nobody else does.
  func alone(_ body: () -> Void) { body() }

  /// Takes a piece of the body.
  /// - Returns: `bytes.count`, or something else to end the request or to have it wait.
  func take(_ bytes: UnsafeRawBufferPointer) -> Int { bytes.count }

  final func keepExcerpt(_ bytes: UnsafeRawBufferPointer) { excerpt += bytes.prefix(max(0, Self.mostExcerptBytes - excerpt.count)) }

  /// Has a handle's next request bring its answer here. Whoever calls this keeps the sink alive until that request has ended.
  final func attach(to handle: UnsafeMutableRawPointer) {
    let context = Unmanaged.passUnretained(self).toOpaque()
    ccurl_easy_setopt_callback(handle, CURLOPT_HEADERFUNCTION, takeHeader)
    ccurl_easy_setopt_pointer(handle, CURLOPT_HEADERDATA, context)
    ccurl_easy_setopt_callback(handle, CURLOPT_WRITEFUNCTION, takeBody)
    ccurl_easy_setopt_pointer(handle, CURLOPT_WRITEDATA, context)
  }

  fileprivate final func takeLine(_ line: String) {
    alone {
      head.take(line)
      headCame()
    }
  }
}

private func takeHeader(_ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?) -> Int {
  guard let bytes, let context else { return 0 }
  let line = UnsafeRawBufferPointer(start: bytes, count: size * count)
  Unmanaged<AnswerSink>.fromOpaque(context).takeUnretainedValue().takeLine(String(decoding: line, as: UTF8.self))
  return size * count
}

private func takeBody(_ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?) -> Int {
  guard let bytes, let context else { return 0 }
  return Unmanaged<AnswerSink>.fromOpaque(context).takeUnretainedValue().take(UnsafeRawBufferPointer(start: bytes, count: size * count))
}
