import Glibc

/// Finds a token by its bytes: an open-addressing hash table over a vocabulary's packed tokens.
struct TokenIndex: Sendable {
  private let tokens: PackedStrings
  private let hash = KeyedHash()
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
    let hash = self.hash
    for id in 0..<tokens.count where isIncluded(id) {
      tokens.withBytes(id) { bytes in
        guard let base = bytes.baseAddress, !bytes.isEmpty else { return }
        let key = hash(base, bytes.count)
        var slot = Int(truncatingIfNeeded: key) & (capacity - 1)
        while slots[slot] != 0 {
          if slots[slot] >> 32 == key >> 32, Self.equal(tokens, Int(slots[slot] & 0xFFFF_FFFF) - 1, base, bytes.count) { return }
          slot = (slot + 1) & (capacity - 1)
        }
        slots[slot] = key & ~0xFFFF_FFFF | UInt64(id + 1)
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
    let key = hash(base, count)
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: key) & mask
    while true {
      let entry = slots[slot]
      if entry == 0 { return nil }
      if entry >> 32 == key >> 32 {
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
}
