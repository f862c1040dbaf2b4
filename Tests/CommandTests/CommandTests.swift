import TestSupport
import Testing

@Suite struct CommandTests {
  @Test func unknownCommandIsAUsageError() throws {
    let outcome = try drover("frobnicate")
    #expect(outcome.status == 64)
    #expect(outcome.output.isEmpty)
  }
}
