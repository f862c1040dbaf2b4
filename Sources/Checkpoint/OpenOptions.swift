extension Checkpoint {
  /// What whoever opens a checkpoint says of it, where its files don't.
  public struct OpenOptions: Sendable, Equatable {
    /// Key and value heads of the model, copies not counted, where each rank has one: how many of them are copies, shapes can't tell.
    public var keyValueHeads: Int?
    /// Whether tensors that a Llama doesn't need go along with it.
    public var keepsExtra: Bool

    public init(keyValueHeads: Int? = nil, keepsExtra: Bool = false) { (self.keyValueHeads, self.keepsExtra) = (keyValueHeads, keepsExtra) }
  }
}
