import ArgumentParser
import Checkpoint

/// What numbers a model is computed in.
struct ComputingOptions: ParsableArguments {
  @Option(help: "What is computed in: float32, the reference's numbers.")
  var precision: Precision = .float32

  @Option(help: "Quantize the weights in memory, as reshard does for a GGUF: q8_0 or q4_0.")
  var quantize: Quantization?

  enum Precision: String, ExpressibleByArgument, CaseIterable {
    case float32, native
  }

  enum Quantization: String, ExpressibleByArgument, CaseIterable {
    case q8_0, q4_0
  }

  func validate() throws {
    guard precision == .float32 else { throw ValidationError("--precision native isn't there yet: everything is computed in float32.") }
  }

  var quantization: DTypeMix? {
    switch quantize {
    case .q8_0: .q8_0
    case .q4_0: .q4_0
    case nil: nil
    }
  }
}
