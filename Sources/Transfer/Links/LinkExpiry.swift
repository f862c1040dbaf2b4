import FoundationEssentials

/// When a signed link ends, read out of its parameters.
enum LinkExpiry {
  /// Seconds since 1970; nil when the link doesn't say, or says it in a way not known.
  static func find(in url: LinkText) -> Int? {
    // Up to the year 9999: more is nobody's expiry, and would overflow what is computed from it.
    stated(in: url).flatMap { (0..<253_402_300_800).contains($0) ? $0 : nil }
  }

  private static func stated(in url: LinkText) -> Int? {
    if let policy = url.value("Policy").flatMap(decodePolicy) { return policy.expiry }
    if let seconds = url.value("Expires").flatMap(Int.init), url.value("Key-Pair-Id") != nil || url.value("AWSAccessKeyId") != nil { return seconds }
    for vendor in ["X-Amz", "X-Goog"] {
      if let date = url.value(vendor + "-Date").flatMap(basicDate), let span = url.value(vendor + "-Expires").flatMap(Int.init) {
        let (sum, overflow) = date.addingReportingOverflow(span)
        return overflow ? nil : sum
      }
    }
    if url.value("sig") != nil, let end = url.value("se").flatMap(extendedDate) { return end }
    return nil
  }

  struct Policy {
    /// Seconds since 1970.
    var expiry: Int?
    /// What it opens: a link with a `*`.
    var resource: String?
  }

  /// A CloudFront custom policy: JSON in base64, with `+ = /` written as `- _ ~`.
  /// - Returns: nil when it isn't whole.
  static func decodePolicy(_ text: String) -> Policy? {
    var base64 = ""
    for character in text {
      switch character {
      case "-": base64.append("+")
      case "_": base64.append("=")
      case "~": base64.append("/")
      default: base64.append(character)
      }
    }
    guard text.utf8.count <= 65536, let data = Data(base64Encoded: base64), let document = try? JSONDecoder().decode(Document.self, from: data),
      let statement = document.Statement.first
    else { return nil }
    return Policy(expiry: statement.Condition?.DateLessThan?.epochTime, resource: statement.Resource)
  }

  /// The names are CloudFront's.
  private struct Document: Decodable {
    struct Statement: Decodable {
      var Resource: String?
      var Condition: Condition?
    }
    struct Condition: Decodable { var DateLessThan: Time? }
    struct Time: Decodable {
      var epochTime: Int
      enum CodingKeys: String, CodingKey { case epochTime = "AWS:EpochTime" }
    }
    var Statement: [Statement]
  }

  /// `20261123T064332Z`.
  private static func basicDate(_ text: String) -> Int? {
    let digits = Array(text.utf8)
    guard digits.count == 16, digits[8] == UInt8(ascii: "T"), digits[15] == UInt8(ascii: "Z") else { return nil }
    return date(digits, [(0, 4), (4, 2), (6, 2), (9, 2), (11, 2), (13, 2)])
  }

  /// `2026-11-23T06:43:32Z`, or only its date, or without seconds: the forms Azure takes.
  private static func extendedDate(_ text: String) -> Int? {
    let digits = Array(text.utf8)
    guard digits.count >= 10, digits[4] == UInt8(ascii: "-"), digits[7] == UInt8(ascii: "-") else { return nil }
    var fields = [(0, 4), (5, 2), (8, 2)]
    if digits.count >= 16 { fields += [(11, 2), (14, 2)] }
    if digits.count >= 19 { fields.append((17, 2)) }
    return date(digits, fields)
  }

  private static func date(_ digits: [UInt8], _ fields: [(start: Int, count: Int)]) -> Int? {
    var values = [0, 1, 1, 0, 0, 0]
    for (index, field) in fields.enumerated() {
      guard let value = Int(String(decoding: digits[field.start..<field.start + field.count], as: UTF8.self)), value >= 0 else { return nil }
      values[index] = value
    }
    guard (1...12).contains(values[1]), (1...31).contains(values[2]), values[3] < 24, values[4] < 60, values[5] < 61 else { return nil }
    return Moment.days(year: values[0], month: values[1], day: values[2]) * 86400 + values[3] * 3600 + values[4] * 60 + values[5]
  }
}
