import Platform

/// A few threads that take jobs in turn.
final class JobQueue: Sendable {
  private struct State {
    var jobs: [@Sendable () -> Void] = []
    var running = 0
    var isStopping = false
  }

  private let state = Monitor(State())

  init(threads: Int) {
    for _ in 0..<threads {
      state.update { $0.running += 1 }
      if !Workers.detach({ self.work() }) { state.update { $0.running -= 1 } }
    }
  }

  /// Whether there is a thread at all.
  var isAlive: Bool { state.peek { $0.running > 0 } }

  func submit(_ job: @escaping @Sendable () -> Void) { state.update { $0.jobs.append(job) } }

  /// Drops what waits, and waits for what is under way.
  func stop() {
    state.update { state in
      state.isStopping = true
      state.jobs = []
    }
    state.wait { $0.running == 0 ? () : nil }
  }

  private func work() {
    while let job = state.wait({ state -> (@Sendable () -> Void)?? in
      if !state.jobs.isEmpty { return .some(state.jobs.removeFirst()) }
      return state.isStopping ? .some(nil) : nil
    }) { job() }
    state.update { $0.running -= 1 }
  }
}
