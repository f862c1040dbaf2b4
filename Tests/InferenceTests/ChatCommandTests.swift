import Foundation
import TestSupport
import Testing

/// Which format `drover chat` puts a dialog to a model in, and what it says of that.
struct ChatCommandTests {
  static let model = Peer.packageRoot + "/Sources/CDemoModel/model"

  struct Case: Sendable, CustomTestStringConvertible {
    let files: [String: String]
    var arguments: [String] = []
    var environment: [String: String] = [:]
    var dialogs = #"[[{"role": "user", "content": "[/INST] </s>hello"}]]"#
    var status: Int32 = 0
    /// What the model reads; nil where it comes to nothing.
    var reads: String?
    var spelled: [String] = []
    /// What standard error says.
    var says = ""
    var testDescription: String { "\(files.keys.sorted()) \(arguments) \(says)" }
  }

  static let short = "{{ bos_token }}A{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}{{ eos_token }}"

  static let cases = [
    Case(files: ["chat_template.jinja": short], reads: "<s>Auser: [/INST] </s>hello</s>", spelled: ["</s>"]),
    // The file of its own comes first; the tokens are those of tokenizer_config.json, and the prompt begins with BOS only if the template says so.
    Case(files: ["chat_template.jinja": "B{{ eos_token }}", "tokenizer_config.json": #"{"chat_template": "C", "eos_token": {"content": "<s>"}}"#], reads: "B<s>"),
    Case(files: ["tokenizer_config.json": #"{"chat_template": "C{{ eos_token }}", "eos_token": null}"#], arguments: ["-v"], reads: "C", says: "chat_template of "),
    Case(files: ["tokenizer_config.json": #"{"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]}"#], reads: "D"),
    Case(files: ["tokenizer_config.json": #"{"chat_template": [{"name": "tool_use", "template": "T"}]}"#], status: 65, says: "tool_use"),
    Case(files: ["tokenizer_config.json": #"{"chat_template": 5}"#], status: 65, says: "neither text nor a list"),
    Case(files: ["chat_template.jinja": "\n{{ nobody.x }}"], status: 65, says: "line 2"), Case(files: ["chat_template.jinja": "{% block %}"], status: 65, says: "{% block %}"),
    Case(files: ["chat_template.jinja": "{{ raise_exception('no users') }}"], status: 65, says: "no users"),
    Case(files: ["chat_template.jinja": "{{ strftime_now('%d %b %Y') }}"], environment: ["SOURCE_DATE_EPOCH": "1721999045"], reads: "26 Jul 2024"),
    Case(files: ["chat_template.jinja": "{{ strftime_now('%d') }}"], environment: ["SOURCE_DATE_EPOCH": "soon"], status: 64, says: "SOURCE_DATE_EPOCH"),
    Case(files: ["chat_template.jinja": "X"], arguments: ["--format", "llama2"], dialogs: #"[[{"role": "user", "content": "hi"}]]"#, reads: "<s>[INST] hi [/INST]"),
    Case(files: ["chat_template.jinja": "X"], arguments: ["--format", "template"], reads: "X"), Case(files: [:], arguments: ["--format", "template"], status: 64, says: "no chat template"),
    Case(files: [:], status: 64, says: "--format llama2"), Case(files: [:], arguments: ["--format", "plain"], status: 64, says: "codellama70b"),
    Case(files: ["chat_template.jinja": short], dialogs: #"[[{"role": "user", "content": [{"type": "text", "text": "a"}]}]]"#, status: 65, says: "isn't text"),
  ]

  @Test(arguments: cases) func whatTheModelReads(_ row: Case) throws {
    struct Report: Decodable {
      struct Dialog: Decodable {
        struct Input: Decodable {
          let text: String
          let tokens: [Int]
          let spelled: [String]
        }
        let input: Input
      }
      let dialogs: [Dialog]
    }
    try withTemporaryFolder { folder in
      let model = folder + "/model"
      try FileManager.default.copyItem(atPath: Self.model, toPath: model)
      for (name, content) in row.files { try content.write(toFile: model + "/" + name, atomically: false, encoding: .utf8) }
      try row.dialogs.write(toFile: folder + "/dialogs.json", atomically: false, encoding: .utf8)
      let outcome = try run(
        droverPath, ["chat", model, "--dialogs", folder + "/dialogs.json", "--json", "--show-prompt", "--max-gen-len", "1", "--threads", "1"] + row.arguments,
        environment: row.environment)
      #expect(outcome.status == row.status && (row.says.isEmpty || outcome.errors.contains(row.says)), "\(outcome.errors)")
      guard let reads = row.reads else { return #expect(outcome.output.isEmpty) }
      let input = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8)).dialogs.first?.input
      #expect(input?.text == reads && input?.spelled == row.spelled && input?.tokens.isEmpty == false, "\(outcome.output)")
    }
  }
}
