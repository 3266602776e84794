//! The `pivot` binary, built by Cargo when a test asks for it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Returns the path of the `pivot` binary as the sources are now.
///
/// Cargo sets `CARGO_BIN_EXE_pivot` for tests of the package that has the binary only. So it is asked to build the
/// binary, once in a process and into the directory that the test itself was built into: next to nothing if it is
/// there already, and never an old one.
pub fn pivot_binary() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(build).clone()
}

fn build() -> PathBuf {
    // `<target>/<profile>/deps/<test>`
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.ancestors().nth(2).expect("a test is below a target directory");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };

    let mut command = Command::new(env!("CARGO"));
    command.args([
        "build",
        "--quiet",
        "--package=pivot-cli",
        "--bin=pivot",
        "--message-format=json",
        "--profile",
        profile,
    ]);
    command.arg("--target-dir").arg(folder.parent().expect("a profile is below a target directory"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let text = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut paths = messages.filter_map(|message| Some(message["executable"].as_str()?.into()));
    paths.next_back().expect("cargo names the executable that it built")
}
