import Foundation
import Glibc
import Integrity
import Synchronization
import SystemPackage
import TestSupport
import Testing

/// Many MD5s side by side, against OpenSSL one by one.
@Suite struct LaneTests {
  static let kernels = MD5Kernel.allCases.filter(\.isAvailable)

  /// Lengths around the edges of a word, of the padding, of a block and of several.
  static let edges = [0, 1, 3, 4, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 129, 191, 192, 193, 1023, 1024, 1025, 4096]

  /// Streams of random lengths, fed in random pieces, so that lanes begin in the middle of a block and end at different times.
  @Test(arguments: kernels, [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33])
  func agreesWithOpenSSL(kernel: MD5Kernel, streams: Int) {
    var random = SplitMix64(state: UInt64(streams))
    for round in 0..<40 {
      let data = (0..<streams).map { _ in
        let length = round % 2 == 0 ? Self.edges.randomElement(using: &random) ?? 0 : Int.random(in: 0...3000, using: &random)
        return [UInt8](unsafeUninitializedCapacity: length) { bytes, count in
          for index in 0..<length { bytes.initializeElement(at: index, to: UInt8.random(in: 0...255, using: &random)) }
          count = length
        }
      }
      var hashes = [MD5](repeating: MD5(), count: streams)
      var fed = [Int](repeating: 0, count: streams)
      while zip(fed, data).contains(where: { $0 < $1.count }) {
        let pieces = data.indices.map { data[$0][fed[$0]..<min(data[$0].count, fed[$0] + Int.random(in: 0...700, using: &random))] }
        for index in pieces.indices { fed[index] += pieces[index].count }
        update(&hashes, with: pieces, kernel)
      }
      #expect(hashes.map { $0.finalize() } == data.map(openSSLMD5))
      #expect(hashes.map(\.byteCount) == data.map { UInt64($0.count) })
    }
  }

  /// A hash that lanes worked on can be saved and restored like any other.
  @Test(arguments: kernels) func savesItsState(kernel: MD5Kernel) {
    let data = (0..<5).map { [UInt8](repeating: UInt8($0), count: 1000 + $0) }
    var hashes = [MD5](repeating: MD5(), count: 5)
    update(&hashes, with: data.map { $0[..<777] }, kernel)
    var restored = hashes.compactMap { MD5(state: $0.state) }
    update(&restored, with: data.map { $0[777...] }, kernel)
    #expect(restored.map { $0.finalize() } == data.map(openSSLMD5))
  }

  /// SHA-256 of streams of random lengths, side by side and fed in random pieces, against OpenSSL one by one.
  @Test(arguments: SHA256Kernel.allCases.filter(\.isAvailable), [1, 2, 3, 4, 7, 8, 9, 16, 17]) func agreesWithOpenSSL(kernel: SHA256Kernel, streams: Int) {
    var random = SplitMix64(state: UInt64(streams))
    for round in 0..<30 {
      let data = (0..<streams).map { _ in
        let length = round % 2 == 0 ? Self.edges.randomElement(using: &random) ?? 0 : Int.random(in: 0...5000, using: &random)
        return (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
      }
      var hashes = [SHA256](repeating: SHA256(), count: streams)
      var fed = [Int](repeating: 0, count: streams)
      while zip(fed, data).contains(where: { $0 < $1.count }) {
        let pieces = data.indices.map { data[$0][fed[$0]..<min(data[$0].count, fed[$0] + Int.random(in: 0...700, using: &random))] }
        for index in pieces.indices { fed[index] += pieces[index].count }
        withCopies(of: pieces) { SHA256.update(&hashes, with: $0, kernel: kernel) }
        // What lanes leave can be saved and restored like any other.
        if round % 3 == 0 { hashes = hashes.compactMap { SHA256(state: $0.state) } }
      }
      #expect(hashes.map { $0.finalize() } == data.map { SHA256.hash($0) })
      #expect(hashes.map(\.byteCount) == data.map { UInt64($0.count) })
    }
  }

  /// A stream alone: pieces begin and end anywhere, and `update` may choose any kernel.
  @Test func aloneAgreesWithOpenSSL() {
    var random = SplitMix64(state: 7)
    let data = (0..<100_000).map { _ in UInt8.random(in: 0...255, using: &random) }
    for _ in 0..<50 {
      var (hash, fed) = (MD5(), 0)
      while fed < data.count {
        let piece = data[fed..<min(data.count, fed + Int.random(in: 0...9000, using: &random))]
        piece.withUnsafeBytes { hash.update($0) }
        fed += piece.count
      }
      #expect(hash.finalize() == openSSLMD5(data))
    }
  }

  private func update(_ hashes: inout [MD5], with pieces: [ArraySlice<UInt8>], _ kernel: MD5Kernel) {
    withCopies(of: pieces) { MD5.update(&hashes, with: $0, kernel: kernel) }
  }

  /// One allocation each, at whatever alignment it gets.
  private func withCopies(of pieces: [ArraySlice<UInt8>], _ body: ([UnsafeRawBufferPointer]) -> Void) {
    let copies = pieces.map { piece in
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: piece.count, alignment: 1)
      copy.copyBytes(from: piece)
      return copy
    }
    body(copies.map { UnsafeRawBufferPointer($0) })
    for copy in copies { copy.deallocate() }
  }

