import CKernels
import Integrity

/// Puts numbers into ggml's blocks, with the fastest kernel of this processor; every kernel makes the same bytes.
enum Quantizer {
  /// - Parameters:
  ///   - numbers: of the chunk, row by row.
  ///   - out: room for its blocks.
  /// - Throws: for what blocks can't hold, naming the tensor and the row.
  static func quantize(
    _ numbers: UnsafeBufferPointer<Float>, _ chunk: TensorPlan.Chunk, of plan: TensorPlan, into out: UnsafeMutableRawPointer
  ) throws(CheckpointError) {
    guard let base = numbers.baseAddress, let type = plan.dtype.kernelType else { return }
    func row(_ index: Int) -> Int { chunk.rows.lowerBound + index / max(1, chunk.columns.count) }
    if !drover_are_finite(base, numbers.count) {
      let place = numbers.firstIndex { !$0.isFinite } ?? 0
      throw CheckpointError(
        .corrupt, "\(plan.tensor.name) has \(numbers[place]) in row \(row(place)), which isn't a number that can be quantized: the weights are damaged, or keep their type with --dtype keep")
    }
    drover_quantize_best(type, base, numbers.count, out)
    let place = drover_first_infinite_scale(type, out, numbers.count)
    guard place < 0 else {
      throw CheckpointError(
        .refused, "\(plan.tensor.name) has values in row \(row(place)) that are too large for the float16 scales of \(plan.dtype.rawValue); choose bf16 or f32")
    }
  }
}
