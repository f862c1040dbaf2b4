/// Hashes a stretch of a file that drover wrote, whose bytes come from the first to the last.
final class ContentHasher {
  private let stretch: ContentStretch
  private(set) var outcome = ContentStretch.Outcome()
  /// The segment begun, and how many of its bytes were taken.
  private var segment = 0
  private var taken = 0
  private var region: RegionHasher?
  private var heads: HeadOrder?

  init(_ stretch: ContentStretch) {
    self.stretch = stretch
    begin()
  }

  /// Takes the bytes that follow.
  func update(_ bytes: UnsafeRawBufferPointer, _ leaves: inout LeafHasher) {
    var rest = bytes
    while !rest.isEmpty, segment < stretch.segments.count {
      let current = stretch.segments[segment]
      let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(current.bytes.count - taken))
      rest = UnsafeRawBufferPointer(rebasing: rest[piece.count...])
      take(piece, current.part, &leaves)
      taken += piece.count
      if taken == current.bytes.count { end(current.part) }
    }
  }

  private func take(_ bytes: UnsafeRawBufferPointer, _ part: ContentStretch.Part?, _ leaves: inout LeafHasher) {
    if part == nil {
      if stretch.hasAllGaps { outcome.rest.update(bytes) } else { outcome.gaps += bytes }
    } else if heads != nil {
      heads?.take(bytes) { region?.update($0, &leaves) }
    } else {
      region?.update(bytes, &leaves)
    }
  }

  private func begin() {
    taken = 0
    guard segment < stretch.segments.count, let part = stretch.segments[segment].part else { return }
    region = RegionHasher(part.region)
    heads = part.headDim.map { HeadOrder(headDim: $0, rowBytes: part.region.storedRowBytes) }
  }

  private func end(_ part: ContentStretch.Part?) {
    if let part, let digests = region?.finalize().digests { outcome.digests.append((part.weight, part.firstDigest, digests)) }
    (region, heads) = (nil, nil)
    segment += 1
    begin()
  }
}
