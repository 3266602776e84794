//! Compiler errors for mistakes in tracepoints: golden tests. `UPDATE_GOLDEN=1` rewrites the expectation beside
//! each case.
//!
//! The cases are compiled against the library as it was built for this test, so that nothing of it is
//! compiled once more.
#![cfg(feature = "runtime")]
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compile_errors");

/// Compiles a file against a build of the library. Returns what the compiler prints, empty if nothing.
fn compile(source: &Path, library: &Path, flags: &[&str]) -> String {
    let dependencies = library.parent().unwrap();
    // One for each: tests run beside each other.
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let out = std::env::temp_dir().join(format!("pivot-messages-{}-{run}", std::process::id()));
    std::fs::create_dir_all(&out).unwrap();

    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(flags)
        .args(["--crate-type=lib", "--emit=metadata", "--color=never", "-Adead_code"])
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

/// Returns the newest build of the library that has the runtime.
fn library() -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("libpivot-") && name.ends_with(".rlib")
    };

    let mut found: Vec<PathBuf> = files.filter(is_library).collect();
    found.sort_by_key(|path| std::cmp::Reverse(path.metadata().unwrap().modified().unwrap()));

    // Builds without the runtime, or of an earlier time, lie in the same folder.
    let probe = Path::new(CASES).join("sound/sound.rs");
    found
        .into_iter()
        .find(|library| compile(&probe, library, &["--edition=2024"]).is_empty())
        .expect("a build of the library")
}

/// Removes from messages what depends on where files are and on other crates.
fn normalized(said: &str) -> String {
    let said = said.replace(&format!("{CASES}/"), "").replace("::pivot::", "pivot::");

    let mut out = String::new();
    let mut lists_types = false;
    for line in said.lines() {
        let outside = ["--> /", "::: /", "--> crates/", "and ", "= note: this error originates"];
        let is_outside = outside.iter().any(|start| line.trim_start().starts_with(start));

        lists_types &= line.starts_with("           ");
        lists_types |= line.contains("the following other types implement trait");
        if !lists_types && !is_outside {
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
        let said = normalized(&compile(case, &library, &["--edition=2024"]));
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

#[test]
fn functions_of_every_shape_compile_in_every_edition_without_a_warning() {
    let (library, shapes) = (library(), Path::new(CASES).join("sound/shapes.rs"));
    for edition in ["--edition=2018", "--edition=2021", "--edition=2024"] {
        assert_eq!(compile(&shapes, &library, &[edition, "-Dwarnings"]), "", "{edition}");
    }
}
