/// Python that makes quantized rows without a quantizer, which the `gguf` library lacks for most types. Prepended to scripts.
///
/// Any bits are a block. `sane` gives scales that are small numbers, as a model has them; else they can be infinite or NaN too.
public let randomBlocks = #"""
  import gguf, numpy as np
  SCALES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
            "IQ4_NL": [0], "IQ4_XS": [0]}
  def random_blocks(kind, rows, columns, rng, sane=True, most=0.01):
      """[rows, bytes of a row]"""
      elements, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
      raw = rng.integers(0, 256, (rows * columns // elements, size), dtype=np.uint8)
      for at in SCALES[kind] if sane else []:
          raw[:, at:at + 2] = rng.uniform(-most, most, (len(raw), 1)).astype(np.float16).view(np.uint8)
      return raw.reshape(rows, -1)

  """#
