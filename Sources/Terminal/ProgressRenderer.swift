import Platform

/// Turns the state of the items into text: frames of bars, plain lines, or JSON lines.
package struct ProgressRenderer {
  package let verb: String
  package let width: Int
  package let height: Int
  package let style: Style
  /// Seconds since the display started.
  package let elapsed: Double

  package init(verb: String, width: Int, height: Int = 24, style: Style, elapsed: Double) {
    self.verb = verb
    self.width = width
    self.height = height
    self.style = style
    self.elapsed = elapsed
  }

  /// Bars shown at once: a frame that is higher than the screen would scroll, and lines that have scrolled away can't be drawn again.
  private var mostBars: Int { max(1, min(16, height - 3)) }

  /// A frame: lines of items that have ended, which scroll away, and the bars that stay.
  package func bars(_ state: inout ProgressDisplay.State, final: Bool) -> (scrolled: [String], live: [String]) {
    var scrolled: [String] = []
    var live: [String] = []
    let nameWidth = min(max(12, width / 3), state.items.reduce(TextWidth.of(verb)) { max($0, TextWidth.of($1.shownName)) })
    for index in state.items.indices {
      let item = state.items[index]
      if let outcome = item.shownOutcome {
        guard !item.announced else { continue }
        state.items[index].announced = true
        let mark = item.failed ? style.ink("✗", [.red]) : style.ink("✓", [.green])
        scrolled.append(line("\(mark) \(fit(item.shownName, nameWidth))  \(lead(Format.bytes(item.done), 8))  \(outcome)"))
      } else if live.count < mostBars, final || item.started != nil {
        live.append(line(bar(item, nameWidth: nameWidth)))
      }
    }
    // For a single item that has ended, its own line says what the total would.
    if state.items.count > 1 || live.isEmpty && !final { live.append(line(total(state, nameWidth: nameWidth))) }
    return (scrolled, live)
  }

  /// A line for each item that has ended since the last call.
  package func plainOutcomes(_ state: inout ProgressDisplay.State) -> String {
    var text = ""
    for index in state.items.indices where !state.items[index].announced {
      guard let outcome = state.items[index].shownOutcome else { continue }
      state.items[index].announced = true
      text += "\(verb): \(state.items[index].shownName)  \(Format.bytes(state.items[index].done))  \(outcome)\n"
    }
    return text
  }

  package func plainTotal(_ state: ProgressDisplay.State, final: Bool) -> String {
    let sum = Sum(state)
    var text = "\(verb): \(Format.bytes(sum.done))"
    if let total = sum.total { text += " of \(Format.bytes(total)) (\(percent(sum.done, total)))" }
    if final { return text + " in \(Format.duration(elapsed))\n" }
    let rate = rate(state)
    text += "  \(Format.rate(rate))"
    if let left = timeLeft(sum.done, sum.total, rate) { text += "  \(left) left" }
    return text + "\n"
  }

  /// One JSON object a line, for scripts.
  package func json(_ state: ProgressDisplay.State, final: Bool) -> String {
    let sum = Sum(state)
    let items = state.items.map { item in
      "{\"name\":\(JSONText.quoted(item.name)),\"bytes\":\(item.done),\"total\":\(item.total.map(String.init) ?? "null"),\"status\":\(item.outcome.map(JSONText.quoted) ?? "null")}"
    }
    let line = "{\"event\":\"\(final ? "end" : "progress")\",\"task\":\(JSONText.quoted(verb)),\"bytes\":\(sum.done),\"total\":\(sum.total.map(String.init) ?? "null"),"
      + "\"bytesPerSecond\":\(Int(rate(state))),\"seconds\":\(Format.fixed(elapsed, 3)),\"items\":[\(items.joined(separator: ","))]}\n"
    return JSONText.harmless(line)
  }

  private struct Sum {
    var done = 0
    /// nil as long as one item's is.
    var total: Int? = 0

    init(_ state: ProgressDisplay.State) {
      for item in state.items {
        done += item.done
        if let known = item.total, let sum = total { total = sum + known } else { total = nil }
      }
    }
  }

  /// Of all items together: the sum of their rates, each over the time in which that item moved.
  private func rate(_ state: ProgressDisplay.State) -> Double { state.items.reduce(0) { $0 + $1.rate.bytesPerSecond(at: elapsed) } }

  private func bar(_ item: ProgressDisplay.Item, nameWidth: Int) -> String {
    return "  \(fit(item.shownName, nameWidth))  " + gauge(item.done, item.total, item.rate.bytesPerSecond(at: elapsed), room: width - nameWidth - 5)
  }

  private func total(_ state: ProgressDisplay.State, nameWidth: Int) -> String {
    let sum = Sum(state)
    return "  \(style.ink(fit(verb, nameWidth), [.bold]))  " + gauge(sum.done, sum.total, rate(state), room: width - nameWidth - 5)
  }

  /// Percent; then, while there is room, the bytes, the rate, the time left and a bar, the most useful first.
  private func gauge(_ done: Int, _ total: Int?, _ rate: Double, room: Int) -> String {
    var figures = total.map { lead(percent(done, $0), 4) } ?? "   …"
    for figure in [lead(Format.bytes(done), 8), lead(Format.rate(rate), 10), timeLeft(done, total, rate)] {
      if let figure, figures.count + 2 + figure.count <= room { figures += "  " + figure }
    }
    let cells = min(40, room - max(figures.count, 36) - 1)
    guard let total, cells >= 8 else { return figures }
    return cellsFilled(done, total, cells) + " " + figures
  }

  private func cellsFilled(_ done: Int, _ total: Int, _ cells: Int) -> String {
    let eighths = total == 0 ? cells * 8 : Int(Double(cells * 8) * min(1, Double(done) / Double(total)))
    let partial = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]
    let filled = String(repeating: "█", count: eighths / 8) + partial
    return style.ink(filled, [.cyan]) + style.ink(String(repeating: "·", count: cells - eighths / 8 - (partial.isEmpty ? 0 : 1)), [.dim])
  }

  private func percent(_ done: Int, _ total: Int) -> String {
    // Never 100 % before the last byte.
    total == 0 ? "100%" : "\(min(done >= total ? 100 : 99, Int(Double(done) / Double(total) * 100)))%"
  }

  private func timeLeft(_ done: Int, _ total: Int?, _ rate: Double) -> String? {
    guard let total, rate > 0, done < total else { return nil }
    return Format.duration(Double(total - done) / rate)
  }

  private func fit(_ text: String, _ width: Int) -> String { TextWidth.fit(text, to: width) }

  private func lead(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }

  /// A line clipped to the terminal's width: of a wrapped one, only a part would be erased when the next frame is drawn.
  private func line(_ text: String) -> String { TextWidth.clip(text, to: width - 1) + "\n" }
}
