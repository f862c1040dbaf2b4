import CCurl
import Platform

/// One thread's share of the network: libcurl's multi handle, and the requests that go over it.
///
/// libcurl lets only one thread at a time use a multi handle and its requests. So each loop begins, resumes and ends its own; whoever wants one of these
/// of another thread's loop leaves a word for it here. Everything but `wake` takes the engine's lock.
final class NetworkLoop: @unchecked Sendable {
  // Unchecked: what changes is touched with the engine's lock held.
  let multi: UnsafeMutableRawPointer
  /// Requests that its thread has to begin.
  var starting: [Connection] = []
  /// Whether there may be memory again for requests that wait for some.
  var mayResume = false
  var isStopping = false

  /// - Returns: nil when libcurl can make no more.
  init?() {
    guard EasyHandle.isInitialized, let multi = curl_multi_init() else { return nil }
    self.multi = multi
    // A stream each on one connection would share its speed.
    ccurl_multi_setopt_long(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING)
    ccurl_multi_setopt_long(multi, CURLMOPT_MAXCONNECTS, 64)
  }

  deinit { curl_multi_cleanup(multi) }

  /// Ends its thread's wait for sockets. The one thing that other threads may do at any time.
  func wake() { curl_multi_wakeup(multi) }

  /// Waits for its sockets, without the engine's lock.
  func wait(seconds: Double) { curl_multi_poll(multi, nil, 0, Int32(seconds * 1000), nil) }

  /// How many suit this machine: one receives some 10 Gb/s, and on few cores there is nothing to be had by two, since hashing needs the others.
  static var suitable: Int { max(1, min(4, Workers.available / 2)) }
}
