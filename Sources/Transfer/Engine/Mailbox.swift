import CCurl
import Integrity
import Synchronization

/// What other threads tell the engine's own.
enum EngineMessage: Sendable {
  case wake
  case prepared(file: Int, Preparation)
  /// Every byte of a file was hashed and written.
  case landed(file: Int)
  /// The disk wouldn't take a file's bytes.
  case failed(file: Int, TransferError)
  /// There is memory again for a connection that waits.
  case memory
  /// What was here of a file is gone, and it begins anew.
  case cleared(file: Int, TransferError?)
  /// What was here of a file is gone, and it is given up.
  case discarded(file: Int, TransferError)
  /// `wasThere`: the same content had its final name before.
  case committed(file: Int, wasThere: Bool, TransferError?)
  /// Small files have their names, or can't have them.
  case named([WholeFile.Named])
  /// A file is whole, but git has another name for it than its publisher says.
  case otherBlob(file: Int, GitBlobID)
  case newLink(SignedLink?)
}

/// What the other threads have to tell the engine's own; a message wakes it out of its wait for sockets.
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
