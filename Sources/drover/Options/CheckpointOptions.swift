import ArgumentParser
import Checkpoint

/// What a person says of a checkpoint, where its files don't.
struct CheckpointOptions: ParsableArguments {
  @Option(
    name: .customLong("kv-heads"), parsing: .unconditional,
    help: ArgumentHelp("Key and value heads of the model, where the shards don't tell which of theirs are copies.", valueName: "n"))
  var keyValueHeads: Int?

  func validate() throws {
    guard keyValueHeads.map({ $0 > 0 }) ?? true else { throw ValidationError("--kv-heads is at least 1.") }
  }

  var forOpening: Checkpoint.OpenOptions { Checkpoint.OpenOptions(keyValueHeads: keyValueHeads) }
}
