import COpenSSL
import Platform
import Synchronization
import SystemPackage

/// The name that git gives to a file's content: SHA-1 of `blob LENGTH`, a zero, and the bytes ("Git Internals: Git Objects" in the Pro Git book).
///
/// Hugging Face's hub vouches so for files that are small enough to lie in git itself.
public struct GitBlobID: Sendable, Hashable, CustomStringConvertible, Codable {
  /// Twenty of them.
  public let bytes: [UInt8]

  /// Reads 40 hexadecimal digits, upper or lower case.
  /// - Returns: nil for anything else.
  public init?(hex: some StringProtocol) {
    guard hex.utf8.count == 40, let bytes = Hex.decode(hex) else { return nil }
    self.bytes = bytes
  }

  /// Of content that is in memory.
  public init(of content: some Collection<UInt8>) {
    var hash = Hash(byteCount: content.count)
    Array(content).withUnsafeBytes { hash.update($0) }
    bytes = hash.finalize()
  }

  /// Of several files, side by side.
  /// - Returns: for each its name, or why it couldn't be read.
  static func ofFiles(at paths: [FilePath], threads: Int, isCancelled: @escaping @Sendable () -> Bool) -> [Result<GitBlobID, Errno>] {
    let state = Mutex((next: 0, results: [Result<GitBlobID, Errno>](repeating: .failure(.canceled), count: paths.count)))
    Workers.run(min(threads, paths.count)) {
      while !isCancelled(), let index = state.withLock({ state -> Int? in
        guard state.next < paths.count else { return nil }
        state.next += 1
        return state.next - 1
      }) {
        let result = Result { () throws(Errno) in try GitBlobID(ofFileAt: paths[index]) }
        state.withLock { $0.results[index] = result }
      }
    }
    return state.withLock { $0.results }
  }

  /// Of a file's content.
  /// - Throws: `.resourceBusy` where somebody wrote to it meanwhile.
  public init(ofFileAt path: FilePath) throws(Errno) {
    let file = try OpenFile(path)
    var hash = Hash(byteCount: file.size)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 64)
    defer { buffer.deallocate() }
    var offset = 0
    while true {
      let count = try file.read(into: buffer, at: offset)
      if count == 0 { break }
      hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      offset += count
    }
    guard offset == file.size, !file.hasChanged else { throw .resourceBusy }
    bytes = hash.finalize()
  }

  /// Lower-case hexadecimal, as git prints it.
  public var hex: String { Hex.encode(bytes) }
  public var description: String { hex }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let id = GitBlobID(hex: try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "a git object's name has 40 hexadecimal digits")
    }
    self = id
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(hex)
  }

  private struct Hash {
    private var context = SHA_CTX()

    init(byteCount: Int) {
      SHA1_Init(&context)
      Array("blob \(byteCount)\0".utf8).withUnsafeBytes { update($0) }
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) { SHA1_Update(&context, bytes.baseAddress, bytes.count) }

    mutating func finalize() -> [UInt8] {
      [UInt8](unsafeUninitializedCapacity: 20) { bytes, count in
        SHA1_Final(bytes.baseAddress, &context)
        count = 20
      }
    }
  }
}
