import CCurl
import Glibc
import Platform
import Synchronization

/// One request on its way: libcurl's easy handle, and where its bytes go.
///
/// Lives on the network's thread. libcurl's own words (its error buffer, the effective address) may hold the link, so they are never asked for.
final class Connection {
  /// How a request ended, when we ended it and not the network.
  enum Ending: Equatable {
    case reachedLimit
    case judged(Judgement)
    case disk(Int32)
    case stalled
    /// Another answer made it useless.
    case superseded
  }

  let handle: UnsafeMutableRawPointer
  let file: FileTask
  /// What was asked for; nil for the whole file.
  let asked: Range<Int>?
  let isProbe: Bool
  private unowned let engine: Engine
  private let descriptor: Int32

  private(set) var head = ResponseHead()
  private var isJudged = false
  /// Where the next byte belongs.
  private(set) var position: Int
  /// Where this request's part of the file ends; moved down when another connection takes the rest.
  var limit: Int
  /// Bytes before this one are here already.
  private var skipUntil = 0
  /// Where the bytes that wait to be written begin.
  private(set) var published: Int
  private var waiting = WriteBuffer()
  /// Whether the next bytes have to wait until the hashes have come closer.
  private var isHeld = false
  /// Whether libcurl keeps bytes for us.
  private(set) var isPaused = false
  private var sniffer: HTMLSniffer?
  private var drained = 0
  var ending: Ending?
  let startedAt: Double
  var lastByte: Double
  /// Bytes of body so far.
  private(set) var received = 0
  /// Since when it is watched whether it brings enough, and what it had brought then.
  private var watched: (start: Double, received: Int)
  /// Bytes that brought the file on.
  private(set) var gained = 0

  init(_ engine: Engine, handle: UnsafeMutableRawPointer, file: FileTask, asked: Range<Int>?, isProbe: Bool) {
    self.engine = engine
    self.handle = handle
    self.file = file
    self.asked = asked
    self.isProbe = isProbe
    descriptor = file.part.state.withLock { $0.descriptor }
    position = asked?.lowerBound ?? 0
    published = position
    limit = asked?.upperBound ?? .max
    startedAt = steadySeconds()
    lastByte = startedAt
    watched = (startedAt, 0)
  }

  /// Sets what differs from request to request.
  func configure(address: String) {
    let context = Unmanaged.passUnretained(self).toOpaque()
    ccurl_easy_setopt_string(handle, CURLOPT_URL, address)
    if let asked { ccurl_easy_setopt_string(handle, CURLOPT_RANGE, "\(asked.lowerBound)-\(asked.upperBound - 1)") } else { ccurl_easy_setopt_string(handle, CURLOPT_RANGE, nil) }
    ccurl_easy_setopt_callback(handle, CURLOPT_HEADERFUNCTION, takeHeader)
    ccurl_easy_setopt_pointer(handle, CURLOPT_HEADERDATA, context)
    ccurl_easy_setopt_callback(handle, CURLOPT_WRITEFUNCTION, takeBody)
    ccurl_easy_setopt_pointer(handle, CURLOPT_WRITEDATA, context)
    ccurl_easy_setopt_pointer(handle, CURLOPT_PRIVATE, context)
  }

  fileprivate func takeHead(_ line: String) {
    lastByte = steadySeconds()
    head.take(line)
  }

  /// Judges the answer once its head is complete.
  func judge() {
    guard !isJudged, ending == nil else { return }
    isJudged = true
    let judgement = engine.judge(self)
    switch judgement {
    case .part(_, let end):
      limit = min(limit, end)
    case .whole(let total):
      limit = total ?? .max
      position = 0
      published = 0
      skipUntil = file.written.prefixEnd
    default: ending = .judged(judgement)
    }
    if position == 0, ending == nil { sniffer = HTMLSniffer(isText: file.request.isOptional || file.request.path.hasSuffix(".md")) }
  }

  /// - Returns: `bytes.count`, or something else to end the request.
  fileprivate func take(_ bytes: UnsafeRawBufferPointer) -> Int {
    if isHeld {
      isPaused = true
      return Int(CURL_WRITEFUNC_PAUSE)
    }
    judge()
    lastByte = steadySeconds()
    received += bytes.count
    engine.limiter?.take(bytes.count)
    engine.segmentation.count(bytes.count)
    if let ending {
      // A small body is read to its end, so that the connection can be used again.
      guard case .judged = ending, (head.contentLength ?? .max) <= 65536 else { return -1 }
      drained += bytes.count
      return drained <= 65536 ? bytes.count : -1
    }
    if sniffer?.isHTML == nil {
      sniffer?.take(bytes)
      if sniffer?.isHTML == true {
        ending = .judged(.html)
        return -1
      }
    }
    var rest = bytes
    if position < skipUntil {
      let skipped = min(skipUntil - position, rest.count)
      position += skipped
      published = max(published, position)
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(skipped))
    }
    let room = min(rest.count, limit - position)
    var taken = UnsafeRawBufferPointer(rebasing: rest[..<room])
    while !taken.isEmpty {
      let count = waiting.append(taken)
      position += count
      taken = UnsafeRawBufferPointer(rebasing: taken.dropFirst(count))
      guard waiting.isFull else { continue }
      // A page that begins with so much space is none.
      sniffer?.end()
      flush()
      if ending != nil { return -1 }
    }
    gained += room
    guard room == rest.count else {
      ending = .reachedLimit
      return -1
    }
    return bytes.count
  }

  /// Writes what waits to be written, and says that it is the file's.
  func flush() {
    // Until it is known not to be a page, it isn't the file's.
    guard position > published, sniffer == nil || sniffer?.isHTML == false else { return }
    let failure = waiting.empty { file.part.write($0, at: position - $0.count, to: descriptor) }
    guard failure == 0 else {
      ending = .disk(failure)
      return
    }
    isHeld = file.part.publish(published..<position) || isHeld
    published = position
  }

  /// Lets bytes come again.
  func resume() {
    guard isHeld else { return }
    isHeld = false
    guard isPaused else { return }
    isPaused = false
    lastByte = steadySeconds()
    watched = (lastByte, received)
    curl_easy_pause(handle, CURLPAUSE_CONT)
  }

  /// Bytes a second below which another request is worth a try.
  private static let leastRate = 1000.0

  /// Whether it brings nothing any more, or a trickle of something that can be asked for again.
  /// - Parameter isLimited: whether it isn't let bring more.
  func isStalled(_ now: Double, after seconds: Double, isLimited: Bool) -> Bool {
    if now - lastByte > seconds { return true }
    guard now - watched.start > seconds else { return false }
    defer { watched = (now, received) }
    return !isLimited && file.takesRanges && Double(received - watched.received) < Self.leastRate * (now - watched.start)
  }

  /// Says that no more will come, and that what came wasn't a page.
  func end() {
    guard ending == nil || ending == .reachedLimit || ending == .stalled else { return }
    if sniffer?.isHTML == true { return }
    sniffer?.end()
    flush()
  }
}

private func takeHeader(_ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?) -> Int {
  guard let bytes, let context else { return 0 }
  let line = UnsafeRawBufferPointer(start: bytes, count: size * count)
  Unmanaged<Connection>.fromOpaque(context).takeUnretainedValue().takeHead(String(decoding: line, as: UTF8.self))
  return size * count
}

private func takeBody(_ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?) -> Int {
  guard let bytes, let context else { return 0 }
  return Unmanaged<Connection>.fromOpaque(context).takeUnretainedValue().take(UnsafeRawBufferPointer(start: bytes, count: size * count))
}
