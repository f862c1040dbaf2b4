import SystemPackage

/// Why a path that was to be verified, or a list under it, can't be.
public enum VerificationError: Error, CustomStringConvertible, Equatable {
  case missing(FilePath)
  case unreadable(FilePath, Errno)
  case noChecklist(FilePath)
  /// A file that was named, and that doesn't look like a checklist or a receipt.
  case noList(FilePath)
  /// A link in a store that leads out of its own blobs.
  case leavesStore(FilePath, target: FilePath)
  /// A manifest of ollama's that can't be one. A sentence's end.
  case manifest(FilePath, why: String)
  /// A model in a store that can't be opened as one file of weights. A sentence.
  case unusable(FilePath, why: String)
  /// A model that no store has, by the name that it was asked for. A sentence.
  case notInStore(String, why: String)
  /// A store, where one of its models should be named.
  case several(FilePath, names: [String])
  case checklist(ChecklistError)
  case receipt(ReceiptError)

  public var path: FilePath {
    switch self {
    case .missing(let path), .unreadable(let path, _), .noChecklist(let path), .noList(let path), .leavesStore(let path, _), .manifest(let path, _), .unusable(let path, _), .several(let path, _): path
    case .notInStore(let name, _): FilePath(name)
    case .checklist(let error): error.path
    case .receipt(let error): error.path
    }
  }

  /// What it comes to in a report that has a status for each path.
  public var status: Verification.Status {
    switch self {
    case .missing, .noChecklist, .notInStore: .missing
    case .unreadable(_, let error): .unreadable(error)
    case .noList, .several: .unreadable(.invalidArgument)
    case .leavesStore, .manifest, .unusable: .mismatch
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
    case .leavesStore(let path, let target): "\(path): leads out of the store's own blobs, to \(target), so it isn't followed; remove it, and fetch the model again."
    case .manifest(let path, let why): "\(path): not a manifest of ollama's: \(why)."
    case .unusable(let path, let why): "\(path): \(why)."
    case .notInStore(let name, let why): "\(name): \(why)."
    case .several(let path, let names):
      names.isEmpty ? "\(path): is a store of models, and has none." : "\(path): is a store of models: name one of them (\(names.prefix(8).joined(separator: ", "))\(names.count > 8 ? ", …" : ""))."
    case .checklist(let error): error.description
    case .receipt(let error): error.description
    }
  }
}
