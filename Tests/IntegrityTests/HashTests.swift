import Integrity
import Testing

/// Published vectors: RFC 1321 appendix A.5, and FIPS 180-4's examples.
@Suite struct HashTests {
  @Test(arguments: [
    ("", "d41d8cd98f00b204e9800998ecf8427e"), ("abc", "900150983cd24fb0d6963f7d28e17f72"),
    ("12345678901234567890123456789012345678901234567890123456789012345678901234567890", "57edf4a22be3c955ac49da2e2107b67a"),
  ])
  func md5(text: String, hex: String) { #expect(MD5.hash(Array(text.utf8)).hex == hex) }

  @Test(arguments: [
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
  ])
  func sha256(text: String, hex: String) { #expect(SHA256.hash(Array(text.utf8)).hex == hex) }

  /// However the bytes are cut, and however often the hash is saved and restored between the cuts, the digest is that of the whole.
  @Test(arguments: [0, 1, 55, 56, 63, 64, 65, 119, 127, 128, 129, 1000, 4096])
  func restores(length: Int) throws {
    try check(MD5.self, length)
    try check(SHA256.self, length)
  }

  private func check<Hash: StreamingHash>(_: Hash.Type, _ length: Int) throws {
    let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 37 ^ $0 >> 3) }
    for cut in Set([0, 1, length / 3, length / 2, max(0, length - 1), length]) where cut <= length {
      var first = Hash()
      first.update(Array(bytes[..<cut]))
      var second = try #require(Hash(state: first.state))
      #expect(second.byteCount == UInt64(cut))
      second.update(Array(bytes[cut...]))
      #expect(second.finalize() == Hash.hash(bytes))
    }
  }

  @Test func refusesWhatIsNoState() {
    #expect(MD5(state: []) == nil)
    #expect(MD5(state: SHA256().state) == nil)
    var state = MD5().state
    state[87] = 1
    #expect(MD5(state: state) == nil)
  }

  @Test func readsHex() {
    #expect(Digest(hex: "D41D8CD98F00B204E9800998ECF8427E") == MD5.hash([]))
    for bad in ["", "d41d8cd98f00b204e9800998ecf8427", "d41d8cd98f00b204e9800998ecf8427g", "+41d8cd98f00b204e9800998ecf8427e"] {
      #expect(Digest(hex: bad) == nil)
    }
  }
}
