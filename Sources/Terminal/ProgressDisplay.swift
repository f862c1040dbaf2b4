import Platform
import Synchronization
import SystemPackage

/// Work that advances in bytes: one item a file, and a total when there are several.
///
/// Any thread may report; a thread of its own draws, ten times a second.
public final class ProgressDisplay: Sendable {
  /// How one item stands.
  package struct Item {
    package var name: String
    /// Bytes in all; nil while unknown.
    package var total: Int?
    package var done = 0
    /// Bytes that were there before this run, which its rate must not count.
    package var before = 0
    var rate = RateMeter()
    /// Seconds after the display's start when the item first moved.
    package var started: Double?
    package var outcome: String?
    package var failed = false
    var announced = false

    /// As lines and bars have them; JSON has its own escapes.
    var shownName: String { TerminalText(name).code }
    var shownOutcome: String? { outcome.map { TerminalText($0).code } }

    package init(name: String, total: Int?) {
      self.name = name
      self.total = total
    }
  }

  package struct State {
    package var items: [Item] = []
    /// Columns of each line of the frame on the screen.
    package var drawn: [Int] = []
    var lastLine = 0.0
    var closed = false

    package init() {}
  }

  private let mode: ProgressMode
  private let state = Mutex(State())
  private let start = steadySeconds()
  /// What is being done, such as `verify`; the first word of plain lines.
  private let verb: String

  /// Starts showing progress, until `close()`. One display is shown at a time.
  public init(_ verb: String, mode: ProgressMode) {
    self.verb = verb
    self.mode = mode.resolved
    guard self.mode != .none else { return }
    Console.lock.withLock { $0.display = self }
    // Where the system has no thread to give, only the final state is shown.
    _ = Workers.detach { [weak self] in
      repeat { pause(seconds: 0.1) } while self?.tick() ?? false
    }
  }

  /// Adds an item and returns its number.
  public func add(_ name: String, total: Int?) -> Int {
    state.withLock { state in
      state.items.append(Item(name: name, total: total))
      return state.items.count - 1
    }
  }

  /// Says that `item` stands at `done` bytes.
  /// - Parameter before: bytes of those that were there before this run.
  public func update(_ item: Int, done: Int, total: Int? = nil, before: Int? = nil) {
    let now = steadySeconds() - start
    state.withLock { state in
      guard state.items.indices.contains(item) else { return }
      if let total { state.items[item].total = total }
      if let before { state.items[item].before = before }
      state.items[item].done = done
      state.items[item].rate.record(done - state.items[item].before, at: now)
      if state.items[item].started == nil { state.items[item].started = now }
    }
  }

  /// Says that `item` has ended, with a word on how.
  public func finish(_ item: Int, _ outcome: String, failed: Bool = false) {
    state.withLock { state in
      guard state.items.indices.contains(item) else { return }
      state.items[item].outcome = outcome
      state.items[item].failed = failed
    }
  }

  /// Draws once more, and stops.
  public func close() {
    guard mode != .none else { return }
    Console.lock.withLock { screen in
      draw(final: true)
      state.withLock { $0.closed = true }
      if screen.display === self { screen.display = nil }
    }
  }

  /// Takes the bars off the screen until the next tick. The console's lock is held.
  func clear() {
    guard mode == .bar else { return }
    Console.write(state.withLock { Self.erase(&$0, columns: Console.size.columns) }, to: .standardError)
  }

  /// Draws a frame, unless a question is open.
  /// - Returns: false when this display is no longer the one that is shown.
  private func tick() -> Bool {
    Console.lock.withLock { screen in
      guard screen.display === self else { return false }
      if !screen.isAsking { draw(final: false) }
      return true
    }
  }

  private func draw(final: Bool) {
    let now = steadySeconds()
    let text = state.withLock { state -> String in
      guard !state.closed else { return "" }
      let size = Console.size
      let renderer = ProgressRenderer(verb: verb, width: size.columns, height: size.rows, style: .standardError, elapsed: now - start)
      switch mode {
      case .bar:
        let lines = renderer.bars(&state, final: final)
        let frame = Self.erase(&state, columns: size.columns) + lines.scrolled.joined() + lines.live.joined()
        state.drawn = final ? [] : lines.live.map { TextWidth.of($0) - 1 }
        return frame
      case .plain:
        guard final || now - state.lastLine >= 5 else { return renderer.plainOutcomes(&state) }
        defer { state.lastLine = now }
        return renderer.plainOutcomes(&state) + (state.lastLine == 0 && !final ? "" : renderer.plainTotal(state, final: final))
      case .json:
        guard final || now - state.lastLine >= 0.5 else { return "" }
        state.lastLine = now
        return renderer.json(state, final: final)
      case .auto, .none: return ""
      }
    }
    if !text.isEmpty { Console.write(text, to: .standardError) }
  }

  /// Takes the frame off the screen. A terminal that has become narrower since has broken its lines into several.
  package static func erase(_ state: inout State, columns: Int) -> String {
    let rows = state.drawn.reduce(0) { $0 + max(1, ($1 + columns - 1) / columns) }
    state.drawn = []
    return rows == 0 ? "\r\u{1B}[J" : "\u{1B}[\(rows)A\r\u{1B}[J"
  }
}
