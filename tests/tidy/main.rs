//! The laws of the house, held by reading the manifests and the sources.
//!
//! A law with exceptions lists them, and fails for one that is no longer needed, so that a list only becomes
//! shorter.
//! What `readability` counts is printed by `cargo run -p pivot-tests --bin readability -- --list KIND .`
#![allow(missing_docs, clippy::unwrap_used)]

mod dependencies;
mod ratchets;
mod structure;
mod unsafety;

use pivot_tests::source::SourceTree;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The sources of the repository.
static TREE: LazyLock<SourceTree> = LazyLock::new(|| SourceTree::read(&root()).unwrap());

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}
