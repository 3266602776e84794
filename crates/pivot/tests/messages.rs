//! What the compiler says to mistakes. `UPDATE_GOLDEN=1` rewrites the expectations beside each case.
//!
//! The cases are compiled against the library as it was built for this test, so that nothing of it is
//! compiled once more.
#![cfg(feature = "runtime")]
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/messages");

/// What is said to a file that is compiled against a build of the library; empty for nothing.
fn compile(source: &Path, library: &Path) -> String {
    let dependencies = library.parent().unwrap();
    let out = std::env::temp_dir().join(format!("pivot-messages-{}", std::process::id()));
    std::fs::create_dir_all(&out).unwrap();
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--color=never", "-Adead_code"])
        .arg(format!("--extern=pivot={}", library.display()))
        .arg(format!("-Ldependency={}", dependencies.display()))
        .arg("--out-dir")
        .arg(&out)
        .arg(source)
        .output()
        .unwrap();
    let _ = std::fs::remove_dir_all(&out);
    String::from_utf8(output.stderr).unwrap()
}

/// The newest build of the library that has the runtime.
fn library() -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("libpivot-") && name.ends_with(".rlib")
    };
    let mut found: Vec<PathBuf> = files.filter(is_library).collect();
    found.sort_by_key(|path| std::cmp::Reverse(path.metadata().unwrap().modified().unwrap()));
    let probe = Path::new(CASES).join("sound/sound.rs");
    found.into_iter().find(|library| compile(&probe, library).is_empty()).expect("a build of the library")
}

/// Messages without what depends on the place of files and on other crates.
fn normalized(said: &str) -> String {
    let said = said.replace(&format!("{CASES}/"), "").replace("::pivot::", "pivot::");
    let mut out = String::new();
    let mut lists_types = false;
    for line in said.lines() {
        let is_elsewhere = ["--> /", "::: /", "--> crates/", "and ", "= note: this error originates"];
        let is_elsewhere = is_elsewhere.iter().any(|start| line.trim_start().starts_with(start));
        lists_types &= line.starts_with("           ");
        lists_types |= line.contains("the following other types implement trait");
        if !lists_types && !is_elsewhere {
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    out
}

#[test]
fn mistakes_are_answered_with_what_would_be_right() {
    let library = library();
    let mut cases: Vec<PathBuf> = std::fs::read_dir(CASES).unwrap().map(|e| e.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    cases.sort();
    let mut wrong = Vec::new();
    for case in &cases {
        let said = normalized(&compile(case, &library));
        let expected = case.with_extension("stderr");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&expected, &said).unwrap();
        }
        assert!(said.contains("error"), "{} compiles", case.display());
        if std::fs::read_to_string(&expected).unwrap_or_default() != said {
            wrong.push(format!("{}:\n{said}", case.display()));
        }
    }
    assert!(cases.len() >= 8 && wrong.is_empty(), "{}", wrong.join("\n"));
}
