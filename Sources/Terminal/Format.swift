/// Numbers as people say them.
public enum Format {
  /// `1.5 GB`: decimal units, three significant digits.
  public static func bytes(_ count: Int) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"]
    var value = Double(count)
    var unit = 0
    while value >= 999.5, unit < units.count - 1 {
      value /= 1000
      unit += 1
    }
    return unit == 0 ? "\(count) B" : "\(significant(value)) \(units[unit])"
  }

  /// `12.3 MB/s`.
  public static func rate(_ bytesPerSecond: Double) -> String { bytes(Int(bytesPerSecond.rounded())) + "/s" }

  /// `0.34 s`, `42 s`, `3 min 12 s`, `2 h 05 min`.
  public static func duration(_ seconds: Double) -> String {
    if seconds < 10 { return "\(significant(max(0, seconds))) s" }
    let whole = Int(seconds.rounded())
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min \(padded(whole % 60, 2)) s" }
    return "\(whole / 3600) h \(padded(whole % 3600 / 60, 2)) min"
  }

  /// Reads `90`, `90s`, `30m`, `1.5h` or `2 days`; seconds where there is no unit.
  /// - Returns: nil for anything else, and for what is negative or longer than a year.
  public static func parseDuration(_ text: String) -> Double? {
    let text = text.lowercased()
    let number = text.prefix { $0.isASCII && $0.isNumber || $0 == "." }
    let units = ["": 1.0, "s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400]
    var unit = text[number.endIndex...].drop { $0 == " " }
    if unit.count > 1, unit.last == "s" { unit = unit.dropLast() }
    guard let value = Double(number), let size = units[String(unit)], value * size <= 366 * 86400 else { return nil }
    return value * size
  }

  /// `1,234,567`.
  public static func count(_ value: Int) -> String {
    let digits = String(value.magnitude)
    var grouped = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { grouped += "," }
      grouped.append(digit)
    }
    return (value < 0 ? "-" : "") + grouped
  }

  /// `value` with `places` digits after the point.
  public static func fixed(_ value: Double, _ places: Int) -> String {
    guard value.isFinite else { return "\(value)" }
    var scale = 1.0
    for _ in 0..<places { scale *= 10 }
    let scaled = (abs(value) * scale).rounded()
    guard scaled < 1e18 else { return "\(value)" }
    let whole = Int(scaled)
    let sign = value < 0 && whole > 0 ? "-" : ""
    return places == 0 ? "\(sign)\(whole)" : "\(sign)\(whole / Int(scale)).\(padded(whole % Int(scale), places))"
  }

  private static func significant(_ value: Double) -> String {
    fixed(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0)
  }

  private static func padded(_ value: Int, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }

  /// Reads `500`, `10M`, `1.5GiB` or `50MB/s`: K, M, G and T are powers of 1000, with an i of 1024.
  /// - Returns: nil for anything else, and for what is negative or doesn't fit.
  public static func parseBytes(_ text: String) -> Int? {
    var rest = text.lowercased()[...]
    if rest.hasSuffix("/s") { rest = rest.dropLast(2) }
    let number = rest.prefix { $0.isASCII && $0.isNumber || $0 == "." }
    guard let value = Double(number), value.isFinite else { return nil }
    let units = ["": 1, "b": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "ki": 1024, "mi": 1048576, "gi": 1073741824, "ti": 1099511627776]
    var unit = rest[number.endIndex...].drop { $0 == " " }
    if unit.count > 1, unit.last == "b" { unit = unit.dropLast() }
    guard let size = units[String(unit)], value * size < 9e18 else { return nil }
    return Int((value * size).rounded())
  }
}
