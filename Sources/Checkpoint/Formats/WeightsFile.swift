import SystemPackage

/// A file of weights, known by what is in it and not by its ending.
enum WeightsFile {
  enum Kind {
    /// torch's: a zip.
    case torch
    /// torch's from before version 1.6.
    case legacyTorch
    case safetensors, gguf

    /// - Throws: `.corrupt` for what is none of them, with what it is.
    init(_ file: any ByteSource) throws(CheckpointError) {
      let head = try file.bytes(0..<min(file.count, 32))
      if head.starts(with: "GGUF".utf8) {
        self = .gguf
      } else if head.starts(with: "PK".utf8) {
        self = .torch
      } else if head.count > 8, head[8] == UInt8(ascii: "{") {
        self = .safetensors
      } else if LegacyReader.isMagic(head) {
        self = .legacyTorch
      } else {
        try file.refuseStandIn()
        // The reader of what it should be by its name says most exactly what is wrong; elsewhere that would cost a request.
        switch file.path.extension {
        case "safetensors": self = .safetensors
        case "pth" where file.isHere: self = .torch
        default:
          let what = head.first == 0x80 ? "is a pickle, but not one of those that torch.save writes" : "is neither a .pth, nor a safetensors file, nor a GGUF"
          throw CheckpointError(.corrupt, in: file.path, byte: 0, what)
        }
      }
    }
  }

  /// Reads tensors as they are, whatever they are for.
  /// - Throws: for one that can't be kept.
  static func extras(_ names: Set<String>, _ file: any ByteSource) throws(CheckpointError) -> [ExtraTensor] {
    switch try Kind(file) {
    case .torch: try PthReader.extras(names, file)
    case .legacyTorch: try LegacyReader.extras(names, file)
    case .safetensors: try SafetensorsReader.extras(names, file)
    case .gguf: []
    }
  }

  /// - Parameter index: which of the checkpoint's files `file` is.
  static func read(_ file: any ByteSource, index: Int) throws(CheckpointError) -> StoredTensors {
    switch try Kind(file) {
    case .torch: try PthReader.read(file, index: index)
    case .legacyTorch: try LegacyReader.read(file, index: index)
    case .safetensors: try SafetensorsReader.read(file, index: index)
    case .gguf: throw CheckpointError(.unsupported, in: file.path, "is a GGUF, which can't be a part of a checkpoint in another format")
    }
  }
}
