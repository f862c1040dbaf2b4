import Integrity

/// Lays out a folder as `torch.distributed.checkpoint.save` of one process leaves it: each tensor whole, with Meta's names.
enum DCPLayout {
  private static let data = "__0_0.distcp"

  static func files(_ source: Checkpoint, _ dtype: (LogicalTensor) -> DType) -> [OutputFile] {
    var file = OutputFile(name: data)
    var places: [(region: OutputRegion, bytes: Range<Int>)] = []
    for tensor in source.tensors {
      let region = OutputRegion(whole: tensor, as: dtype(tensor))
      let start = file.byteCount
      file.append(contentsOf: PthLayout.tensorFile(region))
      places.append((region, start..<file.byteCount))
    }
    return [file, OutputFile(name: DCPReader.metadataName, content: metadata(places))]
  }

  /// The pickle of a `Metadata`.
  private static func metadata(_ places: [(region: OutputRegion, bytes: Range<Int>)]) -> [UInt8] {
    var pickler = Pickler()
    pickler.begin()
    pickler.object("metadata", "Metadata") { pickler in
      pickler.text("state_dict_metadata")
      pickler.dictionary { pickler in
        for (region, _) in places {
          pickler.text(region.name)
          pickler.object("metadata", "TensorStorageMetadata") { pickler in
            pickler.text("properties")
            pickler.properties(PthStorage.torchName(region.dtype))
            pickler.text("size")
            pickler.size(region.shape)
            pickler.text("chunks")
            pickler.list { pickler in
              pickler.object("metadata", "ChunkStorageMetadata") { pickler in
                pickler.text("offsets")
                pickler.size(region.shape.map { _ in 0 })
                pickler.text("sizes")
                pickler.size(region.shape)
              }
            }
          }
        }
      }
      pickler.text("planner_data")
      pickler.dictionary { pickler in
        for (region, _) in places {
          pickler.text(region.name)
          pickler.texts([region.name])
        }
      }
      pickler.text("storage_data")
      pickler.dictionary { pickler in
        for (region, bytes) in places {
          pickler.object("metadata", "MetadataIndex") { pickler in
            pickler.text("fqn")
            pickler.text(region.name)
            pickler.text("offset")
            pickler.size(region.shape.map { _ in 0 })
            pickler.text("index")
            pickler.integer(0)
          }
          pickler.object("filesystem", "_StorageInfo") { pickler in
            pickler.text("relative_path")
            pickler.text(data)
            pickler.text("offset")
            pickler.integer(bytes.lowerBound)
            pickler.text("length")
            pickler.integer(bytes.count)
          }
        }
      }
    }
    return pickler.end()
  }
}

extension Pickler {
  /// An object of a class of torch's package for distributed checkpoints, with what `members` puts into its state.
  fileprivate mutating func object(_ module: String, _ name: String, _ members: (inout Pickler) -> Void) {
    global("torch.distributed.checkpoint." + module, name)
    opcodes(")")
    opcode(0x81)
    dictionary(members)
    opcodes("b")
  }

  fileprivate mutating func dictionary(_ items: (inout Pickler) -> Void) {
    opcodes("}(")
    items(&self)
    opcodes("u")
  }

  fileprivate mutating func list(_ items: (inout Pickler) -> Void) {
    opcodes("](")
    items(&self)
    opcodes("e")
  }

  fileprivate mutating func texts(_ values: [String]) {
    opcodes("(")
    for value in values { text(value) }
    opcodes("t")
  }

  /// `torch.Size(values)`.
  fileprivate mutating func size(_ values: [Int]) {
    global("torch", "Size")
    tuple(values)
    opcode(0x85)
    opcodes("R")
  }

  /// A `TensorProperties`, whose state is a tuple: dtype, layout, requires_grad, memory format, pin_memory.
  fileprivate mutating func properties(_ dtype: String) {
    global("torch.distributed.checkpoint.metadata", "TensorProperties")
    opcodes(")")
    opcode(0x81)
    opcodes("(")
    global("torch", dtype)
    global("torch.serialization", "_get_layout")
    text("torch.strided")
    opcode(0x85)
    opcodes("R")
    opcode(0x89)
    // The first member of the enumeration: contiguous.
    global("torch.distributed.checkpoint.metadata", "_MEM_FORMAT_ENCODING")
    integer(0)
    opcode(0x85)
    opcodes("R")
    opcode(0x89)
    opcodes("tb")
  }
}

extension FormatCapacity {
  static let dcp = FormatCapacity(dtypes: pth.dtypes, isSharded: false)
}
