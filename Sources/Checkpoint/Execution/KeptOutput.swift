import Integrity
import Platform
import Synchronization
import SystemPackage

/// An output that is made over several runs: what one has written stays in the work folder, and the next goes on with it, as far as it is still what a
/// journal says. The journal itself is somebody else's.
public final class KeptOutput: Sendable {
  private struct State {
    var execution: PlanExecution?
    var hasNames = false
  }

  public let plan: ReshardPlan
  /// What an earlier run has done, and is right.
  public let before: PlanProgress
  /// How the rest is read.
  public let schedule: ReadingSchedule
  private let options: ReshardPlan.WriteOptions
  private let folder: OutputFolder
  private let outputs: [OpenOutput]
  private let state = Mutex(State())

  /// Makes the folder, or opens it.
  ///
  /// - Parameters:
  ///   - earlier: what a journal says is done; nil where nothing is kept.
  ///   - isInDoubt: whether somebody may have touched a file since a journal, by what it is now, what it was then, and its length.
  ///   - note: told, in sentences, what a person should know.
  ///   - isCancelled: asked now and then.
  package init(
    _ plan: ReshardPlan, at destination: FilePath, _ options: ReshardPlan.WriteOptions, after earlier: PlanProgress?,
    isInDoubt: (_ now: FileStamp, _ then: FileStamp, _ length: Int) -> Bool, note: (String) -> Void, isCancelled: @escaping @Sendable () -> Bool
  ) throws(CheckpointError) {
    (self.plan, self.options) = (plan, options)
    let folder = try OutputFolder(
      destination, earlier == nil ? .anew : .resumed, replacing: options.replacing, source: [], bytes: plan.byteCount, note: note)
    self.folder = folder
    do throws(CheckpointError) {
      var outputs: [OpenOutput] = []
      folder.remove(allBut: Set(plan.files.map(\.name)))
      for file in plan.files { outputs.append(try OpenOutput(file, folder, keeps: true, digests: [], progress: FileProgress { _ in })) }
      self.outputs = outputs
      before = earlier.map { earlier in
        Self.right(earlier, plan, outputs, options, isInDoubt: isInDoubt, note: note, isCancelled: isCancelled)
      } ?? PlanProgress()
      if isCancelled() { throw CheckpointError(.cancelled, "stopped before the end") }
    } catch {
      throw earlier == nil ? folder.discard(because: error) : error
    }
    for unit in before.units { for sum in unit.sums { outputs[sum.file].checksums.add(sum.sum, piece: sum.piece) } }
    schedule = ReadingSchedule(plan, after: before)
  }

  /// What of `earlier` is in its place. Of files that nobody has touched all is.
  private static func right(
    _ earlier: PlanProgress, _ plan: ReshardPlan, _ outputs: [OpenOutput], _ options: ReshardPlan.WriteOptions,
    isInDoubt: (FileStamp, FileStamp, Int) -> Bool, note: (String) -> Void, isCancelled: @escaping @Sendable () -> Bool
  ) -> PlanProgress {
    let plans = Dictionary(plan.tensors.map { ($0.tensor.name.text, $0) }) { first, _ in first }
    let byTensor = earlier.byTensor
    var right = earlier
    // What doesn't fit the plan is as if it weren't.
    right.units = plan.tensors.flatMap { tensor in
      let fitting = (byTensor[tensor.tensor.name.text] ?? []).filter { unit in
        unit.sums.allSatisfy { outputs.indices.contains($0.file) && outputs[$0.file].file.pieces.indices.contains($0.piece) }
          && unit.buffers.allSatisfy { outputs.indices.contains($0.file) && $0.offset >= 0 && $0.offset <= outputs[$0.file].file.byteCount - $0.bytes.count }
      }
      return fitting.isEmpty ? [] : TensorProgress(tensor, .arrival, proves: options.tool != nil, after: fitting).done
    }
    var (doubted, gone): (Set<Int>, Set<Int>) = ([], [])
    for (index, output) in outputs.enumerated() where output.file.hasWeights {
      guard let now = output.found else {
        gone.insert(index)
        continue
      }
      if let then = earlier.files[index], !isInDoubt(now, then, output.file.byteCount) { continue }
      doubted.insert(index)
    }
    func touches(_ files: Set<Int>, _ unit: PlanProgress.Unit) -> Bool { plans[unit.tensor]?.destinations.contains { files.contains($0.file) } ?? true }
    let inDoubt = right.units.filter { touches(doubted.union(gone), $0) }
    guard !inDoubt.isEmpty else { return right }
    let untouched = right.units.filter { !touches(doubted.union(gone), $0) }
    let check = OutputCheck(plans: plans, outputs: outputs, doubted: doubted, isCancelled: isCancelled)
    let kept = check.right(inDoubt.filter { !touches(gone, $0) }, threads: options.threads)
    right.units = untouched + kept
    let names = doubted.union(gone).sorted().map { outputs[$0].file.name }.joined(separator: ", ")
    note(
      "\(names): touched since drover wrote it, so what is there of the output was read and compared: "
        + (kept.count == inDoubt.count ? "nothing is lost" : "\(inDoubt.count - kept.count) of \(inDoubt.count) pieces of tensors are fetched and made again"))
    return right
  }

