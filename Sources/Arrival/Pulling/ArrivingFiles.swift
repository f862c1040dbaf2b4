import Checkpoint
import Integrity
import Platform
import SystemPackage
import Transfer

/// The files of weights of one pull while their bytes pass: what the download brings, the plan takes.
final class ArrivingFiles: ArrivingSources {
  private struct State {
    var isWanted = false
    /// Whether the plan has come to its end, or can't be carried out.
    var isOver = false
    var download: MirroredDownload?
    var report: TransferReport?
  }

  let schedule: ReadingSchedule
  /// Of the checkpoint's files those that arrive, by index.
  private let files: [Int: ArrivingFile]
  private let state = Monitor(State())

  /// Bytes of all files together that may be in memory.
  static let memory = 80 << 20
  /// No more than this, whatever order the weights lie in.
  private static let mostMemory = 1 << 30

  /// - Parameter before: what earlier runs had of the files, by index.
  init(_ plan: ReshardPlan, _ schedule: ReadingSchedule, after before: [Int: PullJournal.Source]) throws(CheckpointError) {
    self.schedule = schedule
    files = plan.arriving
    let (state, windows) = (state, try Self.windows(plan, schedule))
    for (index, file) in files {
      let start = schedule.starts[index]
      // Where something was lost behind the place that the hash had come to, it goes back.
      let (point, kept) = (before[index]?.point?.back(to: start), before[index].map { [UInt8]($0.kept) } ?? [])
      try file.arrive(from: start, window: windows[index] ?? 0, after: point, kept: kept) {
        state.update { $0.isWanted = true }
      }
    }
  }

  /// Bytes of each file that arrives, by index, that may be in memory: what the plan needs at one time, and an equal share of the rest.
  /// - Throws: `.unsupported` where weights lie in such an order that too much of them would have to wait in memory.
  static func windows(_ plan: ReshardPlan, _ schedule: ReadingSchedule) throws(CheckpointError) -> [Int: Int] {
    var windows: [Int: Int] = [:]
    for (index, file) in plan.source.files.enumerated() where file.isArriving { windows[index] = schedule.reach[index] + PassingLimits.leastRequest }
    let sum = windows.values.reduce(0, +)
    guard sum <= mostMemory else {
      throw CheckpointError(
        .unsupported, in: plan.source.files.first?.path,
        "has its weights in an order in which \(sum) bytes of them would have to wait in memory; `drover download` the model, and `drover reshard` what came")
    }
    let spare = max(0, memory - sum) / max(1, windows.count)
    return Dictionary(uniqueKeysWithValues: windows.map { ($0, min($1 + spare, plan.source.files[$0].count)) })
  }

  // MARK: What the download says

  /// Waits until the plan waits for bytes.
  /// - Returns: false when it has ended before.
  func waitUntilWanted() -> Bool { state.wait { $0.isWanted || $0.isOver ? !$0.isOver : nil } }

  /// It begins now.
  func begin(_ download: MirroredDownload) {
    let isOver = state.update { state in
      state.download = download
      return state.isOver
    }
    if isOver { download.cancel() }
  }

  /// It has ended.
  /// - Parameter error: why not all came, or not all of it is right.
  func end(_ report: TransferReport, _ error: TransferError?) {
    state.update { $0.report = report }
    for file in files.values { file.end(error.map { CheckpointError(.io, in: file.path, "\($0)", cause: $0) }) }
  }

  /// What came, with its publisher's digests; empty before all has come.
  var report: TransferReport { state.peek { $0.report ?? TransferReport() } }

  /// What shows in the bytes themselves that a file isn't the one that the plan was made for.
  var change: CheckpointError? { files.values.lazy.compactMap(\.failure).first { $0.reason == .corrupt } }

  /// Files of which nothing that came is of use.
  /// - Parameter failure: how the download ended.
  func bad(_ failure: TransferError?) -> Set<Int> {
    let right = Set(report.files.map(\.path))
    let bad = files.filter { _, file in
      if file.failure?.reason == .corrupt { return true }
      return switch failure {
      // Others may have come to their ends meanwhile.
      case .mismatch?, .otherBlob?: file.isWhole && !right.contains(file.path.string)
      case .changed(let path, _)?: path == file.path.string
      default: false
      }
    }
    return Set(bad.keys)
  }

  // MARK: What the plan says

  /// It has ended.
  func planEnded() { state.update { $0.isOver = true } }

  var haveEnded: Bool { state.peek { $0.report != nil } }

  func release(_ file: Int, to start: Int) { files[file]?.release(to: start) }

  func giveUp() {
    let download = state.update { state in
      state.isOver = true
      return state.download
    }
    download?.cancel()
    for file in files.values { file.end(CheckpointError(.cancelled, in: file.path, "isn't waited for any more")) }
  }
}

extension ReshardPlan {
  /// Of its sources the files that arrive, by index.
  var arriving: [Int: ArrivingFile] {
    Dictionary(source.files.enumerated().compactMap { index, file in (file as? ArrivingFile).map { (index, $0) } }) { first, _ in first }
  }
}
