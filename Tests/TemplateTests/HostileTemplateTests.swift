import Foundation
import Templates
import TestSupport
import Testing

/// Templates come from strangers: whatever they do ends soon, in an error that says where and why.
struct HostileTemplateTests {
  @Test(arguments: [
    ("a\n{{ x.y }}", TemplateError.Kind.runtime, 2, "'x' is undefined"),
    ("a\n\n{% for %}", .syntax, 3, "a name must come"), ("{{ 'a' }}\n{{ b", .syntax, 2, "{{ has no }}"), ("{# a\nb #}\n{{ 1 | nofilter }}", .syntax, 3, "no filter “nofilter”"),
    ("{% raw %}\n{% endraw %}\n{{ 1 / 0 }}", .runtime, 3, "division by zero"), ("{% if true %}\n\nx", .syntax, 1, "{% endif %} is missing"), ("{{ 'a\nb' }}\n{% nothing %}", .syntax, 3, "no tag {% nothing %}"),
    ("a\n{%- if true %}\n{{ raise_exception('Only\nusers') }}{% endif %}", .raised, 3, "Only\nusers"),
    ("{% block a %}{% endblock %}", .unsupported, 1, "{% block %}"), ("{{ [1] | batch(2) }}", .unsupported, 1, "the filter “batch”"), ("{{ 'a'.encode() }}", .unsupported, 1, "“encode” of a str"),
    ("{{ 9223372036854775807 + 1 }}", .unsupported, 1, "beyond 64 bits"), ("{{ 99999999999999999999 }}", .unsupported, 1, "beyond 64 bits"), ("{{ cycler(1) }}", .unsupported, 1, "“cycler”"), ("{{ range(3) }}", .unsupported, 1, "printing a range"),
    // Steps.
    ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", .limit, 1, "steps"), ("{% set ns = namespace(x='a') %}\n{% for a in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}", .limit, 2, "steps"),
    ("{{ 'x' * 999999999999 }}", .limit, 1, "steps"), ("{{ [0] * 999999999 }}", .limit, 1, "steps"), ("{{ '{:>999999999}'.format(1) }}", .limit, 1, "steps"), ("{{ '%99999999d' % 1 }}", .limit, 1, "steps"), ("{{ 'a'.center(1000000000000) }}", .limit, 1, "steps"), ("{{ 'a' | indent(999999999) }}", .limit, 1, "steps"),
    ("{{ '{:999999999999999999999}'.format(1) }}", .limit, 1, "billion"), ("{{ ('a' * 5000).replace('', 'b' * 5000) }}", .limit, 1, "steps"), ("{{ ('b' * 9999).join('a' * 9999) }}", .limit, 1, "steps"), ("{{ ('a' * 1000000).split('a' * 500000 + 'b') }}", .limit, 1, "steps"),
    ("{% set ns = namespace(x=[0]) %}{% for a in range(90) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x == ns.x }}", .limit, 1, "steps"), ("{% set ns = namespace(x=[0]) %}{% for a in range(90) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}", .limit, 1, "steps"),
    ("{% set ns = namespace(x=[0]) %}{% for a in range(90) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ {(ns.x, 1) | length: 1}[ns.x] }}", .limit, 1, "steps"),
    // Depth.
    ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", .limit, 1, "deep"), ("{% set ns = namespace(x=[]) %}{% for a in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}", .limit, 1, "deep"), ("{% set ns = namespace(x={}) %}{% for a in range(9999) %}{% set ns.x = {1: ns.x} %}{% endfor %}", .limit, 1, "deep"),
    ("{% for x in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}", .limit, 1, "deep"), ("{{ " + String(repeating: "(", count: 5000) + String(repeating: ")", count: 5000) + " }}", .limit, 1, "deep"), ("{{ " + String(repeating: "[", count: 5000) + String(repeating: "]", count: 5000) + " }}", .limit, 1, "deep"), ("{{ " + String(repeating: "not ", count: 5000) + " }}", .limit, 1, "deep"), ("{{ " + String(repeating: "-", count: 5000) + " }}", .limit, 1, "deep"),
    ("{{ a" + String(repeating: ".a", count: 5000) + " }}", .limit, 1, "deep"), ("{{ a" + String(repeating: "|e", count: 5000) + " }}", .limit, 1, "deep"), ("{{ a" + String(repeating: " if a else a", count: 5000) + " }}", .limit, 1, "deep"), (String(repeating: "{% if a %}", count: 5000), .limit, 1, "deep"), ("{% set " + String(repeating: "(", count: 5000) + String(repeating: ")", count: 5000) + " %}", .limit, 1, "deep"),
    ("{% macro m(x) %}{{ " + String(repeating: "[", count: 50) + "m(x)" + String(repeating: "]", count: 50) + " }}{% endmacro %}{{ m(1) }}", .limit, 1, "deep"),
    // Output.
    ("{% for a in range(9999) %}{{ 'x' * 2000 }}{% endfor %}", .limit, 1, "characters"),
  ])
  func ends(_ source: String, _ kind: TemplateError.Kind, _ line: Int, _ words: String) {
    let error = #expect(throws: TemplateError.self) {
      _ = try Template(source).render([:], now: testMoment, limits: Limits(steps: 3_000_000, output: 100_000))
    }
    #expect(error?.kind == kind && error?.line == line && error?.message.contains(words) == true, "\(source.prefix(80)): \(error.map { "\($0)" } ?? "no error")")
  }

  /// Templates of real models with a few bytes changed: an error or a text, never a crash.
  @Test func mutations() throws {
    var seeds = LanguageTests.templates
    if let names = try? FileManager.default.contentsOfDirectory(atPath: Peer.chatTemplates.path) {
      seeds += try names.sorted().map { try String(contentsOfFile: Peer.chatTemplates.path + "/" + $0, encoding: .utf8) }
    }
    var random = Splitmix(seed: 13)
    let messages = ChatTemplateTests.dialogs[3].input(typed: true)
    let inputs = LanguageTests.inputs.mapValues { $0.input() }.merging(["messages": messages, "add_generation_prompt": .boolean(true)]) { $1 }
    for _ in 0..<3000 {
      guard let seed = seeds.randomElement(using: &random) else { return }
      let source = String(decoding: mutated(Array(seed.utf8), &random), as: UTF8.self)
      _ = try? Template(source).render(inputs, now: testMoment, limits: Limits(steps: 100_000, output: 100_000))
    }
  }
}
