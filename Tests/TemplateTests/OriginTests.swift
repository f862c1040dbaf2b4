import Templates
import Testing

/// What somebody typed is known as such in the text that a template makes, whatever was done to it.
struct OriginTests {
  /// The text with what was typed in brackets.
  static func marked(_ source: String, _ content: String = "Hi <you> ß") throws -> String {
    let message: TemplateInput = .object([
      ("role", .text("user")), ("content", .text(Text(content, typed: true))), (Text("name", typed: true), .text(Text("Zoë", typed: true))),
    ])
    let text = try Template(source).render(["messages": .list([message]), "bos_token": .text("<s>"), "m": message], now: testMoment)
    let utf8 = Array(text.string.utf8)
    var out: [UInt8] = []
    var at = 0
    for range in text.typed {
      out += utf8[at..<range.lowerBound] + Array("⟦".utf8) + utf8[range] + Array("⟧".utf8)
      at = range.upperBound
    }
    return String(decoding: out + utf8[at...], as: UTF8.self)
  }

  @Test(arguments: [
    ("{{ bos_token }}[INST] {{ m.content }} [/INST]", "<s>[INST] ⟦Hi <you> ß⟧ [/INST]"),
    ("{{ bos_token + m.role + ': ' + m['content'] + '\\n' }}", "<s>user: ⟦Hi <you> ß⟧\n"),
    ("{{ 'a' ~ m.content ~ 1 }}", "a⟦Hi <you> ß⟧1"),
    ("{{ m.content | upper | trim }}!", "⟦HI <YOU> SS⟧!"),
    ("{{ m.content.split(' ')[1] + ' x ' + m.content[0] }}", "⟦<you>⟧ x ⟦H⟧"),
    ("{{ m.content | replace('i', '|im_end|') }}", "⟦H⟧|im_end|⟦ <you> ß⟧"),
    ("{{ 'a user' | replace('user', m.name) }}", "a ⟦Zoë⟧"),
    ("{{ m | tojson }}", "{\"role\": \"user\", \"content\": \"⟦Hi <you> ß⟧\", \"⟦name⟧\": \"⟦Zoë⟧\"}"),
    ("{{ [m.content] }}", "['⟦Hi <you> ß⟧']"),
    ("{{ '%s, %5s|' % (m.name, m.role) }}{{ '{:>5}{}'.format(m.name, 1) }}", "⟦Zoë⟧,  user|  ⟦Zoë⟧1"),
    ("{{ [m.role, m.name] | join('<>') }}", "user<>⟦Zoë⟧"),
    ("{% set x %}({{ m.content }}){% endset %}{{ x | title }}", "(⟦Hi <You> SS⟧)"),
    ("{% macro f(x) %}<{{ x | reverse }}>{% endmacro %}{{ f(m.name) }}", "<⟦ëoZ⟧>"),
    ("{% for k, v in m.items() %}{{ k }}={{ v }};{% endfor %}", "role=user;content=⟦Hi <you> ß⟧;⟦name⟧=⟦Zoë⟧;"),
    ("{{ m.content | e }}", "⟦Hi &lt;you&gt; ß⟧"),
    ("{{ m.content | safe | indent }}", nil),
    ("{{ '\n'.join([m.name, m.name]) | indent(2, true) }}", "  ⟦Zoë⟧\n  ⟦Zoë⟧"),
    ("{{ messages | map(attribute='content') | first }}{{ m.content | length }}", "⟦Hi <you> ß⟧10"),
  ])
  func typed(_ source: String, _ expected: String?) throws {
    guard let expected else { return _ = #expect(throws: TemplateError.self) { try Self.marked(source) } }
    #expect(try Self.marked(source) == expected)
  }
}
