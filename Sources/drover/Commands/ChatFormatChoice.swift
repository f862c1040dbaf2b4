import Catalog
import Checkpoint
import Glibc
import Inference
import Platform
import Templates
import Terminal

extension ChatCommand {
  /// The format that was asked for; else the model's own template, else that of its release.
  func chosenFormat(_ model: LanguageModel) throws -> ChatFormat {
    if let named = ChatFormat.named[format] {
      if global.verbose { Console.note("chat format \(named.name), as --format says") }
      return named
    }
    if let own = try model.templateFormat(now: templateMoment()) {
      if global.verbose, case .template(let template) = own { Console.note("chat format: the model's own, \(template.place)") }
      return own
    }
    guard format == "auto" else { throw CommandError(.usage, "\(self.model): no chat template came with these weights; choose another --format") }
    // Meta's files don't show whether the model chats.
    guard let release = try Catalog.builtIn().release(ofCheckpointAt: self.model.path), let format = release.chatFormat.flatMap({ ChatFormat.named[$0] }) else {
      throw CommandError(
        .usage,
        "\(self.model): has no chat template, and is no release that the catalog knows to chat; is it a chat model? If so, name its format: --format llama2, llama3, codellama70b or chatml"
      )
    }
    if global.verbose { Console.note("chat format \(format.name), as Meta's code for this release writes it\(Self.difference(release, format))") }
    return format
  }

  /// What the template that Hugging Face has for the release does otherwise.
  private static func difference(_ release: Release, _ format: ChatFormat) -> String {
    switch format {
    case .llama3 where release.family == "Llama 3": "; Hugging Face's template for it strips what messages begin and end with"
    case .llama3: "; Hugging Face's template for it begins with a system message of dates, and strips what messages begin and end with"
    default: ""
    }
  }
}

/// The time that a template's `strftime_now` shows: SOURCE_DATE_EPOCH in UTC, where that is set (https://reproducible-builds.org/specs/source-date-epoch/).
func templateMoment() throws -> Moment {
  guard let set = getenv("SOURCE_DATE_EPOCH").map({ String(cString: $0) }), !set.isEmpty else { return Moment(seconds: secondsSinceEpoch(), isUTC: false) }
  guard let seconds = Int(set), seconds >= 0 else { throw CommandError(.usage, "SOURCE_DATE_EPOCH is “\(set)”, not a number of seconds since 1970") }
  return Moment(seconds: seconds, isUTC: true)
}
