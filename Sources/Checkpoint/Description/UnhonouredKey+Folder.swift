import Platform
import SystemPackage

extension UnhonouredKey {
  /// What the description of a model in `folder` says and drover doesn't honour, for commands that look at files and not at models.
  ///
  /// - Returns: nothing for a folder without a description, or with one that can't be read: whoever opens the model says what is wrong with it.
  public static func keys(in folder: FilePath) -> [UnhonouredKey] {
    func read(_ name: String, _ stated: (any ByteSource) throws(CheckpointError) -> StatedParams) -> [UnhonouredKey] {
      let path = folder.appending(name)
      guard Directory.exists(path), let file = try? LocalFile(path), let stated = try? stated(file) else { return [] }
      return stated.unhonoured
    }
    return read("config.json", HuggingFaceConfig.stated) + read("params.json", MetaParams.stated)
  }
}
