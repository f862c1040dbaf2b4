import Platform

/// Who fetches what: which file, which part of it, over how many connections.
///
/// Parts are given out in the order of the file, so that the hash can follow close behind and what lies scattered stays small. While there are more
/// files than connections each file has one, which takes all the rest of it; a connection that finds nothing left takes the second half of the
/// longest request under way.
struct Segmentation {
  struct Work {
    let file: FileTask
    /// nil for the whole file.
    let range: Range<Int>?
    let isProbe: Bool
    /// The request that gives up what `range` takes.
    var victim: Connection?
  }

  /// Connections wanted now.
  private(set) var connections: Int
  private let isAdaptive: Bool
  /// Bytes received by requests that have ended, for whoever measures.
  var received = 0

  /// First request for a file of unknown length.
  static let probeBytes = 256 << 10
  /// CloudFront refuses answers of 27 GB and more.
  static let mostBytes = 16 << 30
  /// Smaller parts aren't worth a request.
  static let leastBytes = 4 << 20
  static let mostConnections = 32

  private var window = (start: 0.0, bytes: 0)
  private var before: (connections: Int, rate: Double)?
  private var isSettled = false
  /// Bytes a second over the last window.
  private(set) var rate = 0.0
  private var total = 0

  init(given: Int?, isLimited: Bool) {
    isAdaptive = given == nil && !isLimited
    connections = max(1, given ?? (isLimited ? 4 : 8))
  }

  /// Bytes that one call of libcurl may bring; small enough for a rate limit to be smooth.
  func bufferSize(limit: Int?) -> Int { max(1024, min(512 << 10, (limit ?? .max) / 16)) }

  mutating func halve() { connections = max(1, connections / 2); isSettled = true }

  /// The next request to make; nil when there is none to make now.
  func next(_ files: [FileTask], phase: Engine.Phase, now: Double) -> Work? {
    let open = files.filter { $0.stage == .fetching && now >= $0.notBefore }
    for file in open where !file.takesRanges {
      if file.connections.isEmpty, !file.isFullyWritten { return Work(file: file, range: nil, isProbe: false) }
    }
    for file in open where file.takesRanges && (file.length == nil || file.mustBeMet && !file.isMet) && file.connections.isEmpty {
      let start = file.beginning?.size ?? file.written.prefixEnd
      return Work(file: file, range: start..<start + Self.probeBytes, isProbe: true)
    }
    guard phase != .survey else { return nil }
    let candidates = open.filter { $0.takesRanges && $0.length != nil }
    // Nobody follows what an earlier run has begun.
    for file in candidates where file.request.directoryBytes > 0 && file.before == 0 {
      guard let length = file.length, let gap = file.gaps.ranges.last, gap.upperBound == length else { continue }
      return Work(file: file, range: max(gap.lowerBound, length - file.request.directoryBytes)..<length, isProbe: false)
    }
    var best: (file: FileTask, gaps: RangeSet<Int>)?
    for file in candidates {
      // Who has begun goes first, and then in turn.
      if let best, (best.file.connections.count, best.file.written.isEmpty ? 1 : 0) <= (file.connections.count, file.written.isEmpty ? 1 : 0) { continue }
      let gaps = file.gaps
      if !gaps.isEmpty { best = (file, gaps) }
    }
    if let best, let gap = best.gaps.ranges.first {
      let size = candidates.count >= connections ? Self.mostBytes : pieceSize(left: best.gaps.total)
      return Work(file: best.file, range: gap.lowerBound..<min(gap.upperBound, gap.lowerBound + size), isProbe: false)
    }
    return steal(candidates)
  }

  private func pieceSize(left: Int) -> Int {
    // About two seconds of a connection: what lies ahead of the prefix isn't hashed yet. Less towards the end, so that all end together.
    let lasting = Int(min(max(rate / Double(connections) * 2, 8e6), 64e6))
    return max(Self.leastBytes, min(lasting, left / (2 * connections) + 1))
  }

  private func steal(_ files: [FileTask]) -> Work? {
    // Worth a new connection: what its owner would need two seconds for.
    let worth = rate > 0 ? Int(min(max(rate / Double(connections) * 2, 1e6), 1e9)) : 64_000_000
    var victim: Connection?
    for connection in files.flatMap(\.connections) where connection.ending == nil && connection.limit != .max && !connection.isProbe {
      if connection.limit - connection.position > (victim.map { $0.limit - $0.position } ?? worth) { victim = connection }
    }
    guard let victim else { return nil }
    let middle = victim.position + (victim.limit - victim.position) / 2
    return Work(file: victim.file, range: middle..<victim.limit, isProbe: false, victim: victim)
  }

  /// Doubles the connections as long as that helps, and takes the last step back when it doesn't.
  mutating func adapt(now: Double, active: Int) {
    if window.start == 0 { window = (now, total) }
    guard now - window.start >= 0.5 else { return }
    rate = Double(total - window.bytes) / (now - window.start)
    window = (now, total)
    guard isAdaptive, !isSettled, active >= connections, rate > 0 else { return }
    if let before, rate < before.rate * 1.15 {
      connections = before.connections
      isSettled = true
    } else if connections < Self.mostConnections {
      before = (connections, rate)
      connections = min(Self.mostConnections, connections * 2)
    }
  }

  /// Counts bytes from the wire.
  mutating func count(_ bytes: Int) { total += bytes }
}

/// A bucket of bytes that fills with time.
struct RateLimiter {
  private let bytesPerSecond: Double
  private var allowance: Double
  private var filled: Double

  init(bytesPerSecond: Int, now: Double = steadySeconds()) {
    self.bytesPerSecond = Double(max(1, bytesPerSecond))
    allowance = self.bytesPerSecond / 10
    filled = now
  }

  mutating func take(_ bytes: Int) { allowance -= Double(bytes) }

  /// Seconds to wait before the next read.
  mutating func delay(now: Double = steadySeconds()) -> Double {
    // What wasn't used in a tenth of a second is lost: no bursts.
    allowance = min(bytesPerSecond / 10, allowance + (now - filled) * bytesPerSecond)
    filled = now
    return max(0, -allowance / bytesPerSecond)
  }
}
