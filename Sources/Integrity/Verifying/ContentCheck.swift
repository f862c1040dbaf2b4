/// The weights of a file that drover wrote, and the rest of it, held against its receipt.
struct ContentCheck {
  let content: Receipt.Content
  /// Bytes of the file as the receipt has it.
  let length: Int
  private var stretches: [ContentStretch] = []
  private(set) var damaged: [Verification.Damage] = []

  init(_ content: Receipt.Content, length: Int) { (self.content, self.length) = (content, length) }

  /// The stretches that can be read of a file of `size` bytes.
  /// - Parameter whole: all at once, for who reads the file from its beginning to its end anyway.
  mutating func stretches(size: Int, whole: Bool = false) -> [ContentStretch] {
    let all = ContentStretch.stretches(of: content, length: length, whole: whole)
    stretches = all.filter { $0.bytes.upperBound <= size }
    if size != length { damaged.append(Verification.Damage((stretches.last?.bytes.upperBound ?? 0)..<max(size, length))) }
    return stretches
  }

  /// Takes what came of all of the stretches.
  mutating func take(_ outcomes: [ContentStretch.Outcome]) {
    for (weight, first, digests) in outcomes.flatMap(\.digests) {
      let proof = content.weights[weight]
      for (index, digest) in digests.enumerated() where proof.digests[first + index] != digest {
        damaged.append(Verification.Damage(proof.bytes(ofPiece: first + index), tensor: proof.tensor))
      }
    }
    if length == stretches.last?.bytes.upperBound ?? 0 {
      var rest = SHA256()
      if stretches.count == 1, let only = outcomes.first { rest = only.rest } else { for outcome in outcomes { rest.update(outcome.gaps) } }
      if rest.finalize() != content.rest { damaged += content.gaps(ofFile: length).map { Verification.Damage($0) } }
    }
    damaged.sort { $0.offset < $1.offset }
  }
}

extension WeightProof {
  /// The stretch of the file in which all bytes of a piece lie, one of `pieces`.
  func bytes(ofPiece index: Int) -> Range<Int> {
    let piece = pieces[index]
    var lines = piece.rows.lowerBound - rows.lowerBound..<piece.rows.upperBound - rows.lowerBound
    var width = dtype.byteCount(piece.columns.lowerBound - columns.lowerBound)..<dtype.byteCount(piece.columns.upperBound - columns.lowerBound)
    if let headDim {
      // The rows of a piece lie all over their heads.
      lines = lines.lowerBound / headDim * headDim..<(lines.upperBound + headDim - 1) / headDim * headDim
      width = 0..<rowBytes
    }
    return offset + lines.lowerBound * rowBytes + width.lowerBound..<offset + (lines.upperBound - 1) * rowBytes + width.upperBound
  }
}
