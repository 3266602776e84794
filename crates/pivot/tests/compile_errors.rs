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

/// Returns the build of the library that this test was linked with. Other commands may have built others into the same
/// folder, with other features or of other sources; if cargo's notes do not tell which is this one, it is the newest
/// that has the runtime.
fn library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    linked_library(&test).unwrap_or_else(|| newest_library(test.parent().unwrap()))
}

/// Returns the library that a test was linked with, by the hashes that cargo keeps of what it has built; `None` if it
/// keeps them in another way.
fn linked_library(test: &Path) -> Option<PathBuf> {
    let folder = test.parent()?;
    let notes = folder.parent()?.join(".fingerprint");
    let (name, hash) = test.file_stem()?.to_str()?.rsplit_once('-')?;
    let of_test = notes.join(format!("pivot-{hash}")).join(format!("test-integration-test-{name}.json"));

    // A dependency is a list: a number for the package, its name, whether it is public, and its hash.
    let noted = std::fs::read_to_string(of_test).ok()?;
    let (_, rest) = noted.split_once(r#","pivot",false,"#)?;
    let wanted: u64 = rest.split(']').next()?.parse().ok()?;
    let wanted: String = wanted.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect();

    std::fs::read_dir(notes).ok()?.find_map(|entry| {
        let entry = entry.ok()?;
        let name = entry.file_name().into_string().ok()?;
        let is_it = std::fs::read_to_string(entry.path().join("lib-pivot")).is_ok_and(|hash| hash == wanted);
        let library = folder.join(format!("libpivot-{}.rlib", name.strip_prefix("pivot-")?));
        (is_it && library.exists()).then_some(library)
    })
}

/// Returns the newest build of the library that has the runtime.
fn newest_library(folder: &Path) -> PathBuf {
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
fn the_cases_are_compiled_against_the_library_of_this_test() {
    let test = std::env::current_exe().unwrap();
    let linked = linked_library(&test).expect("cargo keeps its notes in another way than it did");
    assert_eq!(linked, library());

    // A library that is newer, whatever it is, changes nothing.
    let other = test.parent().unwrap().join(format!("libpivot-{}.rlib", "f".repeat(16)));
    std::fs::copy(&linked, &other).unwrap();
    let found = library();
    std::fs::remove_file(&other).unwrap();
    assert_eq!(found, linked);
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
