import Foundation
import Platform
import TestSupport
import Testing

import Transfer

@Suite struct LinkTests {
  fileprivate static let good = "https://download.llamameta.net/*?Policy=\(policy(expiry: secondsSinceEpoch() + 7200))&Signature=Si-g_n~at&Key-Pair-Id=K15QRJLYKIFSLZ"

  static func policy(expiry: Int) -> String {
    let json = #"{"Statement":[{"unique_hash":"x?y>z","Resource":"https:\/\/download.llamameta.net\/*","Condition":{"DateLessThan":{"AWS:EpochTime":\#(expiry)}}}]}"#
    return Data(json.utf8).base64EncodedString().replacing("+", with: "-").replacing("=", with: "_").replacing("/", with: "~")
  }

  private func outcome(_ text: String) -> String {
    do {
      let (link, notes) = try SignedLink.examine(text)
      return link.address(of: "a") + "|" + notes.joined(separator: ";")
    } catch { return "refused: \(error)" }
  }

  @Test func theStarIsReplacedAndOddNamesAreEscaped() throws {
    let (link, notes) = try SignedLink.examine(Self.good)
    #expect(notes.isEmpty)
    #expect(link.address(of: "llama-2-7b/consolidated.00.pth") == Self.good.replacing("*", with: "llama-2-7b/consolidated.00.pth"))
    #expect(link.address(of: "a b?&#%ü") == Self.good.replacing("*", with: "a%20b%3F%26%23%25%C3%BC"))
    // The link is as old as the first test that asked for it.
    #expect(link.expiry.map { (0...7200).contains($0 - secondsSinceEpoch()) } == true)
  }

  @Test func nothingShowsTheLink() throws {
    let (link, _) = try SignedLink.examine(Self.good)
    var dumped = ""
    dump(link, to: &dumped)
    for text in ["\(link)", String(reflecting: link), dumped, "\([link])", "\(Optional(link) as Any)"] {
      #expect(!text.contains("Si-g_n") && !text.contains("Policy"), "\(text)")
    }
  }

  /// What people paste. Each element has its type said: of so many the compiler can't work it out.
  fileprivate static let pasted: [String] = [
    good.replacing("&", with: "&amp;") as String,
    "'\(good)'" as String,
    "  \(good)\n" as String,
    "<\(good)>" as String,
    "“\(good)”" as String,
    good.replacing("*", with: "%2A") as String,
    good.replacing("*", with: "\\*").replacing("&", with: "\\&").replacing("?", with: "\\?") as String,
    String(good.prefix(90)) + "\n" + String(good.dropFirst(90)) as String,
    String(good.dropFirst("https://".count)) as String,
    "https://l.facebook.com/l.php?u=\(encoded(good))&h=AT0" as String,
    "https://nam02.safelinks.protection.outlook.com/?url=\(encoded(good))&data=05%7C01&reserved=0" as String,
    "https://nam02.safelinks.protection.outlook.com/?url=\(encoded("https://l.facebook.com/l.php?u=" + encoded(good)))&data=05" as String,
    "https://www.google.com/url?q=\(encoded(good))&sa=D" as String,
    "https://urldefense.com/v3/__\(good)__;Kg!!abc$" as String,
    // A mail's source, with and without its soft line breaks.
    good.replacing("=", with: "=3D") as String,
    broken(good.replacing("=", with: "=3D"), with: "=\n") as String,
    broken(good.replacing("=", with: "=3D"), with: "=\r\n> ") as String,
    // A page's source, once and twice.
    good.replacing("&", with: "&amp;amp;") as String,
    good.replacing("&", with: "&#38;") as String,
    good.replacing("&", with: "&#x26;") as String,
    good.replacing("&", with: "&amp;#38;") as String,
    good.replacing("&", with: "&amp;").replacing("=", with: "&equals;").replacing("*", with: "&#42;") as String,
    good.replacing("&", with: "&amp;").replacing("=", with: "=3D") as String,
    // Percent-encoded in part, whole, and twice.
    good.replacing("&", with: "%26") as String,
    good.replacing("&", with: "%26").replacing("=", with: "%3D") as String,
    good.replacing("*", with: "%252A") as String,
    encoded(good) as String,
    encoded(encoded(good)) as String,
    good.replacing("&", with: "%2526") as String,
    // A mail that answers another one.
    "> \(good)" as String,
    broken(good, with: "\n> ") as String,
    ">> " + broken(good, with: "\n>> ") as String,
    broken(good, with: "\r\n") as String,
    // What nobody sees.
    broken(good, with: "\u{AD}") as String,
    broken(good, with: "\u{200B}") as String,
    "\u{FEFF}\(good)\u{200E}" as String,
    broken(good, with: "\u{2060}") as String,
    "\u{A0}\(good)\u{A0}" as String,
    "«\(good)»" as String,
    "»\(good)«" as String,
    "„\(good)“" as String,
    "‹\(good)›" as String,
    "`\(good)`" as String,
    "(\(good))" as String,
    // Commands and chats.
    "export DROVER_URL='\(good)'" as String,
    "export DROVER_URL=\"\(good)\"; drover download 7B" as String,
    "DROVER_URL='\(good)' drover download 7B" as String,
    "DROVER_URL=\(good) drover download 7B" as String,
    "$env:DROVER_URL = \"\(good)\"" as String,
    "drover download 7B --url '\(good)'" as String,
    "set DROVER_URL=\(good)" as String,
    "export DROVER_URL=3D'\(good.replacing("=", with: "=3D"))'" as String,
    "[the link](\(good))" as String,
    "[\(good)](\(good))" as String,
    "[the link](<\(good)> \"Llama\")" as String,
  ]

