import FoundationEssentials
import SystemPackage
import Tokenization

/// The files that go with the weights: the tokenizer, the licence, and in Meta's layout `params.json`.
struct CompanionFiles {
  private(set) var files: [OutputFile] = []

  init(_ source: Checkpoint, _ layout: ShardLayout, _ format: Checkpoint.Format) throws(CheckpointError) {
    // A Hugging Face folder has its config.json.
    if format != .hf { files.append(OutputFile(name: "params.json", content: try Self.params(source, layout))) }
    switch source.companions.tokenizer {
    case .file(let path): try copyTokenizer(path)
    case .gguf: try writeTokenizer(source)
    case nil: break
    }
    for path in source.companions.legal { try copy(path) }
  }

  private mutating func copy(_ path: FilePath) throws(CheckpointError) {
    guard let name = path.lastComponent?.string else { return }
    files.append(OutputFile(name: name, content: try LocalFile.contents(of: path)))
  }

  /// A `tokenizer.json` is not whole without the files that say which tokens begin and end a text, and how a chat looks.
  private mutating func copyTokenizer(_ path: FilePath) throws(CheckpointError) {
    try copy(path)
    for name in ["tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"] {
      let beside = path.removingLastComponent().appending(name)
      if fileExists(beside) { try copy(beside) }
    }
  }

  /// Writes the vocabulary of a GGUF as the file its kind usually has.
  private mutating func writeTokenizer(_ source: Checkpoint) throws(CheckpointError) {
    do {
      guard let vocabulary = try source.vocabulary() else { return }
      switch vocabulary.model {
      case .sentencePiece: files.append(OutputFile(name: "tokenizer.model", content: try vocabulary.sentencePieceFile()))
      default: files.append(OutputFile(name: "tokenizer.json", content: try vocabulary.huggingFaceFile()))
      }
      var config: [String: JSONValue] = ["add_bos_token": .bool(vocabulary.addsBOS), "add_eos_token": .bool(vocabulary.addsEOS)]
      for (key, id) in [("bos_token", vocabulary.bos), ("eos_token", vocabulary.eos), ("unk_token", vocabulary.unknown)] {
        if let id { config[key] = .text(vocabulary.tokens.string(id)) }
      }
      if let template = vocabulary.chatTemplate { config["chat_template"] = .text(template) }
      files.append(OutputFile(name: "tokenizer_config.json", content: try JSONValue.object(config).encoded()))
    } catch let error as CheckpointError {
      throw error
    } catch {
      throw CheckpointError(.unsupported, "the tokenizer can't come along: \(error)")
    }
  }

  // MARK: params.json

  /// Meta's own file as it is, if there is one and it still holds; else one that its reference understands.
  private static func params(_ source: Checkpoint, _ layout: ShardLayout) throws(CheckpointError) -> [UInt8] {
    guard let path = source.companions.params else { return try JSONValue.object(params(source.params, layout)).encoded() }
    let bytes = try LocalFile.contents(of: path)
    guard case .object(var object) = try decodeJSON(JSONValue.self, from: bytes, in: path) else {
      throw CheckpointError(.corrupt, in: path, "isn't a JSON object")
    }
    // Copies of key and value heads count, as in Meta's 405B at MP 16.
    let stated = object["n_kv_heads"] ?? object["n_heads"]
    guard stated != .integer(layout.keyValueHeads) else { return bytes }
    object["n_kv_heads"] = .integer(layout.keyValueHeads)
    return try JSONValue.object(object).encoded()
  }

  private static func params(_ params: ModelParams, _ layout: ShardLayout) -> [String: JSONValue] {
    var object: [String: JSONValue] = [
      "dim": .integer(params.dim), "n_layers": .integer(params.layers), "n_heads": .integer(params.heads),
      "n_kv_heads": .integer(layout.keyValueHeads), "vocab_size": .integer(params.vocabularySize),
      // The shortest decimal that is this float32: 1e-05, not 9.999999747378752e-06.
      "norm_eps": .number(Double("\(params.normEpsilon)") ?? Double(params.normEpsilon)), "rope_theta": .number(params.ropeTheta),
    ]
    if let scaling = params.ropeScaling {
      let standard = ModelParams.RoPEScaling()
      object["use_scaled_rope"] = .bool(true)
      object["rope_scaling_factor"] = .number(scaling.factor)
      if scaling.lowFrequencyFactor != standard.lowFrequencyFactor { object["low_freq_factor"] = .number(scaling.lowFrequencyFactor) }
      if scaling.highFrequencyFactor != standard.highFrequencyFactor { object["high_freq_factor"] = .number(scaling.highFrequencyFactor) }
      if scaling.originalContext != standard.originalContext { object["original_rotary_embed_context"] = .integer(scaling.originalContext) }
    }
    if params.headDim != params.dim / params.heads { object["head_dim"] = .integer(params.headDim) }
    if let (multiple, multiplier) = feedForward(params) {
      object["multiple_of"] = .integer(multiple)
      if let multiplier { object["ffn_dim_multiplier"] = .number(multiplier) }
    } else {
      object["hidden_dim"] = .integer(params.hiddenDim)
    }
    return object
  }

  /// What the reference's formula needs to come to the width of the feed-forward layer; see `MetaParams`.
  private static func feedForward(_ params: ModelParams) -> (multipleOf: Int, multiplier: Double?)? {
    let multiples = [4096, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2, 1].filter { params.hiddenDim % $0 == 0 }
    let base = 2 * 4 * params.dim / 3
    func computes(_ multiple: Int, _ multiplier: Double?) -> Bool {
      MetaParams.hiddenDim(dim: params.dim, multipleOf: multiple, multiplier: multiplier) == params.hiddenDim
    }
    if let multiple = multiples.first(where: { computes($0, nil) }) { return (multiple, nil) }
    guard let multiple = multiples.first else { return nil }
    // The middle of what is rounded up to it.
    let multiplier = ((Double(params.hiddenDim) - Double(multiple) / 2) / Double(base) * 10000).rounded() / 10000
    return computes(multiple, multiplier) ? (multiple, multiplier) : nil
  }
}

/// Any JSON, for files of which only a part is understood.
enum JSONValue: Codable, Equatable {
  case null
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case text(String)
  case array([JSONValue])
  case object([String: JSONValue])

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {
      self = .bool(value)
    } else if let value = try? container.decode(Int.self) {
      self = .integer(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else if let value = try? container.decode(String.self) {
      self = .text(value)
    } else if let value = try? container.decode([JSONValue].self) {
      self = .array(value)
    } else {
      self = .object(try container.decode([String: JSONValue].self))
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .bool(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .text(let value): try container.encode(value)
    case .array(let value): try container.encode(value)
    case .object(let value): try container.encode(value)
    }
  }

  /// As text, keys sorted, with a newline at the end.
  func encoded() throws(CheckpointError) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    do {
      return Array(try encoder.encode(self)) + Array("\n".utf8)
    } catch {
      throw CheckpointError(.output, "JSON can't be written: \(error)")
    }
  }
}
