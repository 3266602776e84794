//! Compiles the protocol without a `protoc` on the machine.

use std::path::Path;

const FILES: [&str; 4] =
    ["pivot/v1/advice.proto", "pivot/v1/agents.proto", "pivot/v1/baggage.proto", "pivot/v1/frontend.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Asked when it runs: checkouts that share a target folder may share this program too.
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let descriptors = protox::compile(FILES, [&root])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
