import CCurl
import Glibc
import Integrity
import Platform
import Synchronization

/// What the other threads have to tell the network's thread; a message wakes it out of its wait for sockets.
final class Mailbox<Message: Sendable>: Sendable {
  private struct State {
    var messages: [Message] = []
    /// libcurl's multi handle, as long as it can be woken.
    var multi: UInt?
  }

  private let state = Mutex(State())

  /// Says whom to wake; nil when there is nobody any more.
  func attach(_ multi: UnsafeMutableRawPointer?) { state.withLock { $0.multi = multi.map { UInt(bitPattern: $0) } } }

  func post(_ message: Message) {
    state.withLock { state in
      state.messages.append(message)
      // `curl_multi_wakeup` is the one call that other threads may make.
      if let multi = state.multi { curl_multi_wakeup(UnsafeMutableRawPointer(bitPattern: multi)) }
    }
  }

  func takeAll() -> [Message] {
    state.withLock { state in
      defer { state.messages = [] }
      return state.messages
    }
  }
}

/// Wakes threads that wait for something to do.
final class Doorbell: @unchecked Sendable {
  // Only touched through pthread's functions, which are made for it.
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  init() {
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(condition, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  /// Wakes everyone who waits.
  func ring() {
    pthread_mutex_lock(mutex)
    pthread_cond_broadcast(condition)
    pthread_mutex_unlock(mutex)
  }

  /// Waits for a ring, at most `seconds`. A ring between two waits is missed: wait briefly, and look again.
  func wait(seconds: Double) {
    var until = timespec()
    clock_gettime(CLOCK_MONOTONIC, &until)
    let total = Int(until.tv_nsec) + Int(seconds * 1e9)
    until.tv_sec += total / 1_000_000_000
    until.tv_nsec = total % 1_000_000_000
    pthread_mutex_lock(mutex)
    pthread_cond_timedwait(condition, mutex, &until)
    pthread_mutex_unlock(mutex)
  }
}

/// A few threads with a queue of jobs; when it is empty they do what there is to do in between.
final class Crew: Sendable {
  private struct State {
    var jobs: [@Sendable () -> Void] = []
    var running = 0
    var isStopping = false
  }

  private let state = Mutex(State())
  private let doorbell = Doorbell()

  /// - Parameters:
  ///   - pause: seconds between two looks for work.
  ///   - between: makes each thread's way of looking for work; it says whether it found some.
  init(threads: Int, pause: Double, between: @escaping @Sendable () -> (() -> Bool)) {
    for _ in 0..<threads {
      state.withLock { $0.running += 1 }
      let crew = self
      if !Workers.detach({ crew.work(pause: pause, between()) }) { state.withLock { $0.running -= 1 } }
    }
  }

  /// Whether there is a thread at all.
  var isAlive: Bool { state.withLock { $0.running > 0 } }

  func submit(_ job: @escaping @Sendable () -> Void) {
    state.withLock { $0.jobs.append(job) }
    doorbell.ring()
  }

  /// Drops what is in the queue, and waits for what is under way.
  func stop() {
    state.withLock { state in
      state.isStopping = true
      state.jobs = []
    }
    doorbell.ring()
    while state.withLock({ $0.running > 0 }) { doorbell.wait(seconds: 0.002) }
  }

  private func work(pause: Double, _ between: () -> Bool) {
    while true {
      let (job, isStopping) = state.withLock { state in (state.jobs.isEmpty ? nil : state.jobs.removeFirst(), state.isStopping) }
      if let job { job() } else if isStopping { break } else if !between() { doorbell.wait(seconds: pause) }
    }
    state.withLock { $0.running -= 1 }
    doorbell.ring()
  }
}
