import Checkpoint
import FoundationEssentials
import Integrity
import Platform
import Synchronization
import SystemPackage
import Transfer

/// What is done of a pull, kept in its folder: small, says nothing of the link, and is replaced atomically after the output that it speaks of was synced. It is a
/// `SealedDocument`.
struct PullJournal: Codable {
  /// What came of a file of weights.
  struct Source: Codable {
    let path: String
    /// What its publisher says of it.
    let expected: Digest?
    /// Of the headers that the plan was made from.
    let headers: Digest
    /// What has come of the stretches that are held against the plan in the end.
    let kept: Data
    /// Where its hash was when no byte before was needed any more; nil for its beginning.
    var point: ChainPoint?
  }

  /// `ReshardPlan.digest`.
  let plan: Digest
  var progress: PlanProgress
  var sources: [Source]
  /// Whether nothing was written after it.
  let isClosed: Bool

  private static let title = "drover pull 1"
  static let mostBytes = 256 << 20

  var encoded: [UInt8] { get throws { try SealedDocument.encoded(self, title: Self.title) } }

  init(plan: Digest, progress: PlanProgress, sources: [Source], isClosed: Bool) {
    (self.plan, self.progress, self.sources, self.isClosed) = (plan, progress, sources, isClosed)
  }

  /// - Returns: nil when it was damaged.
  init?(decoding bytes: [UInt8]) {
    guard let journal = SealedDocument.decoded(bytes, as: PullJournal.self, title: Self.title) else { return nil }
    self = journal
  }
}

/// Writes the journal while a pull runs: soon at first, then by time and amount, as that of a download.
final class PullJournalWriter: Sendable {
  /// What came of the files of weights.
  /// - Parameter progress: what is done, when nothing more will be; nil as long as bytes are let go of when they are done with.
  typealias Sources = @Sendable (_ progress: PlanProgress?) -> [PullJournal.Source]

  private struct State {
    /// nil when the pull has ended.
    var pull: (output: KeptOutput, sources: Sources)?
  }

  private let folder: PullFolder
  private let plan: Digest
  private let keeper = JournalKeeper()
  private let state: Mutex<State>

  init(_ folder: PullFolder, _ output: KeptOutput, _ sources: @escaping Sources) {
    (self.folder, plan) = (folder, output.plan.digest)
    state = Mutex(State(pull: (output, sources)))
    keeper.start { [weak self] _ in self?.write() ?? true }
  }

  /// Says that so much was written to the output.
  func wrote(_ bytes: Int) { keeper.landed(bytes, of: 0) }

  /// - Returns: whether there is nothing that should be tried again.
  private func write() -> Bool {
    guard let pull = state.withLock({ $0.pull }) else { return true }
    // First how far the sources were read, and then what was made of them: that may be more.
    let sources = pull.sources(nil)
    guard let progress = try? pull.output.keep() else { return true }
    return put(PullJournal(plan: plan, progress: progress, sources: sources, isClosed: false))
  }

  private func put(_ journal: PullJournal) -> Bool {
    guard let bytes = try? journal.encoded, bytes.count <= PullJournal.mostBytes else { return false }
    // The journal of before, should it come back after a power failure, is true too.
    return (try? SmallFile.write(bytes, to: folder.journalPath, syncsFolder: false)) != nil
  }

  /// The pull has come to its end: nothing is left to go on with.
  func forget() {
    keeper.stop()
    state.withLock { $0.pull = nil }
    folder.forgetJournal()
  }

  /// The pull has ended before its time. Where something is worth it, it stays.
  /// - Parameters:
  ///   - bad: files of which nothing that came is of use.
  ///   - error: why.
  /// - Returns: whether something is kept.
  func close(without bad: Set<String>) -> Bool {
    keeper.stop()
    guard let pull = state.withLock({ state in
      defer { state.pull = nil }
      return state.pull
    }) else { return folder.isKept }
    let plan = pull.output.plan
    // Where nothing was done, or the disk fails, what the last journal says is true.
    guard var progress = try? pull.output.keep() else { return folder.isKept }
    for (index, file) in plan.arriving where bad.contains(file.path.string) { progress.forget(index, of: plan) }
    var sources = pull.sources(progress)
    for index in sources.indices where bad.contains(sources[index].path) { sources[index].point = nil }
    guard !progress.isEmpty || sources.contains(where: { $0.point != nil }) else { return false }
    return put(PullJournal(plan: self.plan, progress: progress, sources: sources, isClosed: true)) || folder.isKept
  }
}