  /// Files of all sizes, some larger than a chunk, in the page cache and not, on any number of threads, against md5sum and sha256sum.
  @Test(arguments: [1, 2, 5]) func hashesFiles(threads: Int) throws {
    try withTemporaryFolder { folder in
      let sizes = LaneTests.edges + [262_143, 262_144, 262_145, 524_288, 700_001, 3_000_000, 8_388_608, 9_000_000]
      try write(sizes, to: folder)
      let names = sizes.indices.map(String.init)
      func sums(_ tool: String) throws -> [String] {
        try run("/usr/bin/env", [tool] + names, in: folder).output.split(separator: "\n").map { String($0.prefix { $0 != " " }) }
      }
      let (md5, sha256) = (try sums("md5sum"), try sums("sha256sum"))
      // Every third is wanted in one way, in the other, in both.
      let wanted: [Set<HashAlgorithm>] = [[.md5], [.sha256], [.md5, .sha256]]
      let jobs = sizes.indices.map { FileHasher.Job(path: FilePath("\(folder)/\($0)"), algorithms: wanted[$0 % 3]) }
      for isCold in [false, true] {
        // The sums above brought all of them into the page cache; some of one file's windows stay in it.
        if isCold { for index in sizes.indices { try forget("\(folder)/\(index)", from: index % 2 == 0 ? 0 : 8 << 20) } }
        let outcomes = FileHasher(threads: threads).hash(jobs + [.init(path: FilePath(folder + "/absent"), algorithms: [.md5])])
        #expect(outcomes.last == .failure(.noSuchFileOrDirectory))
        for index in sizes.indices {
          let outcome = try outcomes[index].get()
          #expect(outcome.bytes == sizes[index])
          #expect(Set(outcome.digests.keys) == wanted[index % 3])
          if let digest = outcome.digests[.md5]?.digest { #expect(digest.hex == md5[index]) }
          if let digest = outcome.digests[.sha256]?.digest { #expect(digest.hex == sha256[index]) }
        }
      }
    }
  }

  /// Whenever it is stopped it comes back, with nothing but right digests and the word that the rest was stopped.
  @Test(arguments: [false, true]) func stops(isCold: Bool) throws {
    try withTemporaryFolder { folder in
      let sizes = [Int](repeating: 3_000_000, count: 7)
      try write(sizes, to: folder)
      let jobs = sizes.indices.map { FileHasher.Job(path: FilePath("\(folder)/\($0)"), algorithms: [.md5, .sha256]) }
      let whole = FileHasher(threads: 2).hash(jobs)
      for limit in [0, 1, 2, 5, 20, 60, 100] {
        if isCold { for index in sizes.indices { try forget("\(folder)/\(index)", from: 0) } }
        let asked = Atomic(0)
        let outcomes = FileHasher(threads: 3).hash(jobs, isCancelled: { asked.add(1, ordering: .relaxed).oldValue >= limit })
        for (outcome, expected) in zip(outcomes, whole) { #expect(outcome == expected || outcome == .failure(.canceled)) }
        #expect(limit > 5 || outcomes.contains(.failure(.canceled)))
      }
    }
  }

  /// Of a file that grows while it is read no digest is true.
  @Test func seesAFileGrow() throws {
    try withTemporaryFolder { folder in
      try write([3_000_000, 3_000_000], to: folder)
      let jobs = (0..<2).map { FileHasher.Job(path: FilePath("\(folder)/\($0)"), algorithms: [.md5, .sha256]) }
      let hasGrown = Atomic(false)
      let outcomes = FileHasher(threads: 2).hash(jobs, progress: { job, _ in
        guard job == 1, !hasGrown.exchange(true, ordering: .relaxed) else { return }
        let descriptor = open("\(folder)/1", O_WRONLY | O_APPEND)
        _ = Glibc.write(descriptor, "x", 1)
        close(descriptor)
      })
      #expect(try outcomes[0].get().bytes == 3_000_000)
      #expect(outcomes[1] == .failure(.resourceBusy))
    }
  }

  private func write(_ sizes: [Int], to folder: String) throws {
    var random = SplitMix64(state: 7)
    for (index, size) in sizes.enumerated() {
      var bytes = [UInt8](repeating: 0, count: size)
      for at in bytes.indices { bytes[at] = UInt8(truncatingIfNeeded: random.next()) }
      try Data(bytes).write(to: URL(filePath: "\(folder)/\(index)"))
    }
  }

  /// Puts a file's bytes from `start` on out of the page cache.
  private func forget(_ path: String, from start: Int) throws {
    let descriptor = open(path, O_RDONLY)
    defer { close(descriptor) }
    try #require(fsync(descriptor) == 0)
    posix_fadvise(descriptor, off_t(start), 0, POSIX_FADV_DONTNEED)
  }

  /// A kernel that was asked for and isn't there is an error that names what there is; one that is there does the work.
  @Test func forcedKernels() throws {
    let model = Peer.packageRoot + "/Sources/CDemoModel/model"
    for kernel in MD5Kernel.allCases {
      let outcome = try drover("verify", model, environment: ["DROVER_MD5_KERNEL": kernel.rawValue])
      #expect(outcome.status == (kernel.isAvailable ? 0 : 64), "\(kernel): \(outcome.errors)")
    }
    for kernel in SHA256Kernel.allCases {
      let outcome = try drover("fingerprint", model, environment: ["DROVER_SHA256_KERNEL": kernel.rawValue])
      #expect(outcome.status == (kernel.isAvailable ? 0 : 64), "\(kernel): \(outcome.errors)")
      if kernel.isAvailable { #expect(try outcome.output == drover("fingerprint", model).output) }
    }
    for (variable, arguments) in [("DROVER_SHA256_KERNEL", ["verify", model]), ("DROVER_MD5_KERNEL", ["verify", model]), ("DROVER_KERNEL", ["complete", model, "--prompt", "a"])] {
      let outcome = try run(droverPath, arguments, environment: [variable: "mmx"])
      #expect(outcome.status == 64 && outcome.errors.contains(variable) && outcome.errors.contains("plain"), "\(outcome.errors)")
    }
  }

  @Test func aProcessorHasWhatItsFamilyHas() {
    #expect(MD5Kernel.plain.isAvailable)
    #if arch(x86_64)
      #expect(MD5Kernel.sse2.isAvailable)
    #elseif arch(arm64)
      #expect(MD5Kernel.neon.isAvailable)
    #endif
  }
}

/// Sebastiano Vigna's generator: the same numbers in every run.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
