extension Checkpoint {
  /// What whoever opens a checkpoint says of it, where its files don't.
  public struct OpenOptions: Sendable, Equatable {
    /// Key and value heads of the model, copies not counted, where each rank has one: how many of them are copies, shapes can't tell.
    public var keyValueHeads: Int?

    public init(keyValueHeads: Int? = nil) { self.keyValueHeads = keyValueHeads }
  }
}
