import CCurl
import Glibc
import Platform

/// One request on its way: libcurl's easy handle, and where its bytes go.
///
/// Lives on the network's thread. libcurl's own words (its error buffer, the effective address) may hold the link, so they are never asked for.
final class Connection {
  /// How a request ended, when we ended it and not the network.
  enum Ending: Equatable {
    case reachedLimit
    case judged(Judgement)
    case stalled
    /// Another request has brought what this one still had to bring.
    case overtaken
    /// What it brings isn't wanted any more.
    case superseded
  }

  let handle: UnsafeMutableRawPointer
  let file: FileTask
  /// What was asked for; nil for the whole file.
  let asked: Range<Int>?
  let isProbe: Bool
  private let isDirectory: Bool
  /// The connection whose piece this one fetches too, as long as that one is ahead.
  private(set) var slow: Connection?
  /// Whether another connection fetches this one's piece too.
  var isDoubled = false
  private unowned let engine: Engine

  private(set) var head = ResponseHead()
  private var isJudged = false
  /// Where the next byte belongs.
  private(set) var position: Int
  /// Where this request's part of the file ends; moved down when another connection takes the rest.
  private(set) var limit: Int
  /// Bytes before this one are here already.
  private var skipUntil = 0
  /// Where the bytes begin that weren't published yet.
  private(set) var published: Int
  /// What the bytes come into, and what they come into when that is full.
  private var block: Block?
  /// Whether libcurl keeps bytes for us, until there is memory for them.
  private(set) var isPaused = false
  private var page: WebPage?
  private var drained = 0
  var ending: Ending?
  private let startedAt: Double
  var lastByte: Double
  /// Bytes of body so far.
  private(set) var received = 0
  /// Since when it is watched whether it brings enough, and what it had brought then.
  private var watched: (start: Double, received: Int)
  private var measured: (start: Double, received: Int)
  /// Bytes a second over the last second; nil before that.
  private(set) var rate: Double?
  /// Bytes that brought the file on.
  private(set) var gained = 0

