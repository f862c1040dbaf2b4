import CCurl
import Platform

/// The threads that receive. The engine's own is the first; what its state is read and changed by holds the lock, which is open while libcurl works, while
/// bytes are copied and while a thread waits.
extension Engine {
  /// Starts the threads of all loops but the first. Where one can't be started there are fewer.
  func startReceiving() {
    for loop in loops.dropFirst() {
      receiving.update { $0 += 1 }
      let isStarted = Workers.detach {
        self.lock.hold {
          while !loop.isStopping {
            self.turn(loop)
            self.wait(loop)
          }
        }
        self.receiving.update { $0 -= 1 }
      }
      guard !isStarted else { continue }
      receiving.update { $0 -= 1 }
      loops.removeAll { $0 === loop }
    }
  }

  /// Waits for these threads' ends.
  func stopReceiving() {
    lock.hold {
      for loop in loops.dropFirst() {
        loop.isStopping = true
        loop.wake()
      }
    }
    receiving.wait { $0 == 0 ? () : nil }
  }

  /// The loop that has the fewest requests.
  var idlestLoop: NetworkLoop {
    var best = loops[0]
    func count(_ loop: NetworkLoop) -> Int { connections.count { $0.loop === loop } }
    for loop in loops.dropFirst() where count(loop) < count(best) { best = loop }
    return best
  }

  /// A turn of a loop's own thread: takes up what was left for it, has libcurl work, and takes account of what has ended.
  func turn(_ loop: NetworkLoop) {
    for connection in loop.starting where curl_multi_add_handle(loop.multi, connection.handle) != CURLM_OK { fatal = .library("a request could not be made") }
    loop.starting = []
    if loop === loops[0], let check, !check.isBegun {
      check.isBegun = true
      if curl_multi_add_handle(loop.multi, check.handle) != CURLM_OK { fatal = .library("a request could not be made") }
    }
    let resumed = loop.mayResume ? connections.filter { $0.loop === loop && $0.isPaused } : []
    loop.mayResume = false
    for connection in resumed { connection.isResumed() }
    lock.open {
      // This brings bytes at once.
      for connection in resumed { curl_easy_pause(connection.handle, CURLPAUSE_CONT) }
      var running: Int32 = 0
      curl_multi_perform(loop.multi, &running)
    }
    let before = connections.count
    collect(loop)
    for connection in connections where connection.loop === loop {
      switch connection.ending {
      case .stalled, .superseded, .overtaken: ended(connection, CURLE_OK)
      case .reachedLimit, .judged, nil: break
      }
    }
    // What to ask for next is the first loop's to say, and at once: small files would else wait for the next look, eight at a time.
    if connections.count < before { mailbox.post(.wake) }
  }

  /// Waits until something comes for a loop.
  func wait(_ loop: NetworkLoop) {
    let start = steadySeconds()
    lock.open { loop.wait(seconds: Self.lookInterval) }
    tuner.wait((steadySeconds() - start) / Double(loops.count))
  }
}
