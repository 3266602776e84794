//! A time of day that is wrong in one process, and jumps while it runs.

use std::io::{Seek, Write};
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// The source of the library that a process loads before all others.
const SOURCE: &str = include_str!("shifted_clock.c");

/// The clock of one or more processes, as wrong as the test has it.
#[derive(Debug)]
pub struct ShiftedClock {
    directory: TempDir,
}

impl ShiftedClock {
    /// Makes a clock that is ahead by so many nanoseconds.
    ///
    /// # Panics
    ///
    /// Without a C compiler, which Rust needs for linking anyway.
    pub fn ahead_by(ns: i64) -> ShiftedClock {
        let directory = tempfile::tempdir().expect("there is room for temporary files");
        let clock = ShiftedClock { directory };
        std::fs::write(clock.shift(), ns.to_ne_bytes()).expect("the directory takes files");

        let source = clock.directory.path().join("shifted_clock.c");
        std::fs::write(&source, SOURCE).expect("the directory takes files");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(clock.library()).arg(&source);
        assert!(compiler.status().expect("there is a C compiler, `cc`").success(), "the library compiles");
        clock
    }

    /// Lets the clock jump, so that it is ahead by so many nanoseconds.
    pub fn jump_to(&self, ns: i64) {
        let file = std::fs::File::options().write(true).open(self.shift());
        let mut file = file.expect("the file is there");
        file.rewind().and_then(|()| file.write_all(&ns.to_ne_bytes())).expect("it takes eight bytes");
    }

    /// Returns the variables that a process has to be started with, each as `NAME=value`.
    pub fn variables(&self) -> [String; 2] {
        [
            format!("LD_PRELOAD={}", self.library().display()),
            format!("SHIFTED_CLOCK={}", self.shift().display()),
        ]
    }

    fn shift(&self) -> PathBuf {
        self.directory.path().join("shift")
    }

    fn library(&self) -> PathBuf {
        self.directory.path().join("shifted_clock.so")
    }
}
