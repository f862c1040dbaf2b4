import Platform

/// The one thread that syncs, journals, names and removes partial files, so that none of these meets another.
package final class JournalKeeper: Sendable {
  /// What arrived of a file since its last journal.
  private struct Unsaved {
    let since: Double
    var bytes = 0
    /// Journals of the file in this run. The first is due at once.
    let journals: Int

    /// Seconds that it may wait. Short at first: a run that is soon killed has little to lose, and shouldn't lose it all.
    var patience: Double { journals == 0 || bytes >= JournalKeeper.mostBytes ? 0 : min(JournalKeeper.interval, 0.05 * Double(1 << min(journals - 1, 8))) }
  }

  private struct State {
    var jobs: [@Sendable () -> Void] = []
    /// Small files that wait for their names, since when, and whether nothing else is under way that could join them.
    var whole: [WholeFile] = []
    var wholeSince = 0.0
    var isHurried = false
    /// Bytes of them, and of those that get their names just now.
    var wholeBytes = 0
    var unsaved: [Int: Unsaved] = [:]
    /// Journals of this run, by file.
    var journals: [Int: Int] = [:]
    /// Seconds that syncing took beyond its share of the time that has passed.
    var overspent = 0.0
    /// When the last journals were done.
    var ended = 0.0

    /// No journal before this time, but for a file's first: syncing takes a twentieth of the time, or comes once a second. A run begins with some
    /// time to spend, so that its first bytes, which often come in a burst, don't wait for a share to build up.
    var notBefore: Double { ended + min(1, max(0, overspent - JournalKeeper.advance) / JournalKeeper.share) }
    var isRunning = false
    var isStopping = false

    var hasEnough: Bool { whole.count >= JournalKeeper.mostFiles || wholeBytes >= JournalKeeper.mostBytes / 4 }
  }

  /// Seconds that small files wait for others before they are synced together, and how many of them wait at most. A sync of the file system takes
  /// a good part of a second, and what waits is fetched again in a moment.
  fileprivate static let company = 1.5
  fileprivate static let mostFiles = 4096
  fileprivate static let mostBytes = 64 << 20
  fileprivate static let interval = 0.2
  fileprivate static let share = 0.05
  /// Seconds of syncing that a run begins with.
  fileprivate static let advance = 0.2

  private let state = Monitor(State())

  package init() {}

  /// - Parameters:
  ///   - journal: syncs a file and writes its journal; says whether that could be done.
  ///   - named: told of small files that have their names.
  func start(_ journal: @escaping @Sendable (_ file: Int) -> Bool, named: @escaping @Sendable ([WholeFile.Named]) -> Void) {
    state.update { $0.isRunning = true }
    if !Workers.detach({ self.work(journal, named) }) { state.update { $0.isRunning = false } }
  }

  /// The same where no file gets its name by it.
  package func start(_ journal: @escaping @Sendable (_ file: Int) -> Bool) { start(journal) { _ in } }

  var isAlive: Bool { state.peek { $0.isRunning } }

  /// Says that bytes of a file are on the disk.
  package func landed(_ bytes: Int, of file: Int) {
    let now = steadySeconds()
    // The thread looks when the first of what it knows is due; what is new is due later, unless it is the first or has just become much.
    let isUrgent = state.peek { state in
      let before = state.unsaved[file]?.patience ?? Self.interval
      state.unsaved[file, default: Unsaved(since: now, journals: state.journals[file] ?? 0)].bytes += bytes
      return (state.unsaved[file]?.patience ?? before) < before
    }
    if isUrgent { state.update { _ in } }
  }

  /// Forgets what was said of a file that has its name, or begins anew.
  func forget(_ file: Int) {
    state.peek { state in
      state.unsaved[file] = nil
      state.journals[file] = nil
    }
  }

  func submit(_ job: @escaping @Sendable () -> Void) { state.update { $0.jobs.append(job) } }

  /// Gives a small file its name, soon and together with others.
  func submit(_ file: WholeFile) {
    let now = steadySeconds()
    let isDue = state.peek { state in
      if state.whole.isEmpty { state.wholeSince = now }
      state.whole.append(file)
      state.wholeBytes += file.content.count
      return state.hasEnough
    }
    if isDue { state.update { _ in } }
  }

  /// Says that no other small file will come for now.
  func hurry() {
    let isNews = state.peek { state in
      guard !state.whole.isEmpty, !state.isHurried else { return false }
      state.isHurried = true
      return true
    }
    if isNews { state.update { _ in } }
  }

  /// Whether small files come faster than they get their names.
  var hasBacklog: Bool { state.peek { $0.wholeBytes > Self.mostBytes } }

  /// Drops what waits but for small files that are here, and waits for what is under way.
  package func stop() {
    state.update { state in
      state.isStopping = true
      state.jobs = []
    }
    state.wait { $0.isRunning ? nil : () }
  }

  private enum Work {
    case job(@Sendable () -> Void)
    case journals([Int])
    case names([WholeFile])
    case stop
  }

  private func work(_ journal: (Int) -> Bool, _ named: ([WholeFile.Named]) -> Void) {
    while true {
      switch state.wait({ Self.next(&$0, &$1) }) {
      case .job(let job): job()
      case .journals(let files): save(files, journal)
      case .names(let files):
        named(WholeFile.name(files))
        state.peek { $0.wholeBytes -= files.reduce(0) { $0 + $1.content.count } }
      case .stop:
        state.update { $0.isRunning = false }
        return
      }
    }
  }

  private static func next(_ state: inout State, _ deadline: inout Double?) -> Work? {
    if !state.jobs.isEmpty { return .job(state.jobs.removeFirst()) }
    let now = steadySeconds()
    if !state.whole.isEmpty {
      if state.isStopping || state.isHurried || state.hasEnough || state.wholeSince + company <= now {
        defer { (state.whole, state.isHurried) = ([], false) }
        return .names(state.whole)
      }
      deadline = state.wholeSince + company
    }
    if state.isStopping { return .stop }
    var files: [Int] = []
    for (file, unsaved) in state.unsaved {
      let due = unsaved.journals == 0 ? unsaved.since : max(state.notBefore, unsaved.since + unsaved.patience)
      if due <= now { files.append(file) } else { deadline = min(deadline ?? due, due) }
    }
    // Without anything due there may be something to look at by then: bytes are counted without waking this thread.
    guard !files.isEmpty else {
      deadline = min(deadline ?? now + interval, now + interval)
      return nil
    }
    for file in files {
      state.unsaved[file] = nil
      state.journals[file, default: 0] += 1
    }
    return .journals(files)
  }

  private func save(_ files: [Int], _ journal: (Int) -> Bool) {
    let started = steadySeconds()
    let failed = files.filter { !journal($0) }
    let ended = steadySeconds()
    state.peek { state in
      state.overspent = max(0, state.overspent - (ended - state.ended) * Self.share) + (ended - started)
      state.ended = ended
      // Tried again: what arrived isn't safe yet.
      for file in failed where state.unsaved[file] == nil { state.unsaved[file] = Unsaved(since: ended, journals: max(1, state.journals[file] ?? 1)) }
    }
  }
}
