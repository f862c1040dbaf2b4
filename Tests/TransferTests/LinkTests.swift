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
    #expect(link.expiry.map { abs($0 - secondsSinceEpoch() - 7200) < 600 } == true)
  }

  @Test func nothingShowsTheLink() throws {
    let (link, _) = try SignedLink.examine(Self.good)
    var dumped = ""
    dump(link, to: &dumped)
    for text in ["\(link)", String(reflecting: link), dumped, "\([link])", "\(Optional(link) as Any)"] {
      #expect(!text.contains("Si-g_n") && !text.contains("Policy"), "\(text)")
    }
  }

  /// What people paste, and what is made of it.
  @Test(arguments: [
    good.replacing("&", with: "&amp;"), "'\(good)'", "  \(good)\n", "<\(good)>", "“\(good)”", good.replacing("*", with: "%2A"),
    good.replacing("*", with: "\\*").replacing("&", with: "\\&").replacing("?", with: "\\?"),
    String(good.prefix(90)) + "\n" + String(good.dropFirst(90)), String(good.dropFirst("https://".count)),
    "https://l.facebook.com/l.php?u=\(encoded(good))&h=AT0",
    "https://nam02.safelinks.protection.outlook.com/?url=\(encoded(good))&data=05%7C01&reserved=0",
    "https://nam02.safelinks.protection.outlook.com/?url=\(encoded("https://l.facebook.com/l.php?u=" + encoded(good)))&data=05",
    "https://www.google.com/url?q=\(encoded(good))&sa=D",
    "https://urldefense.com/v3/__\(good)__;Kg!!abc$",
  ])
  func whatCanBeMendedIs(text: String) { #expect(outcome(text).split(separator: "|").first.map(String.init) == Self.good.replacing("*", with: "a")) }

  @Test(arguments: [
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
    (good.replacing(/Policy=[^&]*/, with: "Policy=\(policy(expiry: 1_700_000_000))"), "expired"),
  ])
  func whatCannotBeIsRefusedWithTheReason(text: String, reason: String) {
    let outcome = outcome(text)
    #expect(outcome.hasPrefix("refused: ") && outcome.contains(reason), "\(outcome)")
    #expect(!outcome.contains("Si-g_n~at") && !outcome.contains("eyJ"))
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

private func encoded(_ text: String) -> String { text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? "" }
