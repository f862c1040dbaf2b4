import Integrity
import SystemPackage

/// A checkpoint of logical tensors: what every reader makes and every writer, plan and engine takes.
///
/// Nothing is loaded. The tensors say where their parts lie in `files`, and are read from there.
public struct Checkpoint: Sendable {
  /// How the weights lie on disk.
  public enum Format: String, Sendable, CaseIterable, Codable {
    case pth, safetensors, hf, gguf
    /// What `torch.distributed.checkpoint` writes.
    case dcp
  }

  public let format: Format
  /// How many shards each split tensor is cut into; 1 when it isn't.
  public let modelParallel: Int
  public let params: ModelParams
  /// In Meta's order: embeddings, the layers, the final norm, the output.
  public let tensors: [LogicalTensor]
  /// The files that `LogicalTensor.Part.file` counts in.
  public let files: [any ByteSource]
  /// Tokenizer, chat template, notes.
  public let companions: Companions
  /// What its description says and drover doesn't honour: nothing that computes with the model may go on while there is some. See `requireHonoured`.
  public let unhonoured: [UnhonouredKey]
  /// What goes along as it is; nothing unless `OpenOptions.keepsExtra` asks for it.
  public var extras: [ExtraTensor] = []
  /// An output projection that is none of `tensors`, since the description says that it is the embedding table: whoever reads both holds it against that.
  var copyOfEmbedding: LogicalTensor?
  /// What Llama 4's files call otherwise than its code calls its weights, or have several of in one tensor, by the files' names. Outputs are spelled alike.
  package var spelling: [String: [TensorName]] = [:]

  public init(
    format: Format, modelParallel: Int, params: ModelParams, tensors: [LogicalTensor], files: [any ByteSource],
    companions: Companions = Companions(), unhonoured: [UnhonouredKey] = []
  ) {
    self.format = format
    self.modelParallel = modelParallel
    self.params = params
    self.tensors = tensors
    self.files = files
    self.companions = companions
    self.unhonoured = unhonoured
  }

  /// nil when the checkpoint doesn't have the tensor.
  public subscript(name: TensorName) -> LogicalTensor? { tensors.first { $0.name == name } }
}

extension Checkpoint {
  /// The dtype of most of the weights.
  public var dominantDType: DType { DType.dominant(tensors.map { ($0.dtype, $0.rows * $0.columns) }) }
}
