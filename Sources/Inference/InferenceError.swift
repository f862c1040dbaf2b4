import Checkpoint

/// Why a model can't be run as asked.
public enum InferenceError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The checkpoint lacks a tensor that the architecture needs.
  case missingTensor(name: TensorName)
  /// A tensor's shape is not what the hyperparameters and the other tensors call for.
  case wrongShape(name: TensorName, shape: [Int], expected: [Int])
  /// A tensor's parts leave some of it uncovered, or lie where the kernels can't read them.
  case unreadableTensor(name: TensorName, reason: String)
  /// The hyperparameters contradict each other.
  case badParameters(String)
  /// Neither the folder, nor the one above it, nor the file itself holds a tokenizer.
  case missingTokenizer(path: String)
  case unknownKernel(name: String, known: [String])
  case batchTooLarge(count: Int, limit: Int)
  /// Keys and values of so many sequences of so many tokens.
  case cacheTooLarge(sequences: Int, length: Int)
  /// `index` counts prompts from 0.
  case promptTooLong(index: Int, count: Int, limit: Int)
  case emptyPrompt(index: Int)
  case unknownToken(id: Int, vocabulary: Int)
  /// The logits hold a NaN or an infinity; so does `tensor`, the first of the checkpoint's that does, or none.
  case notFinite(position: Int, tensor: TensorName?)

  public var description: String {
    switch self {
    case .missingTensor(let name):
      "the checkpoint has no tensor \(name), which a Llama model needs; is the checkpoint complete?"
    case .wrongShape(let name, let shape, let expected):
      "tensor \(name) has shape \(shape) where the model's parameters call for \(expected); do params and weights belong together?"
    case .unreadableTensor(let name, let reason):
      "tensor \(name) can't be run: \(reason)"
    case .badParameters(let what):
      "the model's parameters can't be right: \(what)"
    case .missingTokenizer(let path):
      "\(path): there is no tokenizer.model or tokenizer.json in the folder; name the model's with --tokenizer"
    case .unknownKernel(let name, let known):
      "this processor has no kernels called \(name) (DROVER_KERNEL); it has \(known.joined(separator: ", "))"
    case .batchTooLarge(let count, let limit):
      "\(count) prompts are more than the largest batch, \(limit); raise --max-batch-size or give fewer"
    case .cacheTooLarge(let sequences, let length):
      "\(sequences) sequence\(sequences == 1 ? "" : "s") of \(length) tokens are more than can be kept; lower --max-batch-size or --max-seq-len"
    case .promptTooLong(let index, let count, let limit):
      "prompt \(index + 1) has \(count) tokens, more than the longest sequence, \(limit); raise --max-seq-len or shorten it"
    case .emptyPrompt(let index):
      "prompt \(index + 1) is empty, and this model's tokenizer adds no token to begin with"
    case .unknownToken(let id, let vocabulary):
      "token \(id) is outside the model's vocabulary of \(vocabulary); does the tokenizer belong to this model?"
    case .notFinite(let position, let tensor?):
      "the model's output at position \(position) is not finite: \(tensor) is the first tensor that holds a NaN or an infinity; it is damaged, or not of the type it claims (try drover verify)"
    case .notFinite(let position, nil):
      "the model's output at position \(position) is not finite, though all weights are: its numbers overflow float32; are weights and description of one model? (try drover verify)"
    }
  }
}
