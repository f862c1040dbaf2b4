import Glibc

/// Points in time, as people read them.
enum Moment {
  /// `2026-11-23 06:43 UTC`.
  static func utc(_ seconds: Int) -> String {
    var seconds = seconds
    var parts = tm()
    guard gmtime_r(&seconds, &parts) != nil else { return "an unknown time" }
    func two(_ value: Int32) -> String { (value < 10 ? "0" : "") + String(value) }
    return "\(Int(parts.tm_year) + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) \(two(parts.tm_hour)):\(two(parts.tm_min)) UTC"
  }

  /// `40 seconds`, `3 hours`, `2 days`.
  static func ago(_ seconds: Int) -> String {
    let units = [(86400, "day"), (3600, "hour"), (60, "minute")]
    let (size, name) = units.first { seconds >= 2 * $0.0 } ?? (1, "second")
    let count = seconds / size
    return "\(count) \(name)\(count == 1 ? "" : "s")"
  }

  /// Days from 1970-01-01 in the Gregorian calendar (Hinnant, chrono-compatible low-level date algorithms).
  static func days(year: Int, month: Int, day: Int) -> Int {
    let year = month <= 2 ? year - 1 : year
    let era = (year >= 0 ? year : year - 399) / 400
    let yearOfEra = year - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }
}
