import Glibc

/// Finds a token by its bytes: an open-addressing hash table over a vocabulary's packed tokens.
struct TokenIndex: Sendable {
  private let tokens: PackedStrings
  /// `hash's upper half << 32 | id + 1`; 0 is empty. A power of two, at most half full.
  private let slots: [UInt64]
  /// No token is longer, so no longer text needs to be hashed.
  let longest: Int
  /// How many tokens can be found: fewer than were included when some are equal.
  let count: Int

  /// Indexes those ids of `tokens` that `isIncluded` takes. Of two equal tokens the first is found.
  init(_ tokens: PackedStrings, where isIncluded: (Int) -> Bool) {
    var capacity = 16
    while capacity < tokens.count * 2 { capacity *= 2 }
    var slots = [UInt64](repeating: 0, count: capacity)
    var longest = 0
    var count = 0
    for id in 0..<tokens.count where isIncluded(id) {
      tokens.withBytes(id) { bytes in
        guard let base = bytes.baseAddress, !bytes.isEmpty else { return }
        let hash = Self.hash(base, bytes.count)
        var slot = Int(truncatingIfNeeded: hash) & (capacity - 1)
        while slots[slot] != 0 {
          if slots[slot] >> 32 == hash >> 32, Self.equal(tokens, Int(slots[slot] & 0xFFFF_FFFF) - 1, base, bytes.count) { return }
          slot = (slot + 1) & (capacity - 1)
        }
        slots[slot] = hash & ~0xFFFF_FFFF | UInt64(id + 1)
        longest = max(longest, bytes.count)
        count += 1
      }
    }
    self.tokens = tokens
    self.slots = slots
    self.longest = longest
    self.count = count
  }

  /// The id of the token with these bytes.
  func find(_ base: UnsafePointer<UInt8>, _ count: Int) -> Int? {
    guard count > 0, count <= longest else { return nil }
    let hash = Self.hash(base, count)
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: hash) & mask
    while true {
      let entry = slots[slot]
      if entry == 0 { return nil }
      if entry >> 32 == hash >> 32 {
        let id = Int(entry & 0xFFFF_FFFF) - 1
        if Self.equal(tokens, id, base, count) { return id }
      }
      slot = (slot + 1) & mask
    }
  }

  func find(_ bytes: some Collection<UInt8>) -> Int? {
    let found = bytes.withContiguousStorageIfAvailable { buffer in buffer.baseAddress.flatMap { find($0, buffer.count) } }
    return found ?? Array(bytes).withUnsafeBufferPointer { buffer in buffer.baseAddress.flatMap { find($0, buffer.count) } }
  }

  private static func equal(_ tokens: PackedStrings, _ id: Int, _ base: UnsafePointer<UInt8>, _ count: Int) -> Bool {
    tokens.withBytes(id) { bytes in
      guard let other = bytes.baseAddress else { return false }
      return bytes.count == count && memcmp(other, base, count) == 0
    }
  }

  /// A multiplicative hash, eight bytes a step.
  private static func hash(_ base: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
    let raw = UnsafeRawPointer(base)
    var hash = UInt64(truncatingIfNeeded: count) &* 0x9E37_79B9_7F4A_7C15
    func mix(_ word: UInt64) {
      let product = (hash ^ word).multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
      hash = product.high ^ product.low
    }
    var at = 0
    while count - at >= 8 {
      mix(raw.loadUnaligned(fromByteOffset: at, as: UInt64.self))
      at += 8
    }
    var tail: UInt64 = 0
    while at < count {
      tail = tail << 8 | UInt64(base[at])
      at += 1
    }
    mix(tail &+ 0xE703_7ED1_A0B4_28DB)
    return hash
  }
}
