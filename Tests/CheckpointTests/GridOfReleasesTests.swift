import Catalog
import Checkpoint
import Integrity
import Testing

/// Every release of the catalog, at every size that its heads and widths allow: no edge of a shard falls into a leaf of the fingerprint's grid.
@Suite struct GridOfReleasesTests {
  @Test func everyEdgeIsAnEdgeOfTheGrid() throws {
    var layouts = 0
    for release in try Catalog.builtIn().releases {
      // Of other architectures there are no shapes of a text model.
      guard let shape = release.shape else { continue }
      let params = ModelParams(
        dim: shape.dim, layers: shape.layers, heads: shape.heads, kvHeads: shape.kvHeads, headDim: shape.dim / shape.heads, hiddenDim: shape.hiddenDim,
        vocabularySize: shape.vocabularySize, normEpsilon: 1e-5, ropeTheta: 10000)
      for modelParallel in 1...shape.heads {
        for axis in 0...1 {
          guard let layout = try? ShardLayout(params: params, modelParallel: modelParallel, embeddingAxis: axis) else { continue }
          layouts += 1
          for role in TensorName.Role.allCases where role.cut != .whole && !role.isOfExperts && !role.isOfVision {
            let ranks = (0..<modelParallel).map { layout.region(role, rank: $0) }
            let grid = TensorGrid(
              dtype: .bf16, shape: [ranks.map(\.rows.upperBound).max() ?? 0, ranks.map(\.columns.upperBound).max() ?? 0], cut: role.cut)
            let isOnGrid = ranks.allSatisfy { grid.fallsOnLeaves(rows: $0.rows, columns: $0.columns) }
            #expect(isOnGrid, "\(release.id), MP \(modelParallel), \(role.rawValue), embedding cut along \(axis)")
          }
        }
      }
      // As it is released, a node is cut nowhere either, but where the vocabulary isn't 16 equal parts.
      let released = try ShardLayout(params: params, modelParallel: release.modelParallel, embeddingAxis: 1)
      for role in [TensorName.Role.wq, .wo, .w1, .w2, .w3] {
        for rank in 0..<release.modelParallel {
          let (rows, columns) = released.region(role, rank: rank)
          let shape = role.cut == .columns ? [rows.count, columns.count * release.modelParallel] : [rows.count * release.modelParallel, columns.count]
          let grid = TensorGrid(dtype: .bf16, shape: shape, cut: role.cut)
          let region = GridRegion(grid, rows: rows, columns: columns, stored: .bf16)
          #expect(region.nodes.allSatisfy(region.holds), "\(release.id), \(role.rawValue)")
        }
      }
    }
    #expect(layouts > 400)
  }
}
