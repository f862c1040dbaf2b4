/// Who fetches what: which file, which part of it.
///
/// While there are as many files as connections each file has one, which takes all the rest of it. A file with several connections is fetched in pieces, in
/// their order and not far ahead of the first byte that is missing, so that what waits in memory for the file's chain stays little. Where a file waits for
/// one slow connection, its piece is fetched a second time beside it.
struct Schedule {
  struct Work {
    let file: FileTask
    /// nil for the whole file.
    let range: Range<Int>?
    var isProbe = false
    /// Whether it is the file's end, which is fetched before the rest.
    var isDirectory = false
    /// The slow connection whose piece this is too.
    var slow: Connection?
  }

  /// First request for a file of unknown length.
  static let probeBytes = 256 << 10
  /// CloudFront refuses answers of 27 GB and more.
  static let mostBytes = 16 << 30
  /// Smaller pieces aren't worth a request.
  static let leastBytes = 1 << 20
  /// Of all files, from the first byte that is missing to where the last piece may begin.
  static let mostAhead = 56 << 20

  /// Connections wanted.
  let connections: Int
  /// Bytes a second over all of them; 0 when it isn't known.
  let rate: Double
  /// Bytes a second of a connection of this run; nil when too few are known.
  let usualRate: Double?

  /// The next request to make; nil when there is none to make now.
  func next(_ files: [FileTask], phase: Engine.Phase, now: Double) -> Work? {
    let open = files.filter { $0.stage == .fetching && $0.held == nil && now >= $0.notBefore }
    for file in open where !file.takesRanges && (phase != .survey || file.length == nil) {
      if file.connections.isEmpty, !file.isFullyArrived { return Work(file: file, range: nil) }
    }
    for file in open where file.takesRanges && (file.length == nil || file.mustBeMet && !file.isMet) && file.connections.isEmpty {
      let start = file.beginning?.position ?? file.prefixEnd
      return Work(file: file, range: start..<start + Self.probeBytes, isProbe: true)
    }
    guard phase != .survey else { return nil }
    let candidates = open.filter { $0.takesRanges && $0.length != nil }
    return directory(candidates) ?? piece(candidates) ?? pieceOfLongRequest(candidates) ?? secondRequest(candidates, now)
  }

  /// The end of a file of which nothing was here before: what follows the file needs its directory first.
  private func directory(_ files: [FileTask]) -> Work? {
    for file in files where file.request.directoryBytes > 0 && file.before == 0 {
      guard let length = file.length, let gap = file.unasked.ranges.last, gap.upperBound == length else { continue }
      let start = max(gap.lowerBound, length - file.request.directoryBytes)
      if !file.arrived.contains(length - 1) { return Work(file: file, range: start..<length, isDirectory: true) }
    }
    return nil
  }

  private func piece(_ files: [FileTask]) -> Work? {
    let waiting = files.filter { mayCome($0) > 0 }
    let shared = max(1, files.count { $0.connections.count > 1 })
    let most = Self.mostAhead / shared
    func rank(_ file: FileTask) -> (Int, Int) { (file.connections.count, file.arrived.isEmpty ? 1 : 0) }
    var best: FileTask?
    for file in waiting {
      // Who has fewest connections goes first, among those who has begun, and then in turn.
      if let best, rank(best) <= rank(file) { continue }
      guard let gap = file.unasked.ranges.first, file.connections.isEmpty || gap.lowerBound - file.prefixEnd < most else { continue }
      best = file
    }
    guard let best, let gap = best.unasked.ranges.first else { return nil }
    let bytes = best.connections.isEmpty && files.count >= connections ? Self.mostBytes : pieceBytes(left: best.unasked.total, most: most, files: files.count)
    return Work(file: best, range: gap.lowerBound..<min(gap.upperBound, gap.lowerBound + min(bytes, mayCome(best))))
  }

  /// Bytes that may be asked for now from the first on that isn't.
  private func mayCome(_ file: FileTask) -> Int {
    guard let gap = file.unasked.ranges.first else { return 0 }
    let bytes = min(gap.upperBound, file.part.askableEnd) - gap.lowerBound
    return bytes >= min(gap.count, PassingLimits.leastRequest) ? bytes : 0
  }

  /// - Parameters:
  ///   - left: of the file.
  ///   - most: that may be ahead of its first missing byte.
  private func pieceBytes(left: Int, most: Int, files: Int) -> Int {
    let sharing = max(2, (connections + files - 1) / max(1, files))
    // About two seconds of a connection, and less towards the end, so that all end together.
    let lasting = Int(min(max(rate / Double(connections) * 2, 8e6), 64e6))
    return max(Self.leastBytes, min(lasting, most / sharing, left / (2 * sharing) + 1))
  }

  /// Everything is asked for and a connection is free: the longest request under way is ended after a piece, and the rest is fetched in pieces.
  private func pieceOfLongRequest(_ files: [FileTask]) -> Work? {
    // Worth a new connection: what its owner would need two seconds for.
    let worth = rate > 0 ? Int(min(max(rate / Double(connections) * 2, 4e6), 1e9)) : 64_000_000
    let long = files.flatMap(\.connections).filter { $0.isCuttable && $0.limit - $0.position > worth }.max { $0.limit - $0.position < $1.limit - $1.position }
    guard let long, let file = files.first(where: { $0 === long.file }) else { return nil }
    let rest = long.limit - long.position
    long.cut(after: min(rest / 2, pieceBytes(left: rest, most: Self.mostAhead, files: 1)))
    return piece([file])
  }

  /// The piece that a file waits for, where it comes too slowly for this run: by the time that the rest of it takes, another connection would long have brought it.
  private func secondRequest(_ files: [FileTask], _ now: Double) -> Work? {
    guard let usualRate, usualRate > 0 else { return nil }
    for file in files {
      guard let head = file.connections.first(where: { $0.isDoublable && $0.published == file.prefixEnd }), let rate = head.rate else { continue }
      let rest = Double(head.limit - head.position)
      if rest > 0, rest > rate * (2 + 4 * rest / usualRate) { return Work(file: file, range: head.position..<head.limit, slow: head) }
    }
    return nil
  }
}