  @Test(arguments: pasted)
  func whatCanBeMendedIs(text: String) { #expect(outcome(text).split(separator: "|").first.map(String.init) == Self.good.replacing("*", with: "a")) }

  fileprivate static let hopeless: [(String, String)] = [
    ("", "no link was given"),
    ("hello", "not a link"),
    ("click here to download", "not a link"),
    ("ftp://download.llamameta.net/*?Policy=x", "neither http nor https"),
    (good.replacing("*", with: ""), "no *"),
    (good.replacing("/*", with: ""), "no *"),
    ("https://download.llamameta.net/*", "cut off"),
    ("https://download.llamameta.net/", "no *"),
    (good.split(separator: "&").first.map(String.init) ?? "", "Signature is missing"),
    (good.split(separator: "&").dropLast().joined(separator: "&"), "Key-Pair-Id is missing"),
    (good.replacing("Policy=ey", with: "Policy=ex!"), "policy"),
    ("https://l.facebook.com/l.php?h=AT0", "tracker"),
    ("https://t.co/abcdef", "tracker"),
    ("https://click.mail.example.com/?qs=123", "tracker"),
    ("https://huggingface.co/email_confirmation/xyz", "Hugging Face"),
    ("https://s3.example.com/*?X-Amz-Date=20261123T000000Z&X-Amz-Expires=60", "X-Amz-Signature is missing"),
    ("https://a.blob.core.windows.net/c/*?se=2030-01-01T00:00:00Z", "sig is missing"),
    (String(good.prefix(70)) + "…", "cut off"),
    (good.replacing("https:", with: "http:"), "--allow-http"),
    ("http://127.0.0.1.example.org/*?sig=Si-g_n~at&se=2099-01-01", "--allow-http"),
    ("http://user:Si-g_n~at@mirror.example.org/*", "--allow-http"),
  ]

  @Test(arguments: hopeless)
  func whatCannotBeIsRefusedWithTheReason(text: String, reason: String) {
    let outcome = outcome(text)
    #expect(outcome.hasPrefix("refused: ") && outcome.contains(reason), "\(outcome)")
    #expect(!outcome.contains("Si-g_n~at") && !outcome.contains("eyJ"))
  }

  /// A signature goes over a network without TLS only where that was allowed.
  @Test func withoutTLSOnlyThisMachineIsAsked() throws {
    let signature = "/*?sig=a&se=2099-01-01"
    for host in ["127.0.0.1:80", "127.9.9.9", "localhost:8080", "models.localhost", "[::1]:80"] { _ = try SignedLink.examine("http://\(host)" + signature) }
    for host in ["10.0.0.1", "128.0.0.1", "127.0.0.256", "127.0.0.1.example.org", "localhost.example.org", "[::2]"] {
      #expect(throws: LinkError.self) { try SignedLink.examine("http://\(host)" + signature) }
      #expect(throws: LinkError.self) { try SignedLink.examineFile("http://\(host)/a.pth?sig=a&se=2099-01-01") }
      #expect(try SignedLink.examine("http://\(host)" + signature, allowsHTTP: true).link.origin == "http://\(host)")
    }
    // There is nothing to steal.
    _ = try SignedLink.examine("http://mirror.example.org/*")
    _ = try #require(try SignedLink.examineFile("http://mirror.example.org/a.gguf"))
  }

  /// Only the server knows what time it is: a link that is over by this machine's clock is tried, and said to be.
  @Test(arguments: [true, false]) func aClockMayBeAhead(isValid: Bool) throws {
    try withTemporaryFolder { folder in
      let content = Array("weights".utf8)
      let server = try FaultServer { request in isValid ? FaultServer.good(request, content) : FaultServer.status(403) }
      defer { server.stop() }
      try #"{"id":"m","files":[{"path":"f/a.txt"}]}"#.write(toFile: folder + "/m.json", atomically: true, encoding: .utf8)
      let outcome = try drover(
        "download", "--manifest", folder + "/m.json", "--output", folder + "/out", "--yes",
        environment: ["DROVER_URL": "http://127.0.0.1:\(server.port)/*?Policy=\(Self.policy(expiry: secondsSinceEpoch() - 86_400))&Signature=Si-g_n~at&Key-Pair-Id=K"])
      #expect(outcome.status == (isValid ? 0 : 77), "\(outcome.errors)")
      #expect(outcome.errors.contains("by this machine's clock") && outcome.errors.contains("expired 24 hours ago"), "\(outcome.errors)")
    }
  }

  /// The moments are worked out by `date`.
  @Test(arguments: [
    ("https://s/*?X-Amz-Date=20991231T235958Z&X-Amz-Expires=3600&X-Amz-Signature=a", "2100-01-01 00:59:58"),
    ("https://s/*?X-Goog-Date=20960229T120000Z&X-Goog-Expires=86400&X-Goog-Signature=a", "2096-03-01 12:00:00"),
    ("https://s/*?se=2099-03-01T00:00:00Z&sig=a", "2099-03-01 00:00:00"),
    ("https://s/*?se=2099-03-01&sig=a", "2099-03-01 00:00:00"),
    ("https://s/*?se=2099-03-01T00%3A30Z&sig=a", "2099-03-01 00:30:00"),
    ("https://s/*?Expires=4102444800&Signature=a&Key-Pair-Id=b", "2100-01-01 00:00:00"),
  ])
  func theEndIsReadOutOfEachStoresParameters(text: String, date: String) throws {
    let expected = try run("/bin/date", ["-u", "-d", date + " UTC", "+%s"]).output
    #expect(try SignedLink.examine(text).link.expiry == Int(expected.dropLast()))
  }

  /// Anything may be pasted: an answer always comes, and what is refused is never quoted.
  @Test func mutatedLinksNeverCrashTheDoctor() {
    var random = Splitmix(seed: 3)
    for start in [Self.good, "https://l.facebook.com/l.php?u=\(encoded(Self.good))", "https://s/*?X-Amz-Date=20991231T235958Z&X-Amz-Expires=3600&X-Amz-Signature=a"] {
      for _ in 0..<2000 {
        let text = String(decoding: mutated(Array(start.utf8), &random), as: UTF8.self)
        let outcome = outcome(text)
        if outcome.hasPrefix("refused") { #expect(!outcome.contains("g_n~at")) }
      }
    }
  }
}

/// `text` with something after every 70 characters, as programs break long lines.
private func broken(_ text: String, with separator: String) -> String {
  var lines: [Substring] = []
  var rest = text[...]
  while !rest.isEmpty {
    // No program breaks an escape in two.
    let count = rest.prefix(70).suffix(2).firstIndex(of: "=").map { rest.distance(from: rest.startIndex, to: $0) } ?? 70
    lines.append(rest.prefix(count))
    rest = rest.dropFirst(count)
  }
  return lines.joined(separator: separator)
}

private func encoded(_ text: String) -> String { text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? "" }
