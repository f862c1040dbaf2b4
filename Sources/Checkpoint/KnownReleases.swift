import Catalog
import Platform
import SystemPackage

/// The catalog's releases that a checkpoint may be of, told by its shapes. Several are one architecture that was trained more than once.
struct KnownReleases {
  let releases: [Release]

  /// Those that have these shapes; the number of key and value heads isn't compared, since copies may hide it.
  init(_ params: ModelParams) throws(CheckpointError) {
    releases = try Self.all().filter { release in
      guard let shape = release.shape else { return false }
      return (shape.dim, shape.layers, shape.heads) == (params.dim, params.layers, params.heads)
        && (shape.hiddenDim, shape.vocabularySize) == (params.hiddenDim, params.vocabularySize)
    }
  }

  private init(_ releases: [Release]) { self.releases = releases }

  /// Those of them that Meta puts into a folder of this name.
  func named(after folder: FilePath) -> Self {
    let name = Directory.name(of: folder)
    return Self(releases.filter { !$0.folder.isEmpty && $0.folder == name })
  }

  /// All that Meta puts into a folder of this name.
  static func inFolder(_ folder: FilePath) throws(CheckpointError) -> Self { Self(try all()).named(after: folder) }

  /// What all of them have; nil where they differ, or where there are none.
  func common<T: Hashable>(_ value: (Release.Shape) -> T?) -> T? {
    let values = Set(releases.map { $0.shape.flatMap(value) })
    return values.count == 1 ? values.first.flatMap { $0 } : nil
  }

  private static let builtIn = Result { () throws(CatalogError) in try Catalog.builtIn().releases }

  private static func all() throws(CheckpointError) -> [Release] {
    do { return try builtIn.get() } catch { throw CheckpointError(.refused, "the program's own catalog can't be read: \(error)") }
  }
}
