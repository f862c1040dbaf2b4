import Foundation
import Terminal
import Testing

@Suite struct FigureTests {
  @Test(arguments: [
    (0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (1536, "1.54 kB"), (999_499, "999 kB"), (999_500, "1.00 MB"),
    (275_000_000, "275 MB"), (13_476_835_328, "13.5 GB"), (137_958_000_000, "138 GB"), (Int.max, "9223 PB"),
  ])
  func bytes(count: Int, text: String) { #expect(Format.bytes(count) == text) }

  @Test(arguments: [
    (0.042, "0.04 s"), (9.99, "9.99 s"), (9.999, "10.0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (192.0, "3 min 12 s"), (3600.0, "1 h 00 min"),
    (86_399.0, "23 h 59 min"),
  ])
  func duration(seconds: Double, text: String) { #expect(Format.duration(seconds) == text) }

  @Test(arguments: [(0, "0"), (999, "999"), (1000, "1,000"), (1_246_592, "1,246,592"), (-12_345, "-12,345")])
  func count(value: Int, text: String) { #expect(Format.count(value) == text) }
}

@Suite struct ProgressTests {
  private func state(_ items: [(name: String, done: Int, total: Int?)]) -> ProgressDisplay.State {
    var state = ProgressDisplay.State()
    for item in items {
      var made = ProgressDisplay.Item(name: item.name, total: item.total)
      made.done = item.done
      made.started = 0
      state.items.append(made)
    }
    return state
  }

  private func renderer(width: Int) -> ProgressRenderer {
    ProgressRenderer(verb: "download", width: width, style: Style(isEnabled: false), elapsed: 10)
  }

  @Test("A frame never wraps: a wrapped line would be left behind when the next frame is drawn", arguments: [20, 40, 60, 80, 132, 300])
  func framesFitTheTerminal(width: Int) {
    var shards = state(
      (0..<20).map { ("llama-2-70b/consolidated.\($0).pth", $0 * 900_000_000, $0 == 3 ? nil : 17_246_706_245) } + [("résumé 模型.pth", 0, 0)])
    let frame = renderer(width: width).bars(&shards, final: false)
    for line in frame.scrolled + frame.live { #expect(line.dropLast().count < width, "\(line)") }
  }

  @Test func isNotCompleteBeforeTheLastByte() {
    var almost = state([("a", 17_246_706_244, 17_246_706_245)])
    #expect(renderer(width: 80).bars(&almost, final: false).live.joined().contains("99%"))
    var complete = state([("a", 17_246_706_245, 17_246_706_245)])
    #expect(renderer(width: 80).bars(&complete, final: false).live.joined().contains("100%"))
  }

  @Test("A rate is that of the last seconds: a stall brings it down, and what was there before doesn't count")
  func ratesAreOfTheLastSeconds() {
    var rate = RateMeter()
    #expect(rate.bytesPerSecond(at: 1) == 0)
    for second in 0...10 { rate.record(second * 1000, at: Double(second)) }
    #expect(rate.bytesPerSecond(at: 10) == 1000)
    #expect(rate.bytesPerSecond(at: 13) == 500)
    #expect(rate.bytesPerSecond(at: 15.5) == 0)
    rate.record(0, at: 16)
    rate.record(4000, at: 18)
    #expect(rate.bytesPerSecond(at: 18) == 2000)
  }

  @Test("What a narrower terminal has broken into several rows is taken off the screen whole")
  func framesAreErasedByRows() {
    var items = state([("a", 1, 5), ("b", 1, 5)])
    #expect(ProgressDisplay.erase(&items, columns: 80) == "\r\u{1B}[J")
    items.drawn = [79, 79, 10]
    #expect(ProgressDisplay.erase(&items, columns: 40) == "\u{1B}[5A\r\u{1B}[J")
    #expect(items.drawn.isEmpty)
  }

  @Test func endedItemsAreAnnouncedOnce() {
    var items = state([("a", 5, 5), ("b", 1, 5)])
    items.items[0].outcome = "ok"
    #expect(renderer(width: 80).plainOutcomes(&items) == "download: a  5 B  ok\n")
    #expect(renderer(width: 80).plainOutcomes(&items) == "")
  }

  @Test func jsonLinesAreJSON() throws {
    let line = renderer(width: 80).json(state([("a \"quoted\"\n\u{1}\\ name", 5, nil), ("b", 1, 5)]), final: false)
    #expect(line.hasSuffix("}\n") && line.filter { $0 == "\n" }.count == 1)
    struct Line: Decodable {
      struct Item: Decodable {
        let name: String
        let total: Int?
      }
      let event: String
      let bytes: Int
      let total: Int?
      let items: [Item]
    }
    let decoded = try JSONDecoder().decode(Line.self, from: Data(line.utf8))
    #expect(decoded.event == "progress" && decoded.bytes == 6 && decoded.total == nil)
    #expect(decoded.items[0].name == "a \"quoted\"\n\u{1}\\ name" && decoded.items[1].total == 5)
  }
}
