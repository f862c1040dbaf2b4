import Catalog
import Integrity
import Platform
import SystemPackage

/// What a GGUF says of its model: the keys that llama.cpp's llama architecture reads, and what the model is called.
///
/// Source: `constants.py` of the gguf package, `conversion/base.py` and `conversion/llama.py` of llama.cpp.
struct GGUFDescription {
  /// What the model is called.
  let name: String
  private(set) var fields: [(key: String, value: GGUFHeaderBytes.Value)] = []
  /// What a person should know, in sentences.
  private(set) var notes: [String] = []

  /// Where nothing tells how many positions a model was trained for: what transformers takes.
  private static let unknownContext = 2048

  /// - Parameter fileType: see `fileType`.
  init(_ source: Checkpoint, fileType: Int) throws(CheckpointError) {
    var carried: [(key: String, value: GGUFHeaderBytes.Value)] = []
    if case .gguf(let metadata)? = source.companions.tokenizer { carried = try metadata.fields { $0.hasPrefix("general.") && !Self.own.contains($0) } }
    let place = source.format == .gguf ? source.files.first?.path : source.companions.folder
    let text = place.map { Directory.name(of: $0) } ?? ""
    name = text.isEmpty ? "model" : source.format == .gguf && text.hasSuffix(".gguf") ? String(text.dropLast(5)) : text
    func add(_ key: String, _ value: GGUFHeaderBytes.Value) { fields.append((key, value)) }
    add("general.architecture", .text("llama"))
    add("general.type", .text("model"))
    if !carried.contains(where: { $0.key == "general.name" }) { add("general.name", .text(name)) }
    if !carried.contains(where: { $0.key == "general.size_label" }) { add("general.size_label", .text(Self.sizeLabel(CheckpointOutline(source).parameterCount))) }
    fields += carried
    add("general.alignment", .uint32(GGUFHeaderBytes.alignment))
    add("general.file_type", .uint32(fileType))
    add("general.quantization_version", .uint32(2))
    let params = source.params
    add("llama.block_count", .uint32(params.layers))
    if let context = try Self.contextLength(source) {
      add("llama.context_length", .uint32(context))
    } else {
      add("llama.context_length", .uint32(Self.unknownContext))
      notes.append("nothing says how many positions the model was trained for, and a GGUF must: llama.context_length is \(Self.unknownContext), which transformers takes where nothing is said")
    }
    add("llama.embedding_length", .uint32(params.dim))
    add("llama.feed_forward_length", .uint32(params.hiddenDim))
    add("llama.attention.head_count", .uint32(params.heads))
    add("llama.attention.head_count_kv", .uint32(params.kvHeads))
    add("llama.attention.key_length", .uint32(params.headDim))
    add("llama.attention.value_length", .uint32(params.headDim))
    add("llama.attention.layer_norm_rms_epsilon", .float32(params.normEpsilon))
    add("llama.rope.dimension_count", .uint32(params.headDim))
    add("llama.rope.freq_base", .float32(Float(params.ropeTheta)))
    switch params.ropeScaling {
    case let scaling? where scaling.kind == .linear:
      add("llama.rope.scaling.type", .text("linear"))
      add("llama.rope.scaling.factor", .float32(Float(scaling.factor)))
    case let scaling?: add("llama.rope.scaling.original_context_length", .uint32(scaling.originalContext))
    case nil: break
    }
    add("llama.vocab_size", .uint32(params.vocabularySize))
  }

  /// Keys that say what this file is, whatever it was made of.
  private static let own: Set<String> = [
    "general.architecture", "general.type", "general.alignment", "general.file_type", "general.quantization_version",
  ]

  private static func contextLength(_ source: Checkpoint) throws(CheckpointError) -> Int? {
    if let config = source.companions.huggingFace?.config,
      let length = try decodeJSON(HuggingFaceConfig.self, from: LocalFile(config)).maxPositionEmbeddings { return length }
    return HuggingFaceConfig.contextLength(source)
  }

  /// A number of parameters in two digits at least, as names of models have it: `135M`, `1.1B`.
  static func sizeLabel(_ count: Int) -> String {
    let (unit, suffix): (Double, String) = count > 1_000_000_000_000 ? (1e12, "T") : count > 1_000_000_000 ? (1e9, "B") : count > 1_000_000 ? (1e6, "M") : (1e3, "K")
    let scaled = Double(count) / unit
    if scaled.rounded(.toNearestOrEven) >= 10 { return "\(Int(scaled.rounded(.toNearestOrEven)))\(suffix)" }
    let tenths = Int((scaled * 10).rounded(.toNearestOrEven))
    return "\(tenths / 10).\(tenths % 10)\(suffix)"
  }
}

extension GGUFDescription {
  /// llama.cpp's number (`llama_ftype`) for what the weights are.
  /// - Parameters:
  ///   - mix: what was asked for; nil where the source's types are kept.
  ///   - dominant: the type of most weights.
  static func fileType(_ source: Checkpoint, _ mix: DTypeMix?, dominant: DType) -> Int {
    switch mix {
    case .f32?: return 0
    case .f16?: return 1
    case .q4_0?: return 2
    case .q4_1?: return 3
    case .q8_0?: return 7
    case .q5_0?: return 8
    case .q5_1?: return 9
    case .q4_k_s?: return 14
    case .q4_k_m?: return 15
    case .q5_k_s?: return 16
    case .q5_k_m?: return 17
    case .q6_k?: return 18
    case .bf16?: return 32
    // No GGUF of a Llama has it.
    case .f64?, nil: break
    }
    if case .gguf(let metadata)? = source.companions.tokenizer, let own = metadata["general.file_type"]?.integer { return own }
    return switch dominant {
    case .f32, .f64: 0
    case .f16: 1
    case .bf16: 32
    case .q4_0: 2
    case .q4_1: 3
    case .q8_0: 7
    case .q5_0: 8
    case .q5_1: 9
    case .q2_k: 10
    case .q3_k: 12
    case .q4_k: 15
    case .q5_k: 17
    case .q6_k: 18
    case .iq4_nl: 25
    case .iq4_xs: 30
    }
  }
}

extension GGUFMetadata {
  /// The keys that `isWanted` chooses, in their order, as they can be written.
  func fields(where isWanted: (String) -> Bool) throws(CheckpointError) -> [(key: String, value: GGUFHeaderBytes.Value)] {
    var fields: [(key: String, value: GGUFHeaderBytes.Value)] = []
    for key in values.keys.filter(isWanted).sorted() {
      switch values[key] {
      // What llama.cpp reads of these keys is of 32 bits.
      case .integer(let value)?: fields.append((key, value < 0 ? .int32(value) : .uint32(value)))
      case .float(let value)?: fields.append((key, Double(Float(value)) == value ? .float32(Float(value)) : .float64(value)))
      case .bool(let value)?: fields.append((key, .bool(value)))
      case .text(let value)?: fields.append((key, .text(value)))
      case .array(let array)?: fields.append((key, .copy(type: array.type, count: array.count, bytes: Swift.Array(try array.file.bytes(array.range)))))
      case nil: break
      }
    }
    return fields
  }
}
