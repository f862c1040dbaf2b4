import Synchronization

/// How a plan reads files that come side by side: which bytes of each it still needs after so many of its pieces of work, and how much of a file has to be in
/// memory at one time for that. Found out before a byte comes.
public struct ReadingSchedule: Sendable {
  /// From a piece of work on, up to the next mark, no byte before `start` is needed.
  fileprivate struct Mark {
    let chunk: Int
    let start: Int
  }

  /// By file.
  fileprivate let marks: [[Mark]]
  /// Bytes of each file that must be in memory at one time, from the first that is needed.
  public let reach: [Int]
  /// By file.
  fileprivate let lengths: [Int]

  /// - Parameters:
  ///   - tensors: in the order in which they are read.
  ///   - done: what was done before, by tensor.
  init(_ tensors: [TensorPlan], _ files: [any ByteSource], _ done: [String: [PlanProgress.Unit]] = [:]) {
    var needs = [[(chunk: Int, range: Range<Int>)]](repeating: [], count: files.count)
    var number = 0
    for tensor in tensors {
      let units = tensor.units(.arrival)
      for work in tensor.work(units, done[tensor.tensor.name.text] ?? []) {
        for (file, range) in tensor.stretches(of: work, units) { needs[file].append((number, range)) }
        number += 1
      }
    }
    var (marks, reach) = ([[Mark]](), [Int]())
    lengths = files.map(\.count)
    for (file, needs) in needs.enumerated() {
      var (own, most, start) = ([Mark](), 0, lengths[file])
      for need in needs.reversed() {
        start = min(start, need.range.lowerBound)
        most = max(most, need.range.upperBound - start)
        own.append(Mark(chunk: need.chunk, start: start))
      }
      marks.append(own.reversed())
      reach.append(most)
    }
    (self.marks, self.reach) = (marks, reach)
  }

  /// Of a plan whose sources arrive. Some hundred thousand pieces of work are looked at for a large model.
  /// - Parameter progress: what was done before.
  public init(_ plan: ReshardPlan, after progress: PlanProgress = PlanProgress()) {
    self.init(PlanExecution.sorted(plan.tensors, .arrival), plan.source.files, progress.byTensor)
  }

  /// The first byte of each file that is needed at all.
  public var starts: [Int] { zip(marks, lengths).map { $0.first?.start ?? $1 } }
}

/// Sources whose bytes come while a plan is carried out, side by side, and aren't kept.
public protocol ArrivingSources: Sendable {
  /// How the plan reads them.
  var schedule: ReadingSchedule { get }

  /// Whether no more bytes come: what is here can be read, and all else is an error.
  var haveEnded: Bool { get }

  /// No byte of a file before `start` will be read any more.
  func release(_ file: Int, to start: Int)

  /// The plan can't be carried out: who waits for bytes waits in vain.
  func giveUp()
}

/// Tells sources that arrive which bytes aren't needed any more.
final class ReadingProgress: Sendable {
  private struct State {
    /// Pieces of work that are done, but for `prefix`: all before that are.
    var done: Set<Int> = []
    var prefix = 0
    /// By file: the mark that holds.
    var marks: [Int]
  }

  private let schedule: ReadingSchedule
  private let sources: any ArrivingSources
  private let state: Mutex<State>

  init(_ sources: any ArrivingSources) {
    (schedule, self.sources) = (sources.schedule, sources)
    state = Mutex(State(marks: [Int](repeating: 0, count: schedule.marks.count)))
  }

  /// Takes account of a piece of work that is done.
  func finish(_ chunk: Int) {
    state.withLock { state in
      state.done.insert(chunk)
      guard chunk == state.prefix else { return }
      while state.done.remove(state.prefix) != nil { state.prefix += 1 }
      for (file, marks) in schedule.marks.enumerated() {
        let before = state.marks[file]
        while state.marks[file] < marks.count, marks[state.marks[file]].chunk < state.prefix { state.marks[file] += 1 }
        let mark = state.marks[file]
        if mark != before { sources.release(file, to: mark < marks.count ? marks[mark].start : schedule.lengths[file]) }
      }
    }
  }

  var haveEnded: Bool { sources.haveEnded }

  func giveUp() { sources.giveUp() }
}
