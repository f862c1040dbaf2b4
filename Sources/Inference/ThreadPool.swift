import CKernels
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Threads that stay, for parallel loops a few microseconds long.
///
/// A thread that has nothing to do spins for a short while, since the next loop usually follows at once, and then sleeps. Work is
/// claimed task by task, so a thread that the system has put aside holds up no more than the task it is in.
final class ThreadPool: Sendable {
  typealias Body = (_ task: Int, _ worker: Int) -> Void

  /// Threads that work, the caller's included.
  let threads: Int
  private let shared = Shared()
  private let handles: [pthread_t]

  init(threads: Int) {
    self.threads = max(1, threads)
    var handles: [pthread_t] = []
    for worker in 1..<max(1, threads) {
      let start = Unmanaged.passRetained(Start(shared: shared, worker: worker))
      var handle = pthread_t()
      let status = pthread_create(
        &handle, nil,
        { argument in
          guard let argument else { return nil }
          let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
          start.shared.serve(as: start.worker)
          return nil
        }, start.toOpaque())
      // Without the thread the others do its work.
      if status == 0 { handles.append(handle) } else { start.release() }
    }
    self.handles = handles
  }

  deinit {
    shared.stop()
    for handle in handles { pthread_join(handle, nil) }
  }

  /// Processors that are online.
  static var processors: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

  /// Calls `body` for every task in `0..<count`, each once, on all threads, and returns when the last is done.
  /// `worker`, below `threads`, tells threads apart. Called by one thread at a time, never from within a body.
  func run(_ count: Int, _ body: Body) {
    guard count > 1, !handles.isEmpty else {
      for task in 0..<count { body(task, 0) }
      return
    }
    withoutActuallyEscaping(body) { body in
      withUnsafePointer(to: body) { shared.run(count, $0) }
    }
  }

  private final class Start {
    let shared: Shared
    let worker: Int

    init(shared: Shared, worker: Int) {
      self.shared = shared
      self.worker = worker
    }
  }

  private final class Shared: @unchecked Sendable {
    // Unchecked: `body` is written before `ticket` is published and read only by who holds a claimed task; the mutex and the
    // condition are made for sharing.

    /// Tasks of the loop that runs in the upper half, tasks already claimed in the lower.
    private let ticket = Atomic<UInt64>(0)
    private let completed = Atomic<Int>(0)
    private let sleepers = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)
    private var body: UnsafePointer<Body>?
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init() {
      pthread_mutex_init(mutex, nil)
      pthread_cond_init(condition, nil)
    }

    deinit {
      pthread_cond_destroy(condition)
      pthread_mutex_destroy(mutex)
      condition.deallocate()
      mutex.deallocate()
    }

    func run(_ count: Int, _ body: UnsafePointer<Body>) {
      self.body = body
      completed.store(0, ordering: .relaxed)
      ticket.store(UInt64(count) << 32, ordering: .sequentiallyConsistent)
      if sleepers.load(ordering: .sequentiallyConsistent) > 0 { wakeAll() }
      work(as: 0)
      var spins = 0
      while completed.load(ordering: .acquiring) < count {
        spins += 1
        // The thread that we wait for may need this very processor.
        if spins < 2_000 { drover_spin_hint() } else { sched_yield() }
      }
    }

    func serve(as worker: Int) {
      while true {
        work(as: worker)
        var spins = 0
        while !hasTask, spins < 3_000 {
          spins += 1
          drover_spin_hint()
        }
        if hasTask { continue }
        pthread_mutex_lock(mutex)
        sleepers.add(1, ordering: .sequentiallyConsistent)
        while !hasTask, !stopping.load(ordering: .acquiring) { pthread_cond_wait(condition, mutex) }
        sleepers.subtract(1, ordering: .sequentiallyConsistent)
        pthread_mutex_unlock(mutex)
        if stopping.load(ordering: .acquiring) { return }
      }
    }

    func stop() {
      stopping.store(true, ordering: .sequentiallyConsistent)
      wakeAll()
    }

    private var hasTask: Bool {
      let ticket = ticket.load(ordering: .sequentiallyConsistent)
      return ticket & 0xFFFF_FFFF < ticket >> 32
    }

    private func wakeAll() {
      pthread_mutex_lock(mutex)
      pthread_cond_broadcast(condition)
      pthread_mutex_unlock(mutex)
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
