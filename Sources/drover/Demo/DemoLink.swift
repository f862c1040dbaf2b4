import FoundationEssentials
import Integrity

/// Signs links the way the store that Meta uses does (a CloudFront custom policy), with a key that lives as long as the process.
struct DemoSigner: Sendable {
  private let key: [UInt8] = (0..<32).map { _ in UInt8.random(in: 0...255) }

  /// A link template that opens everything under `base` until `expires` (seconds since 1970).
  /// - Parameter serial: makes one link differ from the next.
  func link(base: String, expires: Int, serial: Int) -> String {
    let policy = #"{"Statement":[{"Resource":"\#(base)/*","Condition":{"DateLessThan":{"AWS:EpochTime":\#(expires)}}}],"Id":"\#(serial)"}"#
    return "\(base)/*?Policy=\(Self.encode(Data(policy.utf8)))&Signature=\(signature(of: policy))&Key-Pair-Id=DEMO"
  }

  /// The signature in a link of this signer's.
  static func signature(in link: String) -> String {
    String(link.split(separator: "&").first { $0.hasPrefix("Signature=") }?.dropFirst(10) ?? "")
  }

  /// Whether the query of a request carries a policy that this signer signed and that hasn't expired.
  func accepts(policy encoded: String, signature: String, now: Int) -> Bool {
    guard let data = Self.decode(encoded), self.signature(of: String(decoding: data, as: UTF8.self)) == signature else { return false }
    struct Policy: Decodable {
      struct Statement: Decodable {
        struct Condition: Decodable {
          struct Date: Decodable {
            let epoch: Int
            enum CodingKeys: String, CodingKey { case epoch = "AWS:EpochTime" }
          }
          let until: Date
          enum CodingKeys: String, CodingKey { case until = "DateLessThan" }
        }
        let condition: Condition
        enum CodingKeys: String, CodingKey { case condition = "Condition" }
      }
      let statements: [Statement]
      enum CodingKeys: String, CodingKey { case statements = "Statement" }
    }
    guard let policy = try? JSONDecoder().decode(Policy.self, from: data), let statement = policy.statements.first else { return false }
    return now < statement.condition.until.epoch
  }

  private func signature(of policy: String) -> String {
    // The key is secret and the message's length is fixed by the JSON around it: a prefix hash is enough for a demonstration.
    Self.encode(Data(SHA256.hash(key + Array(policy.utf8)).bytes))
  }

  /// Base64 in CloudFront's alphabet: `-_~` for `+=/`.
  private static func encode(_ data: Data) -> String {
    String(data.base64EncodedString().map { $0 == "+" ? "-" : $0 == "=" ? "_" : $0 == "/" ? "~" : $0 })
  }

  private static func decode(_ text: String) -> Data? {
    Data(base64Encoded: String(text.map { $0 == "-" ? "+" : $0 == "_" ? "=" : $0 == "~" ? "/" : $0 }))
  }
}
