import CCurl
import Glibc
import Platform

/// One request on its way: libcurl's easy handle, and where its bytes go.
///
/// Lives on its loop's thread. libcurl's own words (its error buffer, the effective address) may hold the link, so they are never asked for.
final class Connection: AnswerSink {
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
  let isDirectory: Bool
  /// The connection whose piece this one fetches too, as long as that one is ahead.
  var slow: Connection?
  /// Whether another connection fetches this one's piece too.
  var isDoubled = false
  private unowned let engine: Engine
  let loop: NetworkLoop

  private var isJudged = false
  /// Where the next byte belongs.
  private(set) var position: Int
  /// Where this request's part of the file ends; moved down when another connection takes the rest.
  var limit: Int
  /// Bytes before this one are here already.
  var skipUntil = 0
  /// Where the bytes begin that weren't published yet.
  private(set) var published: Int
  /// What the bytes come into, and what they come into when that is full.
  private var block: Block?
  /// Whether libcurl keeps bytes for us, until there is memory for them.
  private(set) var isPaused = false
  /// Until it is known whether what comes can be the file; nil where that isn't asked.
  private var beginning: FirstBytes?
  private var drained = 0
  var ending: Ending?
  let startedAt: Double
  /// Seconds without a byte after which it is given up: before the first one, and after it.
  let patience: (first: Double, next: Double)
  /// Whether compression is undone on the way.
  let isDecoding: Bool
  var lastByte: Double
  /// Bytes of body so far.
  private(set) var received = 0
  /// Since when it is watched whether it brings enough, and what it had brought then.
  var watched: (start: Double, received: Int)
  var measured: (start: Double, received: Int)
  /// Bytes a second over the last second; nil before that.
  var rate: Double?
  /// Bytes that brought the file on.
  private(set) var gained = 0

  init(_ engine: Engine, _ loop: NetworkLoop, handle: UnsafeMutableRawPointer, _ work: Schedule.Work) {
    self.engine = engine
    self.loop = loop
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
    patience = (file.patience ?? engine.request.stallSeconds, engine.request.stallSeconds)
    isDecoding = file.decodes
  }

  /// Sets what differs from request to request.
  func configure(address: String) {
    ccurl_easy_setopt_string(handle, CURLOPT_URL, address)
    if let asked { ccurl_easy_setopt_string(handle, CURLOPT_RANGE, "\(asked.lowerBound)-\(asked.upperBound - 1)") } else { ccurl_easy_setopt_string(handle, CURLOPT_RANGE, nil) }
    EasyHandle.decode(handle, isDecoding)
    attach(to: handle)
  }

  override func alone(_ body: () -> Void) { engine.lock.hold(body) }

  override func headCame() { lastByte = steadySeconds() }

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
    if position == 0, ending == nil { beginning = FirstBytes(of: file.request.path, isOptional: file.request.isOptional) }
  }

  /// Whether it brings a small file, of which nobody has anything yet. What is to be kept if it is wrong goes to the disk as it comes.
  private var holdsAll: Bool { file.isSmall && block?.offset == 0 && published == 0 && skipUntil == 0 && slow == nil && file.connections.count <= 1 && !engine.request.keepsCorrupt }

  // MARK: Bytes

  /// - Returns: `bytes.count`, or something else to end the request or to have it wait.
  override func take(_ bytes: UnsafeRawBufferPointer) -> Int { engine.lock.hold { receive(bytes) } }

  private func receive(_ bytes: UnsafeRawBufferPointer) -> Int {
    judge()
    lastByte = steadySeconds()
    if ending != nil {
      count(bytes.count)
      keepExcerpt(bytes)
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
    beginning?.take(bytes)
    if let impostor {
      ending = .judged(impostor)
      return -1
    }
    position += skipped
    published = max(published, skipped > 0 ? position : 0)
    store(wanted, next)
    guard skipped + wanted.count == bytes.count else {
      ending = ending ?? .reachedLimit
      return -1
    }
    return bytes.count
  }

  private func count(_ bytes: Int) {
    received += bytes
    engine.limiter?.take(bytes)
    engine.tuner.count(bytes)
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
    let room = min(block.room, bytes.count)
    engine.lock.open {
      block.copy(UnsafeRawBufferPointer(rebasing: bytes[..<room]))
      next?.copy(UnsafeRawBufferPointer(rebasing: bytes[room...]))
    }
    // Meanwhile another thread may have ended this request, or its piece.
    guard ending == nil else { return }
    let kept = min(bytes.count, limit - position)
    advance(block, min(room, kept))
    guard block.room == 0 else { return }
    // What begins with so much space is none of what is looked for.
    beginning?.end(isEntire: false)
    publish(isClosed: true)
    guard let next, room < kept else { return }
    advance(next, kept - room)
    self.block = next
  }

  private func advance(_ block: Block, _ count: Int) {
    block.grow(by: count)
    position += count
    gained += count
  }

  /// Says that what came is the file's.
  func publish(isClosed: Bool = false) {
    // Until it is known not to be something else, it isn't.
    guard let block, beginning == nil || beginning?.verdict == .file else { return }
    // A small file that comes at once does so in one piece.
    if !isClosed, holdsAll, steadySeconds() - startedAt < 1 { return }
    if position > published || isClosed {
      engine.openLanding(file)
      engine.landing.publish(block, of: file.index, count: block.count, isClosed: isClosed, isKept: !isDirectory || engine.keepsDirectory(of: file))
      file.arrive(published..<position)
      published = position
    }
    if isClosed { self.block = nil }
  }

  /// Takes account of that bytes may come again.
  func isResumed() {
    isPaused = false
    lastByte = steadySeconds()
    watched = (lastByte, received)
  }

  /// What came in the file's place, if anything did.
  private var impostor: Judgement? {
    switch beginning?.verdict {
    case .page: .html
    case .other(let words): .notTheFile(words)
    case .file, nil: nil
    }
  }

  /// Takes account of what came, now that no more will.
  /// - Parameter isComplete: whether the answer ended as it should.
  func end(isComplete: Bool) {
    switch ending {
    case nil, .reachedLimit, .stalled, .overtaken: break
    case .judged, .superseded:
      block = nil
      return
    }
    // A few bytes of a broken answer don't tell what they are of; they come again.
    if isComplete { beginning?.end(isEntire: limit == .max || position == file.length) }
    if let impostor {
      ending = .judged(impostor)
      block = nil
    } else if beginning == nil || beginning?.verdict == .file {
      if isComplete, holdsAll, position == file.length, let block, block.count == position {
        file.content = Array(block[0..<position])
        file.arrive(0..<position)
        (published, self.block) = (position, nil)
      } else { publish(isClosed: true) }
    } else {
      block = nil
    }
  }
}
