import Platform
import SystemPackage

/// Hashes files side by side on all cores, each read once.
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
    public var digests: [HashAlgorithm: ChainedDigest]
  }

  /// Threads to read and hash on.
  public var threads: Int
  public var kernel: MD5Kernel

  /// - Parameters:
  ///   - threads: nil for one a processor.
  ///   - kernel: what hashes MD5s side by side.
  public init(threads: Int? = nil, kernel: MD5Kernel = .best) {
    self.threads = max(1, threads ?? Workers.available)
    self.kernel = kernel
  }

  /// Hashes all of `jobs`, the largest files first.
  /// - Parameters:
  ///   - progress: called on any thread, with the index of a job and the bytes of its file that are done.
  ///   - isCancelled: asked now and then.
  /// - Returns: for each job its outcome, or why its file couldn't be read: `.resourceBusy` when it changed on the way, `.canceled`
  ///   when that was asked for.
  public func hash(
    _ jobs: [Job], progress: @escaping @Sendable (_ job: Int, _ bytes: Int) -> Void = { _, _ in }, isCancelled: @escaping @Sendable () -> Bool = { false }
  ) -> [Result<Outcome, Errno>] {
    HashPipeline(
      jobs, sizes: jobs.map { Folder.size(of: $0.path) ?? 0 }, threads: threads, kernel: kernel, progress: progress, isCancelled: isCancelled
    ).run()
  }
}
