import Checkpoint
import Integrity
import Platform
import SystemPackage
import Transfer

/// A file of weights on its way from a server to a plan that is carried out meanwhile. Its headers are fetched beforehand; every other byte is in memory from
/// when it comes until the plan has read it, and nowhere else.
///
/// The bytes that the plan was made from were fetched on their own, so they are held against those that pass, which are the ones that the publisher's
/// digest is of.
final class ArrivingFile: ByteSource, PassingContent {
  fileprivate enum Stage {
    /// Headers are read, each by a request of its own.
    case headers
    case arriving
    /// Everything has come, and some of it may still be read; with what is wrong with it, or with the others that came.
    case passed(CheckpointError?)
    /// No more comes, and why; what has come may still be read.
    case cutShort(CheckpointError)
    case failed(CheckpointError)
  }

  fileprivate struct State {
    var stage = Stage.headers
    var window = 0
    /// No byte before this one will be read any more.
    var released = 0
    /// Bytes that came, read or not; those of earlier runs too.
    var taken = 0
    /// What came and may still be read; ascending.
    var pieces: [PassingBytes] = []
    /// What was fetched beforehand, by where it begins.
    var known: [(start: Int, bytes: [UInt8])] = []
    /// What is held against what was concluded beforehand, when all has passed.
    var kept: [(range: Range<Int>, bytes: [UInt8])] = []
    /// Where its hash was: the last place that isn't behind `released`, and those after it.
    var points: [ChainPoint] = []
    var more: (@Sendable () -> Void)?
    /// The window's end when that was last called.
    var told = 0
    var isWanted: (@Sendable () -> Void)?
  }

  let path: FilePath
  let count: Int
  private let headers: RemoteHeaders
  private let state = Monitor(State())

  var isHere: Bool { false }
  var isArriving: Bool { true }

  /// - Parameters:
  ///   - source: where headers come from.
  ///   - path: what messages call the file.
  init(_ source: any RangeSource, path: FilePath) throws(CheckpointError) {
    self.path = path
    headers = try RemoteHeaders(source, path: path)
    count = headers.count
  }

  /// A digest of the headers that were fetched: of all that the plan was made from.
  var headerDigest: Digest {
    var hash = SHA256()
    for (start, bytes) in headers.fetched.sorted(by: { $0.start < $1.start }) {
      hash.update(Array("\(start) \(bytes.count)\n".utf8))
      hash.update(bytes)
    }
    return hash.finalize()
  }

  /// From now on bytes are those that pass.
  /// - Parameters:
  ///   - start: the first byte that will be read.
  ///   - point: where an earlier run had come to; not behind `start`.
  ///   - kept: what that run had of what is held against the plan in the end.
  ///   - isWanted: called when the first byte is waited for.
  func arrive(from start: Int, window: Int, after point: ChainPoint?, kept: [UInt8], isWanted: @escaping @Sendable () -> Void) throws(CheckpointError) {
    let stretches = try PassingHeaders.stretches(of: self)
    let known = headers.fetched
    state.update { state in
      state = State(
        stage: .arriving, window: window, released: start, taken: point?.position ?? 0, known: known, points: point.map { [$0] } ?? [], isWanted: isWanted)
      var rest = kept[...]
      for range in stretches {
        let bytes = rest.prefix(range.count)
        rest = rest.dropFirst(range.count)
        state.kept.append((range: range, bytes: Array(bytes) + [UInt8](repeating: 0, count: range.count - bytes.count)))
      }
    }
  }

  /// What another run needs to go on with it: where its hash was when no byte before that was needed any more, and what came of `kept`.
  /// - Parameter start: the first byte that is needed, where more is done than was let go of.
  func passed(to start: Int? = nil) -> (point: ChainPoint?, kept: [UInt8]) {
    state.peek { state in
      state.tidy()
      let end = max(state.released, start ?? 0)
      return (state.points.last { $0.position <= end }, state.kept.flatMap(\.bytes))
    }
  }

  /// Whether all of it has come.
  var isWhole: Bool { state.peek { $0.taken == count } }

  /// All has passed and is right, or something went wrong.
  func end(_ error: CheckpointError?) {
    state.update { state in
      switch state.stage {
      case .failed, .cutShort: return
      case .headers, .arriving, .passed: break
      }
      if state.taken == count {
        state.stage = .passed(error)
      } else if let error {
        state.stage = .cutShort(error)
      } else {
        state.stage = .failed(CheckpointError(.corrupt, in: path, "has \(state.taken) bytes now, and had \(count) when its headers were read: it changes on the server"))
      }
    }
  }

  /// What went wrong with the bytes that passed, as far as that shows before their digest does.
  var failure: CheckpointError? { state.peek { if case .failed(let error) = $0.stage { error } else { nil } } }

