import ArgumentParser

/// `--ignore-key`, of the commands that refuse where a model's description says what drover doesn't honour.
struct IgnoredKeys: ParsableArguments {
  @Option(
    name: .customLong("ignore-key"),
    help: ArgumentHelp("Go on as if this key of the model's description weren't there, though it may change the numbers; may be given several times.", valueName: "name"))
  var names: [String] = []
}
