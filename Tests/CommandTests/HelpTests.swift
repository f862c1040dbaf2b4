import Foundation
import TestSupport
import Testing

/// Exit 0 says that what was asked for was done: help is that only where nothing else was asked for.
@Suite struct HelpTests {
  /// A script says `drover verify *` or `drover verify "$name"`.
  @Test(arguments: [
    (["verify", "-dash"], "./-dash"),
    (["verify", "-xh", "m"], "./-xh"),
    (["verify", "a", "-h"], "./-h"),
    (["verify", "-h", "a"], "./-h"),
    (["verify", "--bogus", "-h"], "./-h"),
    (["reshard", "a", "-path", "--mp", "1"], "./-path"),
    (["verify", "a", "--help"], "stands among other words"),
    (["verify", "a", "--version"], "stands among other words"),
    (["--version", "a"], "stands among other words"),
    (["-xh"], "./-xh"),
    (["help", "nonsense"], "nonsense: no such command"),
    (["help", "verfiy"], "did you mean `drover verify`"),
    (["help", "verify", "download"], "stands among other words"),
    ([], "name a command"),
  ])
  func isNoSuccess(words: [String], says: String) throws {
    let outcome = try run(droverPath, words)
    #expect(outcome.status == 64 && outcome.output.isEmpty, "\(outcome)")
    #expect(outcome.errors.contains(says) && outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
  }

  @Test(arguments: [
    (["--help"], "SUBCOMMANDS"), (["-h"], "SUBCOMMANDS"), (["help"], "SUBCOMMANDS"), (["help", "verify"], "USAGE: drover verify"), (["verify", "-h"], "USAGE: drover verify"),
    (["convert", "--help"], "USAGE: drover reshard"), (["--version"], "drover 0."), (["--generate-completion-script", "bash"], "_drover"),
    (["--generate-completion-script=zsh"], "#compdef"),
  ])
  func isGivenWhereNothingElseIsAsked(words: [String], says: String) throws {
    let outcome = try run(droverPath, words)
    #expect(outcome.status == 0 && outcome.errors.isEmpty && outcome.output.contains(says), "\(outcome)")
    let lost = try run("/bin/sh", ["-c", #""$@" > /dev/full"#, "sh", droverPath] + words)
    #expect(lost.status == 73 && lost.errors.contains("No space left on device"), "\(lost)")
  }

  /// Every command that asks servers may be told how patient to be.
  @Test(arguments: ["download", "pull", "repair", "inspect"]) func patienceIsSettable(command: String) throws {
    let help = try drover(command, "--help").output
    for option in ["--retries", "--retry-time", "--cacert", "--manifest", "--allow-http"] { #expect(help.contains(option + " ") || help.contains(option + "\n"), "\(option)") }
  }

  /// A terminal of no width, or of few columns, gets all of it.
  @Test(arguments: ["0", "-3", "20", "26", "59", "80", "no number"]) func isWholeInAnyWidth(columns: String) throws {
    func words(_ environment: [String: String]) throws -> [Substring] { try drover("reshard", "--help", environment: environment).output.split(whereSeparator: \.isWhitespace) }
    let narrow = try words(["COLUMNS": columns])
    #expect(try narrow.count > 200 && narrow == words(["COLUMNS": "200"]))
  }

  /// A value may begin with a dash: a number that isn't allowed is called so, and a prompt is a prompt.
  @Test(arguments: [
    (["complete", "m", "--prompt", "a", "--seed", "-1"], "'-1' is invalid for '--seed"),
    (["complete", "m", "--prompt", "a", "--temperature", "-1"], "--temperature is 0 or more"),
    (["chat", "m", "--max-gen-len", "-1"], "--max-gen-len is not negative"),
    (["bench", "m", "--repetitions", "-1"], "--repetitions is at least 1"),
    (["download", "7B", "--connections", "-1"], "--connections takes 1 to 64"),
    (["download", "7B", "--retries", "-1"], "--retries takes 0 or more"),
    (["inspect", "--model", "7B", "--retries", "-1"], "--retries takes 0 or more"),
  ])
  func negativeNumbersAreNumbers(words: [String], says: String) throws {
    let outcome = try run(droverPath, words)
    #expect(outcome.status == 64 && outcome.errors.contains(says), "\(outcome.errors)")
  }

  @Test func aPromptMayBeginWithADash() throws {
    let outcome = try drover("complete", Peer.packageRoot + "/Sources/CDemoModel/model", "--prompt", "- a wolf", "--max-gen-len", "1", "--json", "--quiet")
    #expect(outcome.status == 0 && outcome.output.contains("\"- a wolf\""), "\(outcome)")
  }

  /// Options that would change nothing are refused.
  @Test(arguments: [
    (["reshard", "{}", "out", "--mp", "1", "--max-shard-size", "5G"], "--max-shard-size goes with --format hf"),
    (["inspect", "{}", "--cacert", "ca.pem"], "go with a link"),
    (["inspect", "{}", "--model", "7B"], "go with a link"),
    (["inspect", "{}", "--retries", "3"], "go with a link"),
    (["inspect", "{}", "--retry-time", "30m"], "go with a link"),
    (["inspect", "{}", "--allow-http"], "go with a link"),
    (["chat", "{}", "--json"], "--json goes with --dialogs"),
  ])
  func optionsThatDoNothingAreRefused(words: [String], says: String) throws {
    let outcome = try run(droverPath, words.map { $0.replacing("{}", with: Peer.packageRoot + "/Sources/CDemoModel/model") })
    #expect(outcome.status == 64 && outcome.errors.contains(says), "\(outcome.errors)")
  }
}
