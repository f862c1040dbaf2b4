extension NamingScheme {
  /// Meta's own names, and gpt-fast's, which are the same but for the attention's projections in one matrix.
  ///
  /// Source: `scripts/convert_hf_checkpoint.py` of gpt-fast, which also puts rotated rows into Meta's order.
  static let meta = NamingScheme(
    meaning: { name in
      if let weight = TensorName(name) { return .weight(weight) }
      let (prefix, suffix) = ("layers.", ".attention.wqkv.weight")
      guard name.hasPrefix(prefix), name.hasSuffix(suffix), let layer = TensorName.layer(name.dropFirst(prefix.count).dropLast(suffix.count)) else { return nil }
      return .fused(layer: layer, .stacked)
    }, rotatesHalves: false, descriptions: [.params, .config])
}
