import SystemPackage

/// The files that go with the weights: `params.json` in Meta's layout, the tokenizer, the licence.
enum CompanionFiles {
  /// - Returns: the files, and what a person should know about them.
  static func of(_ source: Checkpoint, _ layout: ShardLayout, _ format: Checkpoint.Format) throws(CheckpointError) -> (files: [OutputFile], notes: [String]) {
    var files: [OutputFile] = []
    // A Hugging Face folder has its config.json, and a GGUF has everything in its keys.
    if format != .hf, format != .gguf { files.append(OutputFile(name: "params.json", content: try MetaParams.file(for: source, keyValueHeads: layout.keyValueHeads))) }
    var notes: [String] = []
    if format != .gguf {
      let tokenizer = try TokenizerFiles(source, for: format)
      files += tokenizer.files
      notes = tokenizer.notes
    }
    for path in source.companions.legal { files.append(try copy(of: path)) }
    return (files, notes)
  }

  static func copy(of path: FilePath) throws(CheckpointError) -> OutputFile {
    let isText = path.extension != "json" && path.extension != "model"
    return OutputFile(name: path.lastComponent?.string ?? "", content: try LocalFile.contents(of: path, isText: isText))
  }
}
