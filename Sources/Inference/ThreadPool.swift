import CKernels
import Platform
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Threads that stay, for parallel loops a few microseconds long.
///
/// A thread that has nothing to do asks again for a short while, since the next loop usually follows at once, and then sleeps until it is woken. Each
/// thread takes one task at a time, so one that the system has put aside holds up the loop by the task it is in and no more.
final class ThreadPool: Sendable {
  typealias Body = @Sendable (_ task: Int, _ worker: Int) -> Void

  /// Threads that work, the caller's included.
  let threads: Int
  private let loop = Loop()
  private let helpers: [WorkerThread]

  init(threads: Int) {
    self.threads = max(1, threads)
    // Where the system has fewer threads to give, the others do their work.
    helpers = (1..<max(1, threads)).compactMap { [loop] worker in WorkerThread.start { loop.serve(as: worker) } }
  }

  deinit {
    loop.stop()
    for thread in helpers { thread.join() }
  }

  /// Calls `body` for every task in `0..<count`, each once, on all threads, and returns when the last is done.
  /// `worker`, below `threads`, tells threads apart. Called by one thread at a time, never from within a body.
  func run(_ count: Int, _ body: Body) {
    guard count > 1, !helpers.isEmpty else {
      for task in 0..<count { body(task, 0) }
      return
    }
    withoutActuallyEscaping(body) { body in
      withUnsafePointer(to: body) { loop.run(count, $0) }
    }
  }

  /// The loop that runs, as the threads share it.
  private final class Loop: @unchecked Sendable {
    // Unchecked: `body` is written before `ticket` is published, and read only by threads that hold a claimed task; `run` returns when no task is left.

    /// Tasks of the loop that runs in the upper half, tasks already claimed in the lower.
    private let ticket = Atomic<UInt64>(0)
    private let completed = Atomic<Int>(0)
    /// Threads that sleep or are about to: `run` takes the monitor's lock only where there are some.
    private let sleepers = Atomic<Int>(0)
    private let isStopping = Atomic<Bool>(false)
    /// What sleepers wait for is in the atomics; the monitor has no value of its own.
    private let sleep = Monitor(())
    private var body: UnsafePointer<Body>?

    func run(_ count: Int, _ body: UnsafePointer<Body>) {
      self.body = body
      completed.store(0, ordering: .relaxed)
      // Either this store is seen by a thread that goes to sleep, or its count of sleepers is seen here.
      ticket.store(UInt64(count) << 32, ordering: .sequentiallyConsistent)
      if sleepers.load(ordering: .sequentiallyConsistent) > 0 { wakeAll() }
      work(as: 0)
      var spins = 0
      while completed.load(ordering: .acquiring) < count {
        spins += 1
        // After a while this thread offers its processor: the thread that has the last task may be waiting for one.
        if spins < 2_000 { drover_spin_hint() } else { sched_yield() }
      }
    }

    func serve(as worker: Int) {
      while !isStopping.load(ordering: .acquiring) {
        work(as: worker)
        var spins = 0
        while !hasTask, spins < 3_000 {
          spins += 1
          drover_spin_hint()
        }
        if hasTask { continue }
        sleepers.add(1, ordering: .sequentiallyConsistent)
        sleep.wait { _ in hasTask || isStopping.load(ordering: .acquiring) ? () : nil }
        sleepers.subtract(1, ordering: .sequentiallyConsistent)
      }
    }

    func stop() {
      isStopping.store(true, ordering: .sequentiallyConsistent)
      wakeAll()
    }

    private func wakeAll() { sleep.update { _ in } }

    private var hasTask: Bool {
      let ticket = ticket.load(ordering: .sequentiallyConsistent)
      return ticket & 0xFFFF_FFFF < ticket >> 32
    }

    private func work(as worker: Int) {
      var seen = ticket.load(ordering: .acquiring)
      while seen & 0xFFFF_FFFF < seen >> 32 {
        let (claimed, found) = ticket.weakCompareExchange(
          expected: seen, desired: seen + 1, successOrdering: .acquiringAndReleasing, failureOrdering: .acquiring)
        guard claimed else {
          seen = found
          continue
        }
        perform(Int(seen & 0xFFFF_FFFF), as: worker)
        completed.add(1, ordering: .acquiringAndReleasing)
        seen = ticket.load(ordering: .acquiring)
      }
    }

    // A function of its own, so that whatever it retains of the body is released before the task counts as done.
    @inline(never)
    private func perform(_ task: Int, as worker: Int) {
      body?.pointee(task, worker)
    }
  }
}
