import SystemPackage

/// Why a path that was to be verified, or a list under it, can't be.
public enum VerificationError: Error, CustomStringConvertible, Equatable {
  case missing(FilePath)
  case unreadable(FilePath, Errno)
  case noChecklist(FilePath)
  /// A file that was named, and that doesn't look like a checklist or a receipt.
  case noList(FilePath)
  case checklist(ChecklistError)
  case receipt(ReceiptError)

  public var path: FilePath {
    switch self {
    case .missing(let path), .unreadable(let path, _), .noChecklist(let path), .noList(let path): path
    case .checklist(let error): error.path
    case .receipt(let error): error.path
    }
  }

  /// What it comes to in a report that has a status for each path.
  public var status: Verification.Status {
    switch self {
    case .missing, .noChecklist: .missing
    case .unreadable(_, let error): .unreadable(error)
    case .noList: .unreadable(.invalidArgument)
    case .checklist(let error):
      if case .unreadable(let error) = error.reason { .unreadable(error) } else { .mismatch }
    case .receipt(let error):
      if case .unreadable(let error) = error.reason { .unreadable(error) } else { .mismatch }
    }
  }

  public var description: String {
    switch self {
    case .missing(let path): "\(path): no such file or folder."
    case .unreadable(let path, let error): "\(path): cannot be read: \(error)."
    case .noChecklist(let path): "\(path): no checklist or receipt in or under it (checklist.chk, *.md5, *.sha256, drover-receipt.json, …), so there is nothing to verify against."
    case .noList(let path): "\(path): is no checklist or receipt. Name the list that speaks of it, or its folder."
    case .checklist(let error): error.description
    case .receipt(let error): error.description
    }
  }
}
