//! The crates of a checkout with their source files.

use super::source_file::SourceFile;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// A package of the tree.
#[derive(Debug)]
pub struct Crate {
    /// The name of the package.
    pub name: String,
    /// The folder of its manifest, below the root of the tree.
    pub folder: PathBuf,
    /// The files below `src`.
    pub sources: Vec<SourceFile>,
    /// All other files: integration tests, benches, examples, build scripts.
    pub others: Vec<SourceFile>,
}

/// All Rust files of a checkout.
#[derive(Debug)]
pub struct SourceTree {
    /// The packages, by folder.
    pub crates: Vec<Crate>,
    /// Files that belong to no package.
    pub loose: Vec<SourceFile>,
}

impl SourceTree {
    /// Reads all Rust files below a folder, build directories aside.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut paths = Vec::new();
        collect(root, &mut paths)?;
        paths.sort();

        let mut tree = Self { crates: packages(root, &paths)?, loose: Vec::new() };
        for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
            let name = path.strip_prefix(root).unwrap_or(path).to_owned();
            tree.add(SourceFile::parse(name, &std::fs::read_to_string(path)?));
        }
        // Only when all files are known: the declaration may stand in any of them.
        for krate in &mut tree.crates {
            krate.mark_test_files();
        }

        Ok(tree)
    }

    /// Returns all files with the name of their package.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        let owned = self.crates.iter().flat_map(|krate| krate.sources.iter().chain(&krate.others));
        owned.chain(&self.loose)
    }

    /// Gives a file to the innermost package that encloses it.
    fn add(&mut self, file: SourceFile) {
        let enclosing = self.crates.iter_mut().filter(|krate| file.path.starts_with(&krate.folder));

        match enclosing.max_by_key(|krate| krate.folder.components().count()) {
            Some(krate) if file.path.starts_with(krate.folder.join("src")) => krate.sources.push(file),
            Some(krate) => krate.others.push(file),
            None => self.loose.push(file),
        }
    }
}

impl Crate {
    /// Marks the files that are declared by `#[cfg(test)] mod name;`.
    fn mark_test_files(&mut self) {
        let mut tests = BTreeSet::new();

        for file in &self.sources {
            let folder = module_folder(&file.path);
            for (index, token) in file.tokens.iter().enumerate() {
                if file.is_test[index] && token.is("mod") && file.text(index + 2) == ";" {
                    let name = file.text(index + 1);
                    // Either form of a module may be there.
                    tests.insert(folder.join(format!("{name}.rs")));
                    tests.insert(folder.join(name).join("mod.rs"));
                }
            }
        }

        for file in self.sources.iter_mut().filter(|file| tests.contains(&file.path)) {
            file.mark_as_test();
        }
    }
}

/// Returns the folder in which the modules that a file declares are.
fn module_folder(path: &Path) -> PathBuf {
    match path.file_stem().and_then(|stem| stem.to_str()) {
        Some("mod" | "lib" | "main") => path.parent().unwrap_or(path).to_owned(),
        _ => path.with_extension(""),
    }
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();

        if path.is_dir() {
            // What was built or generated is not what was written.
            if name != "target" && name != "generated" && name != "node_modules" && !name.starts_with('.') {
                collect(&path, found)?;
            }
        } else if name == "Cargo.toml" || name.ends_with(".rs") {
            found.push(path);
        }
    }

    Ok(())
}

/// Returns the packages whose manifests are among the paths.
fn packages(root: &Path, paths: &[PathBuf]) -> io::Result<Vec<Crate>> {
    let mut crates = Vec::new();

    for path in paths.iter().filter(|path| path.ends_with("Cargo.toml")) {
        let manifest = std::fs::read_to_string(path)?;
        if let Some(name) = package_name(&manifest) {
            let folder =
                path.parent().and_then(|folder| folder.strip_prefix(root).ok()).unwrap_or(root).to_owned();
            crates.push(Crate { name, folder, sources: Vec::new(), others: Vec::new() });
        }
    }

    Ok(crates)
}

/// Returns the `name` in the section `[package]` of a manifest.
fn package_name(manifest: &str) -> Option<String> {
    let lines = manifest.lines().map(str::trim);
    let mut package =
        lines.skip_while(|line| *line != "[package]").skip(1).take_while(|line| !line.starts_with('['));

    let value = package.find_map(|line| line.strip_prefix("name")?.trim_start().strip_prefix('='))?;
    Some(value.split('#').next()?.trim().trim_matches('"').to_owned())
}