  init(_ engine: Engine, handle: UnsafeMutableRawPointer, _ work: Schedule.Work) {
    self.engine = engine
    self.handle = handle
    file = work.file
    asked = work.range
    isProbe = work.isProbe
    isDirectory = work.isDirectory
    slow = work.slow
    slow?.isDoubled = true
    position = asked?.lowerBound ?? 0
    published = position
    limit = asked?.upperBound ?? .max
    startedAt = steadySeconds()
    lastByte = startedAt
    watched = (startedAt, 0)
    measured = (startedAt, 0)
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
      // The server gave less than was asked for.
      if end < limit, slow == nil, !isDoubled { file.giveBack(end..<limit) }
      limit = min(limit, end)
    case .whole(let total):
      limit = total ?? .max
      position = 0
      published = 0
      skipUntil = file.prefixEnd
    default: ending = .judged(judgement)
    }
    if position == 0, ending == nil { page = WebPage(isText: file.request.isOptional || file.request.path.hasSuffix(".md")) }
  }

  // MARK: Bytes

  /// - Returns: `bytes.count`, or something else to end the request or to have it wait.
  fileprivate func take(_ bytes: UnsafeRawBufferPointer) -> Int {
    judge()
    lastByte = steadySeconds()
    if ending != nil {
      count(bytes.count)
      // A small body is read to its end, so that the connection can be used again.
      guard case .judged = ending, (head.contentLength ?? .max) <= 65536 else { return -1 }
      drained += bytes.count
      return drained <= 65536 ? bytes.count : -1
    }
    let skipped = skip(bytes.count)
    let wanted = UnsafeRawBufferPointer(rebasing: bytes[skipped...].prefix(max(0, limit - position - skipped)))
    var next: Block?
    if !wanted.isEmpty {
      // A block that is full goes on its way at once, so there is room in this one, but perhaps not for all.
      guard let memory = memory(for: wanted.count, at: position + skipped) else {
        isPaused = true
        return Int(CURL_WRITEFUNC_PAUSE)
      }
      (block, next) = memory
    }
    count(bytes.count)
    if page?.isFound == nil {
      page?.take(bytes)
      if page?.isFound == true {
        ending = .judged(.html)
        return -1
      }
    }
    position += skipped
    published = max(published, skipped > 0 ? position : 0)
    store(wanted, next)
    gained += wanted.count
    guard skipped + wanted.count == bytes.count else {
      ending = .reachedLimit
      return -1
    }
    return bytes.count
  }

  private func count(_ bytes: Int) {
    received += bytes
    engine.limiter?.take(bytes)
    engine.tuner.count(bytes)
  }

  /// How many of the next bytes are here already, or come over another connection.
  private func skip(_ count: Int) -> Int {
    if let slow {
      if position + count <= slow.position { return count }
      // From here on this connection is ahead.
      skipUntil = max(skipUntil, slow.position)
      slow.isOvertaken(by: self)
      self.slow = nil
    }
    return max(0, min(skipUntil - position, count))
  }

  private func isOvertaken(by other: Connection) {
    if other.limit < limit { file.giveBack(other.limit..<limit) }
    limit = position
    ending = .overtaken
  }

  /// - Returns: the block that the bytes at `position` go into, and where those go that it has no room for; nil when there is no memory.
  private func memory(for count: Int, at position: Int) -> (Block, Block?)? {
    let isNext = published == file.prefixEnd
    guard let first = block ?? engine.pool.take(at: position, isNext: isNext) else { return nil }
    if first.room >= count { return (first, nil) }
    guard let next = engine.pool.take(at: first.offset + BlockPool.blockBytes, isNext: isNext) else {
      block = first.count > 0 ? first : nil
      return nil
    }
    return (first, next)
  }

  private func store(_ bytes: UnsafeRawBufferPointer, _ next: Block?) {
    guard !bytes.isEmpty, let block else { return }
    let taken = block.append(bytes)
    position += taken
    guard block.room == 0 else { return }
    // A page that begins with so much space is none.
    page?.end()
    publish(isClosed: true)
    guard let next, taken < bytes.count else { return }
    position += next.append(UnsafeRawBufferPointer(rebasing: bytes[taken...]))
    self.block = next
  }

  /// Says that what came is the file's.
  func publish(isClosed: Bool = false) {
    // Until it is known not to be a page, it isn't.
    guard let block, page == nil || page?.isFound == false else { return }
    if position > published || isClosed {
      engine.landing.publish(block, of: file.index, count: block.count, isClosed: isClosed, isKept: !isDirectory || engine.keepsDirectory(of: file))
      file.arrive(published..<position)
      published = position
    }
    if isClosed { self.block = nil }
  }

  /// Lets bytes come again.
  func resume() {
    guard isPaused else { return }
    isPaused = false
    lastByte = steadySeconds()
    watched = (lastByte, received)
    curl_easy_pause(handle, CURLPAUSE_CONT)
  }

  /// Whether someone else may fetch a part of what it has been asked for.
  var isCuttable: Bool { ending == nil && limit != .max && !isProbe && !isDirectory && slow == nil && !isDoubled }

  /// The other connection that fetched this one's piece has ended.
  func goOnAlone() {
    skipUntil = max(skipUntil, slow?.published ?? 0)
    slow = nil
  }

  /// Ends it `count` bytes from here; the rest is for others.
  func cut(after count: Int) {
    let end = limit
    limit = min(limit, position + count)
    file.giveBack(limit..<end)
  }

  /// Says that no more will come, and that what came wasn't a page.
  func end() {
    switch ending {
    case nil, .reachedLimit, .stalled, .overtaken: break
    case .judged, .superseded:
      block = nil
      return
    }
    page?.end()
    if page?.isFound == true { block = nil } else { publish(isClosed: true) }
  }

  // MARK: Pace

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

  /// Looks every second how much came.
  func measure(_ now: Double) {
    guard now - measured.start >= 1 else { return }
    if !isPaused { rate = Double(received - measured.received) / (now - measured.start) }
    measured = (now, received)
  }

  /// Bytes a second over its whole life; nil when it was too short to tell.
  func meanRate(_ now: Double) -> Double? { received >= 1 << 20 ? Double(received) / max(1e-6, now - startedAt) : nil }
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
