#if canImport(Glibc)
  import Glibc
#endif

/// The time that `strftime_now` shows.
public struct Moment: Sendable {
  /// Seconds since 1970.
  public let seconds: Int
  /// Whether it shows in UTC, rather than in this machine's time zone.
  public let isUTC: Bool

  public init(seconds: Int, isUTC: Bool) {
    self.seconds = seconds
    self.isUTC = isUTC
  }

  /// As Python's `datetime.strftime`, which has the C library do it. A `datetime` without a time zone shows nothing for one.
  func formatted(_ format: Text) throws(Failure) -> Text {
    guard format.count <= 1000, !format.characters.contains(where: { $0.value == 0 || $0.scalar == nil }) else { throw .unsupported("a format of strftime_now that is longer than 1000 characters or not text") }
    var pattern = ""
    var percent = false
    for scalar in format.string.unicodeScalars {
      if percent {
        percent = false
        switch scalar {
        case "z", "Z": continue
        case "f": pattern += "000000"
        // Every directive of the C standard but the time zone's, and the GNU library's flags.
        case _ where "aAbBcCdDeFgGhHIjmMnprRStTuUVwWxXyY%-_0^#".unicodeScalars.contains(scalar):
          pattern += "%"
          pattern.unicodeScalars.append(scalar)
        default: throw .unsupported("%\(scalar) in strftime_now")
        }
      } else if scalar == "%" {
        percent = true
      } else {
        pattern.unicodeScalars.append(scalar)
      }
    }
    guard !percent else { throw .unsupported("a format of strftime_now that ends in %") }
    guard !pattern.isEmpty else { return Text("") }
    var seconds = time_t(seconds)
    var parts = tm()
    guard (isUTC ? gmtime_r(&seconds, &parts) : localtime_r(&seconds, &parts)) != nil else { throw .unsupported("a time beyond the calendar") }
    var buffer = [CChar](repeating: 0, count: 65536)
    // A byte in front tells a result that is empty from one that doesn't fit.
    let written = strftime(&buffer, buffer.count, "." + pattern, &parts)
    guard written > 0 else { throw .unsupported("a format of strftime_now that makes more than 65536 bytes") }
    return Text(String(decoding: buffer[1..<written].map { UInt8(bitPattern: $0) }, as: UTF8.self))
  }
}
