//! The Rust code of the wire protocol, made of `proto/pivot/v1` without a `protoc` on the machine.
//!
//! ```text
//! proto/pivot/v1/*.proto ──cargo run -p pivot-protocol-generator──▶ crates/protocol/src/generated/pivot.v1.rs, .bin
//! ```
//!
//! The code is checked in, so that applications do not compile the compiler of protocols. A test of the whole tree sees
//! to it that it is what the proto files say. Nothing here depends on that code, which may be stale.

use prost::Message;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

const FILES: [&str; 4] =
    ["pivot/v1/advice.proto", "pivot/v1/agents.proto", "pivot/v1/baggage.proto", "pivot/v1/frontend.proto"];

/// Returns the file that holds the code.
pub fn checked_in() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/protocol/src/generated/pivot.v1.rs")
}

/// Returns the file that holds the descriptions of all messages and services, for those who ask a server what it can do.
pub fn checked_in_descriptors() -> PathBuf {
    checked_in().with_extension("bin")
}

/// Returns the descriptions that the proto files say, encoded.
pub fn descriptors() -> Result<Vec<u8>, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let mut descriptors = protox::compile(FILES, [root])?;
    // Comments are two thirds of it.
    descriptors.file.iter_mut().for_each(|file| file.source_code_info = None);
    Ok(descriptors.encode_to_vec())
}

/// Returns the code that the proto files say. It is written into a folder first, which has to exist.
pub fn generate(folder: &Path) -> Result<String, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let descriptors = protox::compile(FILES, [root])?;
    // One buffer is shared by the messages to all agents.
    let shared = ".pivot.v1.WantedPart.data";
    tonic_prost_build::configure().bytes(shared).out_dir(folder).compile_fds(descriptors)?;
    Ok(fs::read_to_string(folder.join("pivot.v1.rs"))?)
}
