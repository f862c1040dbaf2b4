import Integrity

/// Lays out shards as `torch.save` writes a state dict: one storage a tensor.
enum PthLayout {
  /// - Parameters:
  ///   - name: of the file, without its suffix; the zip's folder is called so too, as torch does.
  ///   - aliases: names that share another tensor's storage.
  ///   - extras: what goes along as it is.
  static func file(_ name: String, _ tensors: [OutputTensor], aliases: [String: String] = [:], extras: [ExtraTensor] = []) -> OutputFile {
    var zip = ZipLayout(name: name + ".pth")
    zip.add("\(name)/data.pkl", pickle(tensors, aliases, extras))
    zip.add("\(name)/byteorder", Array("little".utf8))
    for (key, tensor) in tensors.enumerated() { zip.add("\(name)/data/\(key)", tensor) }
    for (key, extra) in extras.enumerated() { zip.add("\(name)/data/\(tensors.count + key)", extra.bytes) }
    zip.add("\(name)/version", Array("3\n".utf8))
    return zip.finish()
  }

  /// What `torch.save` writes of one tensor.
  static func tensorFile(_ region: OutputRegion) -> OutputFile {
    var pickler = Pickler()
    pickler.begin()
    pickler.tensor(PthStorage.name(region.dtype), 0, region.shape)
    // torch's own name for what isn't written to a path.
    var zip = ZipLayout(name: region.name)
    zip.add("archive/data.pkl", pickler.end())
    zip.add("archive/byteorder", Array("little".utf8))
    zip.add("archive/data/0", OutputTensor(region))
    zip.add("archive/version", Array("3\n".utf8))
    return zip.finish()
  }

  /// The pickle of a dict from names to tensors, protocol 2 as torch writes it.
  private static func pickle(_ tensors: [OutputTensor], _ aliases: [String: String], _ extras: [ExtraTensor]) -> [UInt8] {
    var pickler = Pickler()
    pickler.begin()
    pickler.opcodes("}(")
    func add(_ name: String, _ tensor: OutputTensor, _ key: Int) {
      pickler.text(name)
      pickler.tensor(PthStorage.name(tensor.dtype), key, tensor.shape)
    }
    for (key, tensor) in tensors.enumerated() { add(tensor.name, tensor, key) }
    for (alias, name) in aliases.sorted(by: { $0.key < $1.key }) {
      if let key = tensors.firstIndex(where: { $0.name == name }) { add(alias, tensors[key], key) }
    }
    for (key, extra) in extras.enumerated() {
      pickler.text(extra.name)
      pickler.tensor(PthStorage.name(extra.dtype), tensors.count + key, extra.shape)
    }
    pickler.opcodes("u")
    return pickler.end()
  }
}
