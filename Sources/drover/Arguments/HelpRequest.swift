import Glibc

/// Requests for help, the version or a completion script.
///
/// The parser grants them wherever it sees a flag for help, even the h of `-dash`, and ends with 0. But 0 says that what was asked for was done: a script
/// that verifies files, one of which is called `-h`, must not read it. So they are granted only where nothing else was asked for.
enum HelpRequest {
  private static let flags: Set = ["-h", "--help", "--help-hidden"]
  private static let requests = flags.union(["help", "--version", "--generate-completion-script", "--experimental-dump-help"])

  static func checkIsAll(of words: [String]) throws(CommandError) {
    let name = words.first.map { String($0.prefix { $0 != "=" }) } ?? ""
    switch words.count {
    case 1 where requests.contains(name): return
    case 2 where name == "--generate-completion-script": return
    case 2 where name == "help" && CommandNames.all.contains(words[1]): return
    case 2 where CommandNames.all.contains(name) && flags.contains(words[1]): return
    default: break
    }
    let options = words.prefix { $0 != "--" }
    if let flag = options.first(where: requests.contains) {
      throw CommandError(.usage, "\(flag) stands among other words, so nothing was done; `drover COMMAND --help` shows the help, and a file of that name is ./\(flag)")
    }
    let word = options.first { $0.hasPrefix("-") && !$0.hasPrefix("--") && $0.contains("h") } ?? name
    throw CommandError(.usage, "\(ArgumentBytes.shown(word)) is no option; a file of that name is ./\(ArgumentBytes.shown(word))")
  }

  /// Gives help 60 columns at least. The parser, which goes by COLUMNS and then by the terminal, ends in an assertion in fewer than 27, and leaves most
  /// of the help out.
  static func makeRoom() {
    let least = 60
    var size = winsize()
    _ = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size)
    let columns = getenv("COLUMNS").flatMap { Int(String(cString: $0)) } ?? (size.ws_col > 0 ? Int(size.ws_col) : nil)
    if let columns, columns < least { setenv("COLUMNS", "\(least)", 1) }
  }
}
