import TestSupport
import Testing

@Suite struct CommandTests {
  @Test func unknownCommandIsAUsageError() throws {
    for (word, hint) in [("frobnicate", "drover --help"), ("downlaod", "drover download"), ("covnert", "drover convert")] {
      let outcome = try drover(word, "7B", "--url", "nonsense")
      #expect(outcome.status == 64 && outcome.output.isEmpty)
      #expect(outcome.errors.contains(word) && outcome.errors.contains(hint), "\(outcome.errors)")
    }
  }
}
