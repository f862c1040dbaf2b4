import TestSupport
import Testing

/// What the shell offers.
@Suite struct CompletionTests {
  /// Bash itself runs the script.
  @Test func filesAreOfferedWhereverPathsGo() throws {
    let lines = [
      "inspect", "complete", "complete m --prompts", "complete m --tokenizer", "chat", "chat m --dialogs", "chat m --tokenizer", "bench", "download --output", "download -o",
      "download --manifest", "download --cacert", "inspect --manifest", "reshard", "reshard m", "verify", "verify m", "fingerprint", "demo --keep", "catalog --manifest",
    ]
    let script = """
      source <("$0" --generate-completion-script bash)
      for line in "$@"; do
        COMP_WORDS=(drover $line MapsA) COMP_LINE="drover $line MapsA" COMPREPLY=()
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_POINT=${#COMP_LINE}
        _drover drover MapsA "${COMP_WORDS[COMP_CWORD - 1]}" 2>/dev/null
        echo "$line: ${COMPREPLY[*]}"
      done
      """
    try withTemporaryFolder { folder in
      _ = try run("/bin/mkdir", ["MapsAndModels"], in: folder)
      let outcome = try run("/bin/bash", ["-c", script, droverPath] + lines, in: folder)
      #expect(outcome.output == lines.map { $0 + ": MapsAndModels\n" }.joined(), "\(outcome)")
    }
  }
}
