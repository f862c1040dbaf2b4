import Integrity

/// What a format can hold of a checkpoint that is written in it. Each format has its own.
struct FormatCapacity: Sendable {
  /// Of tensors.
  let dtypes: Set<DType>
  /// Whether each rank can have a file of its own. Otherwise the checkpoint is whole, in one file or several.
  let isSharded: Bool

  /// As a list in words.
  var dtypeNames: String {
    let names = DType.allCases.filter(dtypes.contains).map(\.rawValue)
    return names.dropLast().joined(separator: ", ") + " and " + (names.last ?? "")
  }
}

extension Checkpoint.Format {
  /// Whether each rank can have a file of its own.
  public var isSharded: Bool { capacity.isSharded }

  var capacity: FormatCapacity {
    switch self {
    case .pth: .pth
    case .safetensors: .safetensors
    case .hf: .huggingFace
    case .dcp: .dcp
    case .gguf: .gguf
    }
  }
}
