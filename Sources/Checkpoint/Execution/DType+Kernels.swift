import CKernels
import Integrity

extension DType {
  /// The same type, as the kernels call it; nil for f64, which they don't read.
  package var kernelType: drover_dtype? {
    switch self {
    case .f64: nil
    case .f32: drover_f32
    case .f16: drover_f16
    case .bf16: drover_bf16
    case .q8_0: drover_q8_0
    case .q4_0: drover_q4_0
    case .q4_1: drover_q4_1
    case .q5_0: drover_q5_0
    case .q5_1: drover_q5_1
    case .q2_k: drover_q2_k
    case .q3_k: drover_q3_k
    case .q4_k: drover_q4_k
    case .q5_k: drover_q5_k
    case .q6_k: drover_q6_k
    case .iq4_nl: drover_iq4_nl
    case .iq4_xs: drover_iq4_xs
    }
  }
}