  /// Carries the rest of the plan out, and gives the folder its name. Where that fails, what was written stays.
  /// - Parameters:
  ///   - arriving: what the rest is read from.
  ///   - provenance: what the receipt says of that.
  ///   - wrote: called on any thread with bytes that were written.
  public func write(
    _ arriving: any ArrivingSources, _ provenance: ReshardPlan.Provenance, wrote: @escaping @Sendable (_ bytes: Int) -> Void, note: (String) -> Void = { _ in },
    isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws(CheckpointError) -> [ReshardPlan.WrittenFile] {
    var options = options
    (options.arriving, options.provenance) = (arriving, provenance)
    let execution = PlanExecution(
      plan.tensors, from: plan.source.files, to: outputs, order: .arrival, proves: options.tool != nil, progress: ReadingProgress(arriving), after: before,
      didRead: wrote, isCancelled: isCancelled)
    state.withLock { $0.execution = execution }
    let written = try plan.fill(folder, outputs, execution, options, note)
    try folder.publish(note: note)
    return written
  }

  /// Syncs what was written so far.
  /// - Returns: what is on the disk now; nil before anything is written.
  public func keep() throws(CheckpointError) -> PlanProgress? {
    guard let execution = state.withLock({ $0.execution }) else { return nil }
    let units = execution.done
    var files: [Int: FileStamp] = [:]
    do throws(CheckpointError) {
      for (index, output) in outputs.enumerated() where output.file.hasWeights { files[index] = try output.syncData() }
      if !state.withLock({ $0.hasNames }) {
        try folder.syncNames()
        state.withLock { $0.hasNames = true }
      }
    } catch {
      // Linux tells of a failed write-back once: after it no later sync may be believed.
      execution.fail(error)
      throw error
    }
    return PlanProgress(units: units, files: files)
  }

  /// Removes all that was written, in this run and before.
  /// - Returns: `error`, which then says what is left.
  public func discard(because error: CheckpointError) -> CheckpointError { folder.discard(because: error) }

  /// Whether an output at `destination` was begun, and hasn't its name yet; also where that can't be known, since something else lies there.
  public static func isInTheMaking(at destination: FilePath) -> Bool {
    guard let place = try? OutputPlace.found(at: destination, replacing: true, source: []) else { return true }
    return WorkFolder.holdsOutput(at: place)
  }

  /// Removes what an earlier run has left of an output at `destination`, if it did.
  /// - Parameter note: told what is kept of what lay there before.
  public static func discard(at destination: FilePath, note: (String) -> Void) throws(CheckpointError) {
    let place = try OutputPlace.found(at: destination, replacing: true, source: [])
    _ = try WorkFolder(at: place, .anew, note: note).remove()
  }
}

extension OutputFile {
  /// Whether something of a tensor lies in it.
  var hasWeights: Bool { pieces.contains { if case .region = $0.content { true } else { false } } }
}
