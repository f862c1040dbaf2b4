import Checkpoint
import Foundation
import Integrity
import SystemPackage
import TestSupport
import Testing

/// State dicts of every kind that torch writes, next to what torch itself says of them.
@Suite(.needs(.currentTorch)) struct TorchStateDictTests {
  /// Writes one small model in many ways, and prints for each whether `torch.load(weights_only=True)` takes it.
  private static let script = """
    import collections, json, os, sys, warnings
    import torch
    from torch import nn
    warnings.simplefilter("ignore")
    root = sys.argv[1]
    shapes = {"tok_embeddings.weight": (32, 8), "norm.weight": (8,), "output.weight": (32, 8)}
    for name, shape in {"attention.wq": (8, 8), "attention.wk": (8, 8), "attention.wv": (8, 8), "attention.wo": (8, 8), "feed_forward.w1": (16, 8),
                        "feed_forward.w2": (8, 16), "feed_forward.w3": (16, 8), "attention_norm": (8,), "ffn_norm": (8,)}.items():
        shapes[f"layers.0.{name}.weight"] = shape
    torch.manual_seed(1)
    state = {name: torch.randn(*shape).to(torch.bfloat16) for name, shape in shapes.items()}
    def with_attribute(make):
        made = {name: make(t.clone()) for name, t in state.items()}
        for t in made.values(): t.is_model_parallel = True
        return made
    def matrices(change): return {name: change(t) if t.dim() == 2 else t for name, t in state.items()}
    def norm(t): return state | {"norm.weight": t}
    ordered = collections.OrderedDict(state); ordered._metadata = collections.OrderedDict({"": {"version": 1}})
    class Own(torch.Tensor): pass
    cases = {
        "plain": state, "parameters": {n: nn.Parameter(t) for n, t in state.items()}, "parameters with an attribute": with_attribute(nn.Parameter),
        "tensors with an attribute": with_attribute(lambda t: t), "ordered, with metadata": ordered, "transposed": matrices(lambda t: t.t().contiguous().t()),
        "views": {n: torch.cat([t.flatten(), t.flatten()])[t.numel():].view(t.shape) for n, t in state.items()},
        "float8": matrices(lambda t: t.to(torch.float8_e4m3fn)), "float64": matrices(lambda t: t.double()), "int64": norm(torch.arange(8)),
        "untyped uint16": norm(torch.arange(8, dtype=torch.int16).view(torch.uint16)), "bool": norm(torch.ones(8, dtype=torch.bool)),
        "complex": norm(torch.ones(8, dtype=torch.complex64)), "negative": norm(torch._neg_view(torch.ones(8))),
        "imaginary part of a conjugate": norm(torch.ones(8, dtype=torch.complex64).conj().imag), "expanded": norm(torch.ones(1).expand(8)),
        "scalar": norm(torch.tensor(1.0)), "empty": norm(torch.ones(0)), "sparse": norm(torch.ones(8).to_sparse()),
        "quantized": norm(torch.quantize_per_tensor(torch.ones(8), 0.1, 0, torch.qint8)), "meta": norm(torch.ones(8, device="meta")),
        "not a tensor": norm(1.0), "own class": norm(torch.ones(8).as_subclass(Own)),
    }
    cases |= {f"protocol {n}": state for n in (0, 1, 3, 4, 5)}
    loads = {}
    for name, case in cases.items():
        os.makedirs(f"{root}/{name}")
        file = f"{root}/{name}/consolidated.00.pth"
        torch.save(case, file, pickle_protocol=int(name[-1]) if name.startswith("protocol") else 2)
        json.dump({"dim": 8, "n_heads": 4, "n_layers": 1, "hidden_dim": 16, "norm_eps": 1e-5, "vocab_size": 32}, open(f"{root}/{name}/params.json", "w"))
        try: torch.load(file, weights_only=True); loads[name] = True
        except Exception: loads[name] = False
    print(json.dumps(loads))
    """

  private static let read = [
    "plain", "parameters", "parameters with an attribute", "tensors with an attribute", "ordered, with metadata", "transposed", "views", "protocol 1",
    "protocol 3", "protocol 4", "protocol 5",
  ]

  private static let refused: [String: (reason: CheckpointError.Reason, words: String)] = [
    "float8": (.unsupported, "torch.float8_e4m3fn, a dtype that drover lacks"), 
    "int64": (.unsupported, "norm.weight is stored as torch.LongStorage, a dtype that drover lacks"), "untyped uint16": (.unsupported, "torch.uint16, a dtype"),
    "bool": (.unsupported, "torch.BoolStorage, a dtype that drover lacks"), "complex": (.unsupported, "torch.ComplexFloatStorage, a dtype that drover lacks"),
    "negative": (.unsupported, "resolve_neg()"), "imaginary part of a conjugate": (.unsupported, "resolve_neg()"),
    "expanded": (.corrupt, "norm.weight (shape [8], strides [0]) is larger than its storage of 4 bytes"),
    "scalar": (.unsupported, "norm.weight has the shape []"), "empty": (.unsupported, "norm.weight has the shape [0]"),
    "sparse": (.unsupported, "norm.weight is made by torch._utils._rebuild_sparse_tensor"),
    "quantized": (.unsupported, "norm.weight is made by torch._utils._rebuild_qtensor"),
    "meta": (.unsupported, "norm.weight is made by torch._utils._rebuild_meta_tensor_no_storage"), "not a tensor": (.corrupt, "norm.weight isn't a tensor"),
    "own class": (.unsafe, "the pickle wants __main__.Own"), "protocol 0": (.unsupported, "protocol 0"),
  ]

  @Test func everyKindIsReadOrCalledWhatItIs() throws {
    try withTemporaryFolder { root in
      let loads = try JSONDecoder().decode([String: Bool].self, from: Data(try python(Self.script, root, with: .currentTorch).utf8))
      #expect(Set(loads.keys) == Set(Self.read + ["float64"] + Self.refused.keys))
      let plain = try Checkpoint.open(at: FilePath(root + "/plain")).fingerprint()
      #expect(try Checkpoint.open(at: FilePath(root + "/float64")).dominantDType == .f64)
      for name in Self.read {
        #expect(try Checkpoint.open(at: FilePath("\(root)/\(name)")).fingerprint() == plain, "\(name)")
      }
      for (name, (reason, words)) in Self.refused {
        let error = #expect(throws: CheckpointError.self, "\(name)") { try Checkpoint.open(at: FilePath("\(root)/\(name)")) }
        #expect(error?.reason == reason && error?.description.contains(words) == true, "\(name): \(String(describing: error))")
        #expect(loads[name] == false || error?.reason != .unsafe, "\(name): torch takes it for data")
      }
    }
  }
}
