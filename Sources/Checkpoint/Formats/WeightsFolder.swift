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
    let container: Checkpoint.Format = try WeightsFile.Kind(files[0]) == .safetensors ? .safetensors : .pth
    return try checkpoint(folder, read, shards, files, container, options)
  }

  /// - Parameters:
  ///   - read: what the files of each rank hold.
  ///   - shards: what messages call them.
  ///   - container: how they lie on disk, where it isn't a Hugging Face folder.
  static func checkpoint(
    _ folder: CheckpointFolder, _ read: [[StoredTensors]], _ shards: [[FilePath]], _ files: [any ByteSource], _ container: Checkpoint.Format,
    _ options: Checkpoint.OpenOptions
  ) throws(CheckpointError) -> Checkpoint {
    var (read, files) = (read, files)
    let scheme = NamingScheme.of(read.joined().map(\.names).joined()) ?? (folder.has(DescriptionFile.config.rawValue) ? .huggingFace : .meta)
    let description = scheme.descriptions.first { folder.has($0.rawValue) } ?? scheme.descriptions[0]
    let path = folder.path.appending(description.rawValue)
    let described = try folder.open(path)
    var stated = try description.stated(in: described)
    if scheme.descriptions.contains(.litGPT), description == .config, folder.has(DescriptionFile.litGPT.rawValue) {
      // litgpt reads the one, and what it leaves for transformers to read is the other.
      let other = folder.path.appending(DescriptionFile.litGPT.rawValue)
      try stated.requireSame(LitGPTConfig.stated(in: folder.open(other)), path, other)
    }

    let scaled = try join(&read, folder, shards, &files, stated)
    if let said = stated.scaled, scaled.isEmpty { stated.unhonoured += said.keys }
    var names = NamedWeights(scheme, described: (stated, by: path))
    var ranks: [[TensorName: StoredTensor]] = []
    for (number, stored) in read.enumerated() {
      for (tensors, path) in zip(stored, shards[number]) { try names.add(tensors, in: path) }
      ranks.append(names.takeWeights())
    }
    if ranks.allSatisfy(\.isEmpty), !names.extras.notes.isEmpty {
      throw CheckpointError(.corrupt, in: shards[0][0], (["holds no weights of a Llama"] + names.extras.notes).joined(separator: "; "))
    }
    if description != .config { try checkNumbers(read, files.map(\.path)) }
    try settleTie(&ranks, &stated, files, folder, path, description)
    var companions = try folder.companions(isHuggingFace: description == .config)
    switch description {
    case .params: companions.params = path
    case .config: if folder.isHere { companions.huggingFace = try HuggingFaceCompanions(folder, config: path) }
    case .litGPT: break
    }
    if container == .dcp, options.keepsExtra, let extra = names.extras.tensors.first {
      throw CheckpointError(.refused, in: folder.path, "has \(extra.name), which --keep-extra can't take out of a distributed checkpoint")
    }
    let extras = options.keepsExtra ? try kept(names.extras, files, shards, folder) : []
    companions.notes += names.extras.notes(keeping: Set(extras.map(\.name))) + scaled.notes
    let format: Checkpoint.Format = description == .config ? .hf : container
    var assembly = Assembly(format: format, path: folder.path, shards: ranks, files: files, stated: stated, options: options, companions: companions)
    assembly.description = description.rawValue
    if scheme.rotatesHalves { assembly.rowOrder = { role, headDim in role.isRotated ? .halves(headDim: headDim) : .pairs } }
    var checkpoint = try assembly.checkpoint()
    checkpoint.extras = extras
    if let copy = stated.copyOfEmbedding, var tensor = checkpoint[TensorName(.tokEmbeddings)] {
      (tensor.name, tensor.parts) = (TensorName(.output), copy.parts)
      checkpoint.copyOfEmbedding = tensor
    }
    if checkpoint.params.architecture != nil { checkpoint.spelling = names.spelling }
    return checkpoint
  }

  /// Reads the tensors that aren't a Llama's.
  private static func kept(
    _ extras: ExtraTensors, _ files: [any ByteSource], _ shards: [[FilePath]], _ folder: CheckpointFolder
  ) throws(CheckpointError) -> [ExtraTensor] {
    guard shards.count == 1 || extras.tensors.isEmpty else {
      throw CheckpointError(.refused, in: folder.path, "has \(shards.count) shards, and how \(extras.tensors[0].name) is cut among them nobody can say: --keep-extra takes checkpoints of one")
    }
    var kept: [ExtraTensor] = []
    for index in shards[0].indices {
      let names = Set(extras.tensors.filter { $0.file == index }.map(\.name))
      if !names.isEmpty { kept += try WeightsFile.extras(names, files[index]) }
    }
    let bytes = kept.reduce(0) { $0 + $1.bytes.count }
    guard bytes <= ExtraTensor.mostBytes else {
      throw CheckpointError(.refused, in: folder.path, "has \(bytes) bytes of tensors that aren't a Llama's; --keep-extra takes \(ExtraTensor.mostBytes)")
    }
    return kept.sorted { $0.name < $1.name }
  }

  /// Makes weights of what is stored as codes with scales beside them.
  /// - Parameter files: get those with scales besides.
  private static func join(
    _ read: inout [[StoredTensors]], _ folder: CheckpointFolder, _ shards: [[FilePath]], _ files: inout [any ByteSource], _ stated: StatedParams
  ) throws(CheckpointError) -> ScaledWeights {
    var scaled = ScaledWeights(stated.scaled?.stated ?? .init())
    for rank in read.indices {
      for number in read[rank].indices { try scaled.join(&read[rank][number], in: shards[rank][number]) }
      let name = ScaledWeights.scalesFile(rank: rank)
      guard shards[rank].count == 1, folder.has(name), read[rank][0].codes.values.contains(where: { $0.code == .float8 }) else { continue }
      let path = folder.path.appending(name)
      let file = try folder.open(path)
      try scaled.join(&read[rank][0], in: shards[rank][0], scales: WeightsFile.read(file, index: files.count), from: path, rank: rank)
      files.append(file)
    }
    if read.count > 1, scaled.stated.isRotated, !scaled.isEmpty {
      throw CheckpointError(.unsupported, in: folder.path, "has weights with SpinQuant's rotation in \(read.count) shards, across which it would run; the releases have one")
    }
    return scaled
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
    // Files with scales stand behind those of the ranks.
    let paths = paths.prefix(read.joined().count)
    guard names.count == paths.count, Set(names) == Set(expected), let rank = names.indices.first(where: { names[$0] != expected[$0] }) else { return }
    throw CheckpointError(.corrupt, in: paths[rank], "was written as \(names[rank]).pth, so it is another rank's shard: give the shards back the names that they were written under")
  }
}
