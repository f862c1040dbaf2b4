/// A stretch of a file that drover wrote: weights, or parts of them, and the gaps between.
struct ContentStretch: Sendable {
  /// Bytes that a stretch should have at least: large against what it costs to begin one.
  private static let leastBytes = 16 << 20
  /// Where the gaps of a file are larger altogether, they are hashed as they come, and so the file is one stretch.
  private static let mostGapBytes = 16 << 20

  /// A part of a weight: some of its rows, whose digests are those of nodes of the tensor's grid.
  struct Part: Sendable {
    /// Index of the weight in the file's list.
    let weight: Int
    let region: GridRegion
    let headDim: Int?
    /// The place of the first node's digest among those of the weight.
    let firstDigest: Int
  }

  struct Segment: Sendable {
    let bytes: Range<Int>
    /// nil for a gap.
    let part: Part?
  }

  /// One after another, without gaps between them.
  let segments: [Segment]
  /// Whether all of the file's gaps are in it, so that the digest of the rest can be computed at once.
  let hasAllGaps: Bool

  var bytes: Range<Int> { (segments.first?.bytes.lowerBound ?? 0)..<(segments.last?.bytes.upperBound ?? 0) }

  struct Outcome: Sendable {
    /// By weight: digests of nodes and the place of the first among those of the weight.
    var digests: [(weight: Int, first: Int, digests: [Digest])] = []
    /// The bytes of the gaps, or their hash where all are here.
    var gaps: [UInt8] = []
    var rest = SHA256()
  }

  /// Cuts a file of `length` bytes where nodes begin.
  /// - Parameter whole: not to be cut at all.
  static func stretches(of content: Receipt.Content, length: Int, whole: Bool = false) -> [ContentStretch] {
    let gaps = content.gaps(ofFile: length)
    let parts = content.weights.enumerated().flatMap { index, weight in Self.parts(of: weight, index) }
    let segments = (parts + gaps.map { Segment(bytes: $0, part: nil) }).sorted { $0.bytes.lowerBound < $1.bytes.lowerBound }
    if whole || gaps.reduce(0, { $0 + $1.count }) > mostGapBytes { return [ContentStretch(segments: segments, hasAllGaps: true)] }
    var groups: [[Segment]] = [[]]
    var size = 0
    for segment in segments {
      if size >= leastBytes {
        groups.append([])
        size = 0
      }
      groups[groups.count - 1].append(segment)
      size += segment.bytes.count
    }
    return groups.map { ContentStretch(segments: $0, hasAllGaps: groups.count == 1) }
  }

  /// A weight in runs of rows, each of whole rows of nodes and, where heads lie in halves, of whole heads.
  private static func parts(of weight: WeightProof, _ index: Int) -> [Segment] {
    let (grid, rows) = (weight.grid, weight.rows)
    let across = (weight.columns.upperBound - 1) / grid.nodeColumns - weight.columns.lowerBound / grid.nodeColumns + 1
    let step = leastCommonMultiple(grid.nodeRows, weight.headDim ?? 1)
    let leastRows = max(1, leastBytes / max(1, weight.rowBytes))
    var segments: [Segment] = []
    var start = rows.lowerBound
    while start < rows.upperBound {
      // The first edge that is far enough from the start.
      let end = step < rows.count ? min((start + leastRows + step - 1) / step * step, rows.upperBound) : rows.upperBound
      let region = GridRegion(grid, rows: start..<end, columns: weight.columns, stored: weight.dtype)
      let offset = weight.offset + (start - rows.lowerBound) * weight.rowBytes
      let part = Part(
        weight: index, region: region, headDim: weight.headDim, firstDigest: (start / grid.nodeRows - rows.lowerBound / grid.nodeRows) * across)
      segments.append(Segment(bytes: offset..<offset + (end - start) * weight.rowBytes, part: part))
      start = end
    }
    return segments
  }

  /// `Int.max` where it can't be had.
  private static func leastCommonMultiple(_ a: Int, _ b: Int) -> Int {
    var (x, y) = (a, b)
    while y > 0 { (x, y) = (y, x % y) }
    let product = (a / x).multipliedReportingOverflow(by: b)
    return product.overflow ? .max : product.partialValue
  }
}
