import ArgumentParser

/// A command with arguments that are not links. A link that is pasted there is refused before it is quoted in any message.
protocol ExpectsOtherThanLinks {
  /// What was given, and what should be.
  var expectations: [(given: [String?], what: String)] { get }
}

extension ExpectsOtherThanLinks {
  func refuseLinks() throws(UsageError) {
    for (given, what) in expectations where given.contains(where: { $0.map(ProcessSecrets.resemblesLink) ?? false }) {
      throw UsageError("a link was given where \(what) belongs; a link to a release goes into DROVER_URL or --url, beside the release's name: drover download 7B --url 'LINK'")
    }
  }
}

extension VerifyCommand: ExpectsOtherThanLinks {
  var expectations: [(given: [String?], what: String)] { [(paths, "a folder, a checklist or a receipt")] }
}

extension FingerprintCommand: ExpectsOtherThanLinks {
  var expectations: [(given: [String?], what: String)] { [(paths, "a checkpoint's path")] }
}

extension ReshardCommand: ExpectsOtherThanLinks {
  var expectations: [(given: [String?], what: String)] { [([source, destination], "a checkpoint's path")] }
}

extension CompleteCommand: ExpectsOtherThanLinks {
  var expectations: [(given: [String?], what: String)] { [([model, prompts], "a path")] }
}

extension ChatCommand: ExpectsOtherThanLinks {
  var expectations: [(given: [String?], what: String)] { [([model, dialogs], "a path")] }
}

extension BenchCommand: ExpectsOtherThanLinks {
  var expectations: [(given: [String?], what: String)] { [([model], "a checkpoint's path")] }
}

extension CatalogCommand: ExpectsOtherThanLinks {
  var expectations: [(given: [String?], what: String)] { [([model], "a release's name"), ([manifest], "a file")] }
}

extension DownloadCommand: ExpectsOtherThanLinks {
  var expectations: [(given: [String?], what: String)] { [(models, "a release's name"), ([server.manifest, server.cacert, output], "a path")] }
}

extension InspectCommand: ExpectsOtherThanLinks {
  var expectations: [(given: [String?], what: String)] { [([model], "a release's name"), ([server.manifest, server.cacert], "a file")] }
}
