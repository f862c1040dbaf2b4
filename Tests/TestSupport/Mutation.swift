/// Random numbers that are the same in every run (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
public struct Splitmix: RandomNumberGenerator {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// `bytes` with a few of them flipped, replaced, removed, repeated or cut off: food for a parser of untrusted bytes.
public func mutated(_ bytes: [UInt8], _ random: inout Splitmix) -> [UInt8] {
  var bytes = bytes
  for _ in 0..<Int.random(in: 1...4, using: &random) {
    guard !bytes.isEmpty else { return bytes }
    let at = Int.random(in: bytes.indices, using: &random)
    switch Int.random(in: 0..<7, using: &random) {
    case 0: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    case 1: bytes[at] = UInt8.random(in: .min ... .max, using: &random)
    case 2: bytes.removeSubrange(at..<min(bytes.count, at + Int.random(in: 1...8, using: &random)))
    case 3: bytes.insert(contentsOf: bytes[at..<min(bytes.count, at + 16)], at: at)
    case 4: bytes.removeSubrange(at...)
    case 5: bytes.insert(contentsOf: Array("../".utf8), at: at)
    default: bytes[at] = [0, 0x22, 0x2D, 0x2F, 0x39, 0x5B, 0x7B, 0xFF].randomElement(using: &random) ?? 0
    }
  }
  return bytes
}
