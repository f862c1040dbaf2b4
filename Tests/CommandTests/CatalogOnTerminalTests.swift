import Foundation
import TestSupport
import Testing

/// The catalog on a terminal: no line is longer than it is wide, and the last columns give way.
@Suite struct CatalogOnTerminalTests {
  private func lines(_ arguments: [String], columns: Int) throws -> [String] {
    let terminal = try PseudoTerminal(droverPath, ["catalog"] + arguments, environment: ["NO_COLOR": "1"], columns: columns)
    #expect(terminal.finish() == 0)
    return terminal.screen.replacingOccurrences(of: "\r", with: "").split(separator: "\n").map(String.init)
  }

  @Test(arguments: [(80, true, false), (60, false, false), (130, true, true)]) func fits(columns: Int, chat: Bool, aliases: Bool) throws {
    let table = try lines([], columns: columns)
    #expect(table.count > 60)
    for line in table { #expect(line.count <= columns, "\(line)") }
    #expect(table[0].contains("CHAT") == chat && table[0].contains("ALSO") == aliases, "\(table[0])")
    #expect(table.contains { $0.hasPrefix("Llama-4-Maverick-17B-128E-Instruct-FP8") && $0.contains("Llama 4") })
  }

  @Test func filesFit() throws {
    let shown = try lines(["Llama-4-Scout-17B-16E"], columns: 80)
    for line in shown where line.contains("consolidated") { #expect(line.count <= 80, "\(line)") }
  }
}
