import SystemPackage

/// Files of weights, a row of them for each rank, and what describes the model beside them.
///
/// What a file is, is told by its bytes; how its tensors are called, by their names; and what describes them, by what lies there. Torch's files may be
/// Hugging Face's, safetensors may be Meta's, and either may have another program's names.
enum WeightsFolder {
  /// - Parameter shards: the files of each rank: one each, or several of a single rank.
  static func open(_ folder: CheckpointFolder, _ shards: [[FilePath]], _ options: Checkpoint.OpenOptions) throws(CheckpointError) -> Checkpoint {
    var files: [any ByteSource] = []
    var read: [[StoredTensors]] = []
    for paths in shards {
      var stored: [StoredTensors] = []
      for path in paths {
        let file = try folder.open(path)
        stored.append(try WeightsFile.read(file, index: files.count))
        files.append(file)
      }
      read.append(stored)
    }
    let scheme = NamingScheme.of(read.joined().map(\.names).joined()) ?? (folder.has(DescriptionFile.config.rawValue) ? .huggingFace : .meta)
    let description = scheme.descriptions.first { folder.has($0.rawValue) } ?? scheme.descriptions[0]
    let path = folder.path.appending(description.rawValue)
    let described = try folder.open(path)
    var stated = description == .config ? try HuggingFaceConfig.stated(in: described) : try MetaParams.stated(in: described)

    var names = NamedWeights(scheme, described: (stated, by: path))
    var ranks: [[TensorName: StoredTensor]] = []
    for (number, stored) in read.enumerated() {
      for (tensors, path) in zip(stored, shards[number]) { try names.add(tensors, in: path) }
      ranks.append(names.takeWeights())
    }
    if ranks.allSatisfy(\.isEmpty), !names.extras.notes.isEmpty {
      throw CheckpointError(.corrupt, in: shards[0][0], (["holds no weights of a Llama"] + names.extras.notes).joined(separator: "; "))
    }
    if description == .params { try checkNumbers(read, files.map(\.path)) }
    try settleTie(&ranks, &stated, files, folder, path, description)
    var companions = try folder.companions(isHuggingFace: description == .config)
    switch description {
    case .params: companions.params = path
    case .config: if folder.isHere { companions.huggingFace = try HuggingFaceCompanions(folder, config: path) }
    }
    companions.notes += names.extras.notes
    let format: Checkpoint.Format = description == .config ? .hf : try WeightsFile.Kind(files[0]) == .safetensors ? .safetensors : .pth
    var assembly = Assembly(format: format, path: folder.path, shards: ranks, files: files, stated: stated, options: options, companions: companions)
    if scheme.rotatesHalves { assembly.rowOrder = { role, headDim in role.isRotated ? .halves(headDim: headDim) : .pairs } }
    return try assembly.checkpoint()
  }

  private static func settleTie(
    _ ranks: inout [[TensorName: StoredTensor]], _ stated: inout StatedParams, _ files: [any ByteSource], _ folder: CheckpointFolder, _ path: FilePath,
    _ description: DescriptionFile
  ) throws(CheckpointError) {
    if description == .config {
      guard ranks.count == 1 else { throw CheckpointError(.unsupported, in: path, "describes a model that isn't cut, and there are \(ranks.count) shards of one") }
      return try HuggingFaceTie.settle(&ranks[0], &stated, files, in: folder.path, path)
    }
    // Meta's description doesn't say: the output is the embedding's storage under a second name.
    let (embedding, output) = (TensorName(.tokEmbeddings), TensorName(.output))
    if ranks.allSatisfy({ $0[output] != nil && $0[output] == $0[embedding] }) {
      for rank in ranks.indices { ranks[rank][output] = nil }
    }
  }

  /// Shards that were written as `consolidated.00` and so on, each number once, but whose files have other numbers now, were renamed: each rank would get
  /// another's weights. Of shards that were written under other names nothing can be said.
  private static func checkNumbers(_ read: [[StoredTensors]], _ paths: [FilePath]) throws(CheckpointError) {
    let names = read.joined().compactMap(\.writtenAs)
    func name(_ rank: Int) -> String { "consolidated." + (rank < 10 ? "0\(rank)" : "\(rank)") }
    let expected = paths.indices.map(name)
    guard names.count == paths.count, Set(names) == Set(expected), let rank = names.indices.first(where: { names[$0] != expected[$0] }) else { return }
    throw CheckpointError(.corrupt, in: paths[rank], "was written as \(names[rank]).pth, so it is another rank's shard: give the shards back the names that they were written under")
  }
}
