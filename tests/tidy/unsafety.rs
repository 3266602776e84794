//! Where `unsafe` may stand, and what its proofs may rest on.

use super::TREE;
use pivot_tests::source::{Crate, SourceFile};
use std::collections::BTreeSet;

/// The files that may have `unsafe` in them.
const UNSAFE: [&str; 12] = [
    "crates/agent/examples/plugin.rs",
    "crates/agent/src/report/fence.rs",
    "crates/agent/src/report/fork.rs",
    "crates/agent/src/report/thread_slot.rs",
    "crates/agent/src/weave/published.rs",
    "crates/frontend/src/open_files.rs",
    "crates/protocol/src/steady_clock.rs",
    // A function that is unsafe to call takes the attribute too.
    "crates/pivot/tests/function_shapes.rs",
    "crates/subscriber/src/subscriber_bridge.rs",
    "crates/uplink/src/process_end.rs",
    "crates/uplink/tests/fork.rs",
    "crates/uplink/tests/process_end.rs",
];

#[test]
fn unsafe_stands_only_where_it_is_listed() {
    let uses = |file: &&SourceFile| file.tokens.iter().any(|token| token.is("unsafe"));
    let found: BTreeSet<_> = TREE.files().filter(uses).map(|file| file.path.display().to_string()).collect();
    let listed: BTreeSet<_> = UNSAFE.map(String::from).into();

    assert_eq!(found, listed);
}

#[test]
fn a_proof_of_safety_names_what_exists() {
    let mut dangling = Vec::new();

    for krate in &TREE.crates {
        let known = words(krate);
        for file in krate.sources.iter().chain(&krate.others) {
            for (line, name) in names_in_proofs(file) {
                if !known.contains(name.as_str()) {
                    dangling.push(format!("{}:{}: `{name}`", file.path.display(), line + 1));
                }
            }
        }
    }

    assert!(dangling.is_empty(), "these exist nowhere in their crate: {dangling:#?}");
}

/// Returns all words in the code of a crate.
fn words(krate: &Crate) -> BTreeSet<&str> {
    let files = krate.sources.iter().chain(&krate.others);
    files
        .flat_map(|file| &file.tokens)
        .filter(|token| token.is_word())
        .map(|token| token.text.as_str())
        .collect()
}

/// Returns the words that stand between backticks in comments that begin with `SAFETY:`, with their lines.
fn names_in_proofs(file: &SourceFile) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_proof = false;

    for (line, comment) in file.comments.iter().enumerate() {
        let comment = comment.trim();
        in_proof = comment.starts_with("// SAFETY:") || in_proof && comment.starts_with("//");
        if in_proof {
            for quoted in comment.split('`').skip(1).step_by(2) {
                let words = quoted.split(|c: char| !c.is_alphanumeric() && c != '_');
                let names = words.filter(|word| word.starts_with(|c: char| c.is_alphabetic() || c == '_'));
                found.extend(names.map(|name| (line, name.to_owned())));
            }
        }
    }

    found
}
