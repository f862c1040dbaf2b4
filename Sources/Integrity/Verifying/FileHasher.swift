import Platform
import SystemPackage

/// Hashes whole files side by side on all cores, each read once.
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

  /// - Parameter threads: nil for one a processor.
  public init(threads: Int? = nil) { self.threads = max(1, threads ?? Workers.available) }

  /// Hashes all of `jobs`, the largest files first.
  /// - Parameters:
  ///   - progress: called on any thread, with the index of a job and the bytes of its file that are done.
  ///   - isCancelled: asked now and then.
  /// - Returns: for each job its outcome, or why its file couldn't be read: `.resourceBusy` when it changed on the way, `.canceled`
  ///   when that was asked for.
  public func hash(
    _ jobs: [Job], progress: @escaping @Sendable (_ job: Int, _ bytes: Int) -> Void = { _, _ in }, isCancelled: @escaping @Sendable () -> Bool = { false }
  ) -> [Result<Outcome, Errno>] {
    let files = jobs.map { ($0.path, Directory.size(of: $0.path) ?? 0) }
    let stretches = jobs.indices.map { index in
      Stretch(
        file: index, bytes: 0..<files[index].1, md5: jobs[index].algorithms.contains(.md5) ? MD5() : nil,
        sha256: jobs[index].algorithms.contains(.sha256) ? SHA256() : nil)
    }
    let outcomes = HashPipeline(files, stretches, threads: threads, progress: progress, isCancelled: isCancelled).run()
    return zip(outcomes, files).map { outcome, file in
      outcome.map { outcome in
        var digests: [HashAlgorithm: ChainedDigest] = [:]
        digests[.md5] = outcome.md5?.finalize()
        digests[.sha256] = outcome.sha256?.finalize()
        return Outcome(bytes: file.1, digests: digests)
      }
    }
  }
}
