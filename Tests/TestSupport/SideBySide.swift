import Testing

/// Runs no more than some of a suite's test cases at a time: for cases that mostly wait, where all of them at once would be too many for the clocks that they
/// are played against.
public struct SideBySide: SuiteTrait, TestTrait, TestScoping {
  private let places: Places

  public var isRecursive: Bool { true }

  fileprivate init(_ count: Int) { places = Places(free: count) }

  public func scopeProvider(for test: Test, testCase: Test.Case?) -> Self? { testCase == nil ? nil : self }

  public func provideScope(for test: Test, testCase: Test.Case?, performing body: @Sendable () async throws -> Void) async throws {
    await places.take()
    do { try await body() } catch {
      await places.give()
      throw error
    }
    await places.give()
  }

  private actor Places {
    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(free: Int) { self.free = free }

    func take() async {
      if free > 0 { free -= 1 } else { await withCheckedContinuation { waiting.append($0) } }
    }

    func give() {
      if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }
  }
}

extension Trait where Self == SideBySide {
  public static func sideBySide(_ count: Int) -> Self { SideBySide(count) }
}
