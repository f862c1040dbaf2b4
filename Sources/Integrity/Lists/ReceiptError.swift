import SystemPackage

/// Why a receipt can't be used.
public struct ReceiptError: Error, CustomStringConvertible, Equatable {
  public enum Reason: Sendable, Equatable {
    case unreadable(Errno)
    case malformed(String)
    /// It doesn't look like a receipt at all.
    case ofAnotherKind(String)
    case unwritable(Errno)
    /// It would hold a link or an absolute path.
    case secret
  }

  public let path: FilePath
  public let reason: Reason

  /// Whether what was read is no receipt at all.
  package var holdsSomethingElse: Bool {
    switch reason {
    case .ofAnotherKind, .unreadable(.fileTooLarge): true
    default: false
    }
  }

  public var description: String {
    switch reason {
    case .unreadable(let error): "\(path): cannot be read: \(error)."
    case .unwritable(let error): "\(path): cannot be written: \(error)."
    case .malformed(let what), .ofAnotherKind(let what): "\(path): not a receipt of drover: \(what)."
    case .secret: "\(path): not written, because a link or an absolute path would have been in it."
    }
  }
}
