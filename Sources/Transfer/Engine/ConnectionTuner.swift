/// How many connections are worth having, and what they bring.
struct ConnectionTuner {
  /// Connections wanted now.
  private(set) var connections: Int
  private var isSettled: Bool
  private static let mostConnections = 32

  private var window = (start: 0.0, bytes: 0, waited: 0.0)
  private var before: (connections: Int, rate: Double)?
  /// Bytes a second over the last window.
  private(set) var rate = 0.0
  /// From the wire.
  private var bytes = 0
  /// Seconds that the network's thread had nothing to do.
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

  mutating func count(_ bytes: Int) { self.bytes += bytes }
  mutating func wait(_ seconds: Double) { waited += seconds }

  /// Takes account of a request's rate.
  mutating func ended(_ rate: Double?) {
    guard let rate else { return }
    endedRates.append(rate)
    if endedRates.count > 16 { endedRates.removeFirst() }
  }

  /// Of what is under way and what has ended lately; nil for fewer than three.
  func medianRate(_ underWay: [Double]) -> Double? {
    let rates = (underWay + endedRates).sorted()
    return rates.count < 3 ? nil : rates[rates.count / 2]
  }

  /// Doubles the connections as long as that helps, and takes the last step back when it doesn't.
  mutating func adapt(now: Double, active: Int) {
    if window.start == 0 { window = (now, bytes, waited) }
    let seconds = now - window.start
    guard seconds >= 0.5 else { return }
    rate = Double(bytes - window.bytes) / seconds
    // More connections bring no more to a thread that is at work all the time.
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
