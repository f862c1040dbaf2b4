import ArgumentParser
import Transfer

/// A command with arguments that are not links. A signed link is a secret: one that is pasted where a name or a path belongs is refused before any
/// message quotes it.
protocol RefusesMisplacedLinks {
  /// The arguments as they were given, and what each should be.
  var argumentsOtherThanLinks: [(given: [String?], what: String)] { get }
}

extension RefusesMisplacedLinks {
  func refuseMisplacedLinks() throws(CommandError) {
    for (given, what) in argumentsOtherThanLinks where given.contains(where: { $0.map(ProcessSecrets.resemblesLink) ?? false }) {
      throw CommandError(.usage, "a link was given where \(what) belongs; a link to a release goes into DROVER_URL or --url, beside the release's name: drover download 7B --url 'LINK'")
    }
  }
}

extension VerifyCommand: RefusesMisplacedLinks {
  var argumentsOtherThanLinks: [(given: [String?], what: String)] { [(paths.map(\.description), "a folder, a checklist or a receipt")] }
}

extension FingerprintCommand: RefusesMisplacedLinks {
  var argumentsOtherThanLinks: [(given: [String?], what: String)] { [(paths.map(\.description), "a checkpoint's path")] }
}

extension ReshardCommand: RefusesMisplacedLinks {
  var argumentsOtherThanLinks: [(given: [String?], what: String)] { [([source.description, destination.description], "a checkpoint's path")] }
}

extension CompleteCommand: RefusesMisplacedLinks {
  var argumentsOtherThanLinks: [(given: [String?], what: String)] { [([model.description, prompts?.description], "a path")] }
}

extension ChatCommand: RefusesMisplacedLinks {
  var argumentsOtherThanLinks: [(given: [String?], what: String)] { [([model.description, dialogs?.description], "a path")] }
}

extension BenchCommand: RefusesMisplacedLinks {
  var argumentsOtherThanLinks: [(given: [String?], what: String)] { [([model.description], "a checkpoint's path")] }
}

extension CatalogCommand: RefusesMisplacedLinks {
  var argumentsOtherThanLinks: [(given: [String?], what: String)] { [([model], "a release's name"), ([manifest?.description], "a file")] }
}

extension DownloadCommand: RefusesMisplacedLinks {
  var argumentsOtherThanLinks: [(given: [String?], what: String)] { [(models.filter { !SignedLink.resembles($0) }, "a release's name"), ([transfer.server.manifest?.description, transfer.server.cacert?.description, output?.description], "a path")] }
}

extension PullCommand: RefusesMisplacedLinks {
  var argumentsOtherThanLinks: [(given: [String?], what: String)] {
    [([model], "a release's name"), ([transfer.server.manifest?.description, transfer.server.cacert?.description, destination.description], "a path")]
  }
}

extension InspectCommand: RefusesMisplacedLinks {
  var argumentsOtherThanLinks: [(given: [String?], what: String)] { [([model], "a release's name"), ([server.manifest?.description, server.cacert?.description], "a file")] }
}
