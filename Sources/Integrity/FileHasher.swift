import Synchronization
import SystemPackage

/// Hashes files side by side on all cores.
public struct FileHasher: Sendable {
  /// A file, and what is wanted of it.
  public struct Job: Sendable, Equatable {
    public var path: FilePath
    public var algorithms: Set<HashAlgorithm>

    public init(path: FilePath, algorithms: Set<HashAlgorithm>) {
      self.path = path
      self.algorithms = algorithms
    }
  }

  /// What came of a job.
  public struct Outcome: Sendable, Equatable {
    /// Bytes hashed.
    public var bytes: Int
    public var digests: [HashAlgorithm: Digest]
  }

  /// Threads to hash on.
  public var threads: Int

  public init(threads: Int? = nil) { self.threads = threads ?? Workers.available }

  /// Hashes all of `jobs`, the largest files first.
  /// - Parameter progress: called on any thread, with the index of a job and the bytes of its file that are done.
  /// - Returns: for each job its outcome, or why its file couldn't be read.
  public func hash(_ jobs: [Job], progress: @escaping @Sendable (_ job: Int, _ bytes: Int) -> Void = { _, _ in }) -> [Result<Outcome, Errno>] {
    let sizes = jobs.map { (try? OpenFile($0.path))?.size ?? 0 }
    let order = jobs.indices.sorted { sizes[$0] > sizes[$1] }
    let next = Atomic(0)
    let results = Mutex([Result<Outcome, Errno>?](repeating: nil, count: jobs.count))
    Workers.run(min(threads, jobs.count)) {
      while true {
        let turn = next.add(1, ordering: .relaxed).oldValue
        guard turn < order.count else { return }
        let job = order[turn]
        let result = Result { () throws(Errno) in try Self.hash(jobs[job]) { progress(job, $0) } }
        results.withLock { $0[job] = result }
      }
    }
    return results.withLock { $0.map { $0 ?? .failure(.canceled) } }
  }

  private static func hash(_ job: Job, progress: (Int) -> Void) throws(Errno) -> Outcome {
    let file = try OpenFile(job.path)
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 4096)
    defer { chunk.deallocate() }
    var hashes: [any StreamingHash] = job.algorithms.map { $0.newHash }
    var done = 0
    while true {
      let count = try file.read(into: chunk, at: done)
      guard count > 0 else { break }
      for index in hashes.indices { hashes[index].update(UnsafeRawBufferPointer(rebasing: chunk[..<count])) }
      done += count
      progress(done)
    }
    return Outcome(bytes: done, digests: .init(uniqueKeysWithValues: hashes.map { (type(of: $0).algorithm, $0.finalize()) }))
  }
}