  // MARK: ByteSource

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(CheckpointError) {
    let range = offset..<offset + buffer.count
    guard range.upperBound <= count else { throw CheckpointError(.corrupt, in: path, byte: offset, "ends at byte \(count): it is cut off or damaged") }
    switch state.wait({ Self.look(&$0, range) }) {
    case .headers: try headers.read(into: buffer, at: offset)
    case .bytes(let bytes): buffer.copyBytes(from: bytes)
    case .failed(let error): throw error
    case .pieces(let pieces):
      for piece in pieces {
        let common = range.clamped(to: piece.range)
        piece.withBytes(common) { UnsafeMutableRawBufferPointer(rebasing: buffer[common.lowerBound - offset..<common.upperBound - offset]).copyMemory(from: $0) }
      }
    }
  }

  private enum Look {
    case headers
    case bytes(ArraySlice<UInt8>)
    case pieces(ArraySlice<PassingBytes>)
    case failed(CheckpointError)
  }

  /// - Returns: nil as long as not all of `range` is here.
  private static func look(_ state: inout State, _ range: Range<Int>) -> Look? {
    switch state.stage {
    case .headers: return .headers
    case .failed(let error): return .failed(error)
    case .arriving, .passed, .cutShort:
      state.isWanted?()
      state.isWanted = nil
      let first = state.index(range.lowerBound)
      var (next, end) = (first, range.lowerBound)
      while end < range.upperBound, next < state.pieces.count, state.pieces[next].range.lowerBound <= end {
        end = max(end, state.pieces[next].range.upperBound)
        next += 1
      }
      if end >= range.upperBound { return .pieces(state.pieces[first..<next]) }
      switch state.stage {
      case .passed: break
      case .cutShort(let error): return .failed(error)
      case .headers, .arriving, .failed: return nil
      }
      guard let kept = state.kept.first(where: { $0.range.lowerBound <= range.lowerBound && range.upperBound <= $0.range.upperBound }) else { return .headers }
      return .bytes(kept.bytes[range.lowerBound - kept.range.lowerBound..<range.upperBound - kept.range.lowerBound])
    }
  }

  /// Waits until it is known whether what passed is right.
  func checkUnchanged() throws(CheckpointError) {
    let error = state.wait { state -> CheckpointError?? in
      state.isWanted?()
      state.isWanted = nil
      return switch state.stage {
      case .failed(let error), .cutShort(let error): .some(error)
      case .passed(let error): .some(error)
      case .headers, .arriving: nil
      }
    }
    if let error { throw error }
    do throws(CheckpointError) { try PassingHeaders.confirm(self) } catch {
      state.update { $0.stage = .failed(error) }
      throw error
    }
  }

  // MARK: PassingContent

  var length: Int? { count }
  var window: Int { state.peek { $0.window } }
  var windowEnd: Int { state.peek { $0.windowEnd } }
  var beginning: ChainPoint? { state.peek { $0.points.first } }

  func begin(_ more: @escaping @Sendable () -> Void) { state.peek { $0.more = more } }

  func take(_ bytes: PassingBytes) {
    state.update { state in
      guard case .arriving = state.stage else { return }
      state.taken += bytes.range.count
      for (start, known) in state.known {
        let common = bytes.range.clamped(to: start..<start + known.count)
        guard !common.isEmpty, !bytes.withBytes(common, { $0.elementsEqual(known[common.lowerBound - start..<common.upperBound - start]) }) else { continue }
        state.stage = .failed(CheckpointError(.corrupt, in: path, byte: common.lowerBound, "isn't what it was when its headers were read: it changes on the server"))
        return
      }
      for index in state.kept.indices {
        let (range, common) = (state.kept[index].range, bytes.range.clamped(to: state.kept[index].range))
        if !common.isEmpty { bytes.withBytes(common) { state.kept[index].bytes.replaceSubrange(common.lowerBound - range.lowerBound..<common.upperBound - range.lowerBound, with: $0) } }
      }
      if bytes.range.upperBound > state.released { state.pieces.insert(bytes, at: state.index(bytes.range.lowerBound)) }
    }
  }

  /// Places closer to each other aren't worth a hash in memory.
  private static let leastApart = 256 << 10

  func hashed(_ point: ChainPoint) {
    state.peek { state in
      guard case .arriving = state.stage, point.isComplete || point.position >= (state.points.last?.position ?? 0) + Self.leastApart else { return }
      state.points.append(point)
      state.tidy()
    }
  }

  /// Less isn't worth a request.
  private static let leastTold = 512 << 10

  /// Lets go of all bytes before `start`.
  func release(to start: Int) {
    let more = state.peek { state -> (@Sendable () -> Void)? in
      state.released = max(state.released, start)
      state.pieces.removeSubrange(..<state.index(state.released))
      state.tidy()
      guard state.windowEnd >= state.told + Self.leastTold || state.released == count else { return nil }
      state.told = state.windowEnd
      return state.more
    }
    more?()
  }
}

extension ArrivingFile.State {
  fileprivate var windowEnd: Int { released + window }

  /// Forgets places before the last that isn't behind `released`.
  fileprivate mutating func tidy() {
    let passed = points.firstIndex { $0.position > released } ?? points.count
    if passed > 1 { points.removeFirst(passed - 1) }
  }

  /// The first piece that ends behind `offset`.
  fileprivate func index(_ offset: Int) -> Int {
    var (low, high) = (0, pieces.count)
    while low < high {
      let middle = (low + high) / 2
      if pieces[middle].range.upperBound > offset { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
