/// How many connections are worth having, and what they bring.
struct ConnectionTuner {
  /// Connections wanted now.
  private(set) var connections: Int
  private var isSettled: Bool
  static let mostConnections = 32

  private var window = (start: 0.0, bytes: 0, waited: 0.0)
  private var before: (connections: Int, rate: Double)?
  /// After connections were cut: how many there were, when one more is tried again, and seconds to wait after that if it is cut too.
  private var lowered: (from: Int, until: Double, patience: Double)?
  /// Bytes a second over the last window.
  private(set) var rate = 0.0
  /// From the wire.
  private var bytes = 0
  /// Seconds that the threads which receive had nothing to do, on average.
  private var waited = 0.0
  /// Of requests that have ended, the latest last.
  private var endedRates: [Double] = []

  /// - Parameters:
  ///   - given: nil to find out how many help.
  ///   - isLimited: whether the rate is.
  init(given: Int?, isLimited: Bool) {
    isSettled = given != nil || isLimited
    connections = max(1, given ?? (isLimited ? 4 : 8))
  }

  /// The server is busy: fewer, from now on.
  mutating func halve() { (connections, isSettled) = (max(1, connections / 2), true) }

  /// The server cuts further connections while it serves these; one more is tried from time to time, in case it was the network.
  mutating func lower(to count: Int, now: Double) {
    guard count < connections else { return }
    let patience = lowered.map { min($0.patience * 2, 1920) } ?? 60
    lowered = (lowered?.from ?? connections, now + patience, patience)
    (connections, isSettled) = (max(1, count), true)
  }

  private mutating func raise(now: Double, active: Int) {
    guard let lowered, now >= lowered.until, active >= connections, connections < lowered.from else { return }
    connections += 1
    self.lowered?.until = now + lowered.patience
  }

  mutating func count(_ bytes: Int) { self.bytes += bytes }
  mutating func wait(_ seconds: Double) { waited += seconds }

  /// Takes account of a request's rate.
  mutating func ended(_ rate: Double?) {
    guard let rate else { return }
    endedRates.append(rate)
    if endedRates.count > 16 { endedRates.removeFirst() }
  }

  /// What a connection of this run brings: in the middle of what is under way, each over its whole life, and what has ended lately; nil for fewer than two.
  func usualRate(_ underWay: [Double]) -> Double? {
    let rates = (underWay + endedRates).sorted()
    return rates.count < 2 ? nil : rates[rates.count / 2]
  }

  /// Doubles the connections as long as that helps, and takes the last step back when it doesn't.
  mutating func adapt(now: Double, active: Int) {
    raise(now: now, active: active)
    if window.start == 0 { window = (now, bytes, waited) }
    let seconds = now - window.start
    guard seconds >= 0.5 else { return }
    rate = Double(bytes - window.bytes) / seconds
    // More connections bring no more to threads that are at work all the time.
    let isBusy = waited - window.waited < seconds / 4
    window = (now, bytes, waited)
    guard !isSettled, !isBusy, active >= connections, rate > 0 else { return }
    if let before, rate < before.rate * 1.15 {
      connections = before.connections
      isSettled = true
    } else if connections < Self.mostConnections {
      before = (connections, rate)
      connections = min(Self.mostConnections, connections * 2)
    }
  }
}
