// swift-tools-version: 6.2
import PackageDescription

/// What holds for every target of our own: Swift 6, and a warning is an error.
let ours: [SwiftSetting] = [.treatAllWarnings(as: .error), .enableUpcomingFeature("MemberImportVisibility")]
/// Kernels are optimised in debug builds too: a test on a real model would take minutes without.
let oursC: [CSetting] = [.unsafeFlags(["-Wall", "-Wextra", "-Werror", "-Wno-c23-extensions", "-O3"])]

func library(_ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
  .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: ours)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies + ["TestSupport"], path: "Tests/\(name)", swiftSettings: ours)
}

let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let http = Target.Dependency.product(name: "FlyingFox", package: "FlyingFox")

let package = Package(
  name: "drover",
  products: [
    .executable(name: "drover", targets: ["drover"]),
    .library(name: "Drover", targets: ["Catalog", "Transfer", "Integrity", "Checkpoint", "Arrival", "Tokenization", "Templates", "Inference"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    .package(url: "https://github.com/swhitty/FlyingFox", from: "0.27.1"),
  ],
  targets: [
    // The program: one file a subcommand.
    .executableTarget(
      name: "drover",
      dependencies: [
        "Catalog", "Transfer", "Integrity", "Checkpoint", "Arrival", "Templates", "Tokenization", "Inference", "Terminal", "Platform", "CArguments", "CDemoModel", "CLinux",
        arguments, http, system,
      ],
      swiftSettings: ours),

    // The libraries. Arrows point down this list, never up.
    library("Inference", ["Checkpoint", "Integrity", "Platform", "Templates", "Tokenization", "CKernels", system]),
    library("Arrival", ["Catalog", "Checkpoint", "Integrity", "Platform", "Transfer", system]),
    library("Checkpoint", ["Catalog", "CKernels", "CLinux", "CMapGuard", "Integrity", "Platform", "Tokenization", system]),
    library("Templates"),
    .target(
      name: "Tokenization", dependencies: ["CPCRE2", "CUTF8Proc", "Platform", protobuf, heap, system], exclude: ["Formats/sentencepiece.proto"],
      swiftSettings: ours, linkerSettings: [.unsafeFlags(["-l:libpcre2-8.a", "-l:libutf8proc.a"])]),
    library("Transfer", ["CCurl", "CLinux", "Integrity", "Platform", deque, system]),
    library("Integrity", ["CLinux", "COpenSSL", "CKernels", "Platform", system]),
    library("Catalog", ["Manifests", "Platform", system]),
    library("Terminal", ["Platform", system]),
    library("Platform", ["CKernels", "CLinux", system]),
    .target(name: "Manifests", path: "Manifests", resources: [.embedInCode("releases")], swiftSettings: ours),

    // C: system libraries, kernels that need an instruction set picked at run time, what the kernel hands to the process, and bytes built into the binary.
    .target(name: "CKernels", cSettings: oursC),
    .target(name: "CArguments", cSettings: oursC),
    .target(name: "CMapGuard", cSettings: oursC),
    .target(name: "CDemoModel", exclude: ["model"], cSettings: oursC),
    .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .systemLibrary(name: "CLinux"),
    .systemLibrary(name: "CPCRE2", providers: [.apt(["libpcre2-dev"])]),
    .systemLibrary(name: "CUTF8Proc", providers: [.apt(["libutf8proc-dev"])]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),

    // Tests: a folder a library, then what needs a peer, a fault or the whole program.
    .target(name: "TestSupport", dependencies: ["CLinux", "Integrity", "Transfer", system], path: "Tests/TestSupport", swiftSettings: ours),
    tests("CatalogTests", ["Catalog", system]),
    tests("IntegrityTests", ["COpenSSL", "Integrity"]),
    tests("TransferTests", ["Transfer", "Integrity", "Platform", system]),
    tests("TemplateTests", ["Templates"]),
    tests("TokenizationTests", ["Checkpoint", "Tokenization", system]),
    tests("CheckpointTests", ["Catalog", "Checkpoint", "CKernels", "Integrity", "Platform", "Tokenization", system]),
    tests("ArrivalTests", ["Arrival", "Catalog", "Checkpoint", "Integrity", "Transfer", system]),
    tests("InferenceTests", ["Catalog", "Inference", "Checkpoint", "Integrity", "Templates", "Tokenization", "CKernels", system]),
    tests("CommandTests", ["Terminal"]),
    tests("PeerTests", []),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .gnu17
)

// Tests/Fuzz/run builds this with -sanitize=fuzzer; elsewhere it would have no main.
if Context.environment["DROVER_FUZZ"] == "build" {
  package.targets.append(
    .executableTarget(
      name: "drover-fuzz", dependencies: ["Checkpoint", "Integrity", "Templates", "Tokenization", system], path: "Tests/Fuzz", exclude: ["run", "seeds.py", "torch_seeds.py"]))
}
