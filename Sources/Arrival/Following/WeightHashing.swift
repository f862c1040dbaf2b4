import Checkpoint
import Integrity
import Transfer

/// The hashes of a shard's weights, fed with the file's bytes in their order.
struct WeightHashing: ~Copyable {
  private enum Progress {
    case untouched
    /// - Parameter heads: what its bytes go through before they are hashed, where its heads' rows lie in halves.
    case open(RegionHasher, heads: HeadOrder?)
    case done(RegionDigests)

    var isDone: Bool { if case .done = self { true } else { false } }
  }

  /// By their places in the file.
  private let weights: [ShardWeight]
  private var progress: [Progress]
  /// The first weight that isn't done.
  private var first = 0
  private var leaves = LeafHasher()

  /// - Parameter weights: by their places in the file.
  init(_ weights: [ShardWeight]) {
    self.weights = weights
    progress = [Progress](repeating: .untouched, count: weights.count)
  }

  /// Goes on from what was kept, having read again what its open bands had of the file up to `offset`: at most a band for each weight that was open, and a
  /// head or two where heads' rows lie in halves.
  /// - Returns: nil when the state is no good, or the bytes aren't here.
  init?(resuming state: FollowerState, at offset: Int, of file: any FollowedFile) {
    weights = state.weights.map(\.weight)
    progress = []
    for (weight, hash) in state.weights {
      switch hash {
      case .done(let digests): progress.append(.done(digests))
      case .untouched:
        // One that the file has come to must have a hash.
        guard weight.offset >= offset else { return nil }
        progress.append(.untouched)
      case .open(let folder, let byteCount):
        guard weight.offset + byteCount <= offset, var hasher = RegionHasher(weight.region, state: folder, byteCount: byteCount) else { return nil }
        var heads = weight.headOrder
        // The band begins within a head, whose rows lie all over it in the file.
        let start = heads.map { byteCount / $0.headBytes * $0.headBytes } ?? byteCount
        let range = weight.offset + start..<max(weight.offset + start, min(offset, weight.bytes.upperBound))
        guard byteCount == start || range.count >= heads?.headBytes ?? 0 else { return nil }
        if !range.isEmpty {
          guard let bytes = file.bytes(in: range) else { return nil }
          bytes.withUnsafeBytes { Self.feed(&hasher, &heads, $0, &leaves, without: byteCount - start) }
        }
        progress.append(.open(hasher, heads: heads))
      }
    }
    skipDone()
  }

  /// Takes the bytes that follow.
  /// - Parameter offset: their place in the file.
  mutating func take(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    let range = offset..<offset + bytes.count
    // Tensors may share bytes: all that begin before the end are looked at.
    var index = first
    while index < weights.count, weights[index].offset < range.upperBound {
      let common = weights[index].bytes.clamped(to: range)
      if !common.isEmpty, !progress[index].isDone {
        update(index, UnsafeRawBufferPointer(rebasing: bytes[common.lowerBound - offset..<common.upperBound - offset]))
      }
      index += 1
    }
    skipDone()
  }

  private mutating func update(_ index: Int, _ bytes: UnsafeRawBufferPointer) {
    var (hasher, heads): (RegionHasher, HeadOrder?)
    if case .open(let begun, let order) = progress[index] { (hasher, heads) = (begun, order) } else {
      (hasher, heads) = (RegionHasher(weights[index].region), weights[index].headOrder)
    }
    // Held in one place only, its arrays grow in place.
    progress[index] = .untouched
    Self.feed(&hasher, &heads, bytes, &leaves)
    progress[index] = hasher.isComplete ? .done(hasher.finalize()) : .open(hasher, heads: heads)
  }

  /// Hashes the bytes of a weight that follow, in Meta's order.
  /// - Parameter seen: of the first head, bytes in Meta's order that were hashed before.
  private static func feed(
    _ hasher: inout RegionHasher, _ heads: inout HeadOrder?, _ bytes: UnsafeRawBufferPointer, _ leaves: inout LeafHasher, without seen: Int = 0
  ) {
    guard heads != nil else { return hasher.update(bytes, &leaves) }
    var seen = seen
    heads?.take(bytes) { head in
      hasher.update(UnsafeRawBufferPointer(rebasing: head[seen...]), &leaves)
      seen = 0
    }
  }

  private mutating func skipDone() {
    while first < weights.count, progress[first].isDone { first += 1 }
  }

  var state: FollowerState {
    FollowerState(
      zip(weights, progress).map { weight, progress in
        switch progress {
        case .untouched: (weight, .untouched)
        case .open(let hasher, _): (weight, .open(hasher.state, byteCount: hasher.savedBytes))
        case .done(let digests): (weight, .done(digests))
        }
      })
  }

  /// nil as long as a weight isn't done.
  var result: [(weight: ShardWeight, digests: RegionDigests)]? {
    guard first == weights.count else { return nil }
    return zip(weights, progress).compactMap { weight, progress in
      if case .done(let digests) = progress { (weight, digests) } else { nil }
    }
  }
}
