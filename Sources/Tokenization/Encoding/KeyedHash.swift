/// A multiplicative hash, eight bytes a step, with a key that is drawn anew for each table: a vocabulary can't be crafted so that all of its tokens fall
/// into one place and looking for one takes as long as looking at all. What is found doesn't depend on the key.
struct KeyedHash: Sendable {
  private let start = UInt64.random(in: .min ... .max)
  private let factor = UInt64.random(in: .min ... .max) | 1

  func callAsFunction(_ base: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
    let raw = UnsafeRawPointer(base)
    var hash = start ^ UInt64(truncatingIfNeeded: count) &* 0x9E37_79B9_7F4A_7C15
    var at = 0
    while count - at >= 8 {
      hash = mix(hash, raw.loadUnaligned(fromByteOffset: at, as: UInt64.self))
      at += 8
    }
    var tail: UInt64 = 0
    while at < count {
      tail = tail << 8 | UInt64(base[at])
      at += 1
    }
    return mix(hash, tail &+ 0xE703_7ED1_A0B4_28DB)
  }

  func callAsFunction(_ value: UInt64) -> UInt64 { mix(start, value) }

  private func mix(_ hash: UInt64, _ word: UInt64) -> UInt64 {
    let product = (hash ^ word).multipliedFullWidth(by: factor)
    return product.high ^ product.low
  }
}
