/// What a pickle may name. Of a state dict: all that `torch.load(weights_only=True)` takes, and `io.BytesIO`, with which Transformer Engine's layers put
/// their state (`_extra_state`) into Llama 4's files. Nothing of it is ever called.
///
/// Source: `_get_allowed_globals` in torch's `_weights_only_unpickler.py`, version 2.15.
struct PickleGlobal: Equatable, Sendable {
  enum Meaning: Equatable, Sendable {
    case orderedDictionary
    /// `_rebuild_tensor`, `_rebuild_tensor_v2` and `_rebuild_tensor_v3`.
    case rebuildTensor(version: Int)
    /// A parameter is its tensor, and perhaps attributes.
    case rebuildParameter
    /// `_rebuild_from_type_v2(function, class, arguments, state)`: a tensor of a class, with attributes.
    case rebuildFromType
    /// `torch.Tensor` and its parameters: classes that change no number.
    case plainTensor
    /// `torch.<dtype>Storage`.
    case storage
    /// `torch.float16`; only of `_rebuild_tensor_v3`.
    case dtype
    /// Only of a distributed checkpoint's metadata: a class whose objects are their states.
    case record
    /// Bytes in memory, which make no tensor.
    case bytes
    /// Harmless, but no way to a tensor that is understood here.
    case other
  }

  /// What kind of pickle it is.
  enum Vocabulary: Sendable {
    case stateDictionary
    /// The `.metadata` that `torch.distributed.checkpoint` writes.
    case distributedMetadata
  }

  /// In `all`.
  let number: Int

  init(number: Int) { self.number = number }

  /// - Returns: nil for what has no place in a state dict.
  init?(module: String, name: String, in vocabulary: Vocabulary) {
    // As protocols 0 to 2 call it.
    let module = module == "__builtin__" ? "builtins" : module
    guard let number = Self.numbers["\(module).\(name)"], vocabulary == .distributedMetadata || number < Self.stateDictionaryCount else { return nil }
    self.number = number
  }

  /// With its module: `torch._utils._rebuild_tensor_v2`.
  var name: String { Self.all[number].name }
  var meaning: Meaning { Self.all[number].meaning }
  /// Without its module.
  var shortName: String { String(name.split(separator: ".").last ?? "") }

  private static let all = stateDictionary + distributedMetadata
  private static let stateDictionaryCount = stateDictionary.count

  /// Source: `torch/distributed/checkpoint/metadata.py` and `filesystem.py`. `getattr` names a member of an enumeration, and the folder that was written to
  /// is a path of pathlib's; like all else they are read and never called.
  private static let distributedMetadata: [(name: String, meaning: Meaning)] = {
    let records = [
      "metadata.Metadata", "metadata.TensorStorageMetadata", "metadata.BytesStorageMetadata", "metadata.TensorProperties", "metadata.ChunkStorageMetadata",
      "metadata.MetadataIndex", "metadata.StorageMeta", "filesystem._StorageInfo",
    ]
    let others = ["torch.distributed.checkpoint.metadata._MEM_FORMAT_ENCODING", "builtins.getattr", "pathlib.PosixPath", "pathlib.Path", "pathlib._local.PosixPath"]
    var all: [(name: String, meaning: Meaning)] = []
    all += records.map { ("torch.distributed.checkpoint.\($0)", .record) }
    all += others.map { ($0, .other) }
    return all
  }()

  private static let stateDictionary: [(name: String, meaning: Meaning)] = {
    var all: [(name: String, meaning: Meaning)] = [
      ("collections.OrderedDict", .orderedDictionary), ("torch._utils._rebuild_tensor", .rebuildTensor(version: 1)),
      ("torch._utils._rebuild_tensor_v2", .rebuildTensor(version: 2)), ("torch._utils._rebuild_tensor_v3", .rebuildTensor(version: 3)),
      ("torch._utils._rebuild_parameter", .rebuildParameter), ("torch._utils._rebuild_parameter_with_state", .rebuildParameter),
      ("torch._tensor._rebuild_from_type_v2", .rebuildFromType), ("torch.Tensor", .plainTensor), ("torch.nn.parameter.Parameter", .plainTensor),
      ("torch.storage.UntypedStorage", .storage), ("torch.storage.TypedStorage", .storage), ("_io.BytesIO", .bytes), ("io.BytesIO", .bytes),
    ]
    let kinds = ["BFloat16", "Bool", "Byte", "Char", "Double", "Float", "Half", "Int", "Long", "Short"]
    for kind in kinds + ["ComplexDouble", "ComplexFloat"] { all += [("torch.\(kind)Storage", .storage), ("torch.cuda.\(kind)Storage", .storage)] }
    for kind in ["QInt32", "QInt8", "QUInt2x4", "QUInt4x2", "QUInt8"] { all.append(("torch.\(kind)Storage", .storage)) }
    for module in ["torch", "torch.cuda", "torch.sparse", "torch.cuda.sparse"] { all += kinds.map { ("\(module).\($0)Tensor", .other) } }
    let dtypes = [
      "bcomplex32", "bfloat16", "bits16", "bits1x8", "bits2x4", "bits4x2", "bits8", "bool", "complex128", "complex32", "complex64", "float16", "float32",
      "float4_e2m1fn_x2", "float64", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "int1", "int16", "int2", "int3",
      "int32", "int4", "int5", "int6", "int64", "int7", "int8", "qint32", "qint8", "quint2x4", "quint4x2", "quint8", "uint1", "uint16", "uint2", "uint3",
      "uint32", "uint4", "uint5", "uint6", "uint64", "uint7", "uint8",
    ]
    all += dtypes.map { ("torch.\($0)", .dtype) }
    let others = [
      "_codecs.encode", "builtins.bytearray", "builtins.complex", "builtins.set", "collections.Counter", "torch.Size", "torch.device",
      "torch.per_channel_affine", "torch.per_channel_affine_float_qparams", "torch.per_channel_symmetric", "torch.per_tensor_affine",
      "torch.per_tensor_symmetric", "torch.serialization._get_layout", "torch._utils._rebuild_device_tensor_from_cpu_tensor",
      "torch._utils._rebuild_device_tensor_from_numpy", "torch._utils._rebuild_meta_tensor_no_storage", "torch._utils._rebuild_qtensor",
      "torch._utils._rebuild_sparse_tensor", "torch._utils._rebuild_wrapper_subclass",
    ]
    return all + others.map { ($0, .other) }
  }()

  private static let numbers = Dictionary(all.enumerated().map { ($1.name, $0) }) { first, _ in first }
}
