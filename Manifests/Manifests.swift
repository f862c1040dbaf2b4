/// The releases' manifests, as they were when the binary was built.
public enum Manifests {
}
