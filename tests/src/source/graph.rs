//! The modules of a crate and which of them use which, as far as their paths tell.
//!
//! A path that begins with `crate`, `super`, `self` or the name of a child module is followed through the
//! re-exports to the file that defines its target. What a parent says about its own descendants by `mod` and
//! `pub use` is no use of them; test code is not looked at.

use super::source_file::SourceFile;
use super::tokens::matching;
use super::tree::Crate;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The file of a crate, by its index among [`Crate::sources`].
type FileIndex = usize;

/// The path of a module from the root of its crate: empty for `lib.rs`.
type ModulePath = Vec<String>;

/// A use of one file by another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileUse {
    /// The file that uses.
    pub from: FileIndex,
    /// The line, from 0.
    pub line: usize,
    /// The file that is used.
    pub to: FileIndex,
}

/// A module, in a file of its own or inline.
#[derive(Debug, Default)]
struct Module {
    file: FileIndex,
    imports: Vec<Import>,
    definitions: BTreeSet<String>,
}

/// A leaf of a `use` declaration.
#[derive(Debug, Clone)]
struct Import {
    line: usize,
    path: Vec<String>,
    /// The name that it brings, or `None` for a glob.
    name: Option<String>,
    is_public: bool,
    is_test: bool,
}

/// A path in code.
#[derive(Debug)]
struct PathMention {
    module: ModulePath,
    line: usize,
    path: Vec<String>,
}

/// The modules of a crate.
#[derive(Debug, Default)]
struct CrateModules {
    modules: BTreeMap<ModulePath, Module>,
    mentions: Vec<PathMention>,
}

/// Returns the uses between the files of a crate, each pair of files once, on its first line.
pub(super) fn uses(krate: &Crate) -> Vec<FileUse> {
    let mut modules = CrateModules::default();
    for (index, file) in krate.sources.iter().enumerate() {
        if let Some(path) = module_path(&file.path, krate) {
            modules.read(file, index, path);
        }
    }

    let mut uses = modules.imported();
    uses.extend(modules.mentioned());
    // A test may use whatever it likes.
    uses.retain(|one| one.from != one.to && !krate.sources[one.to].is_only_test());
    uses.sort_by_key(|one| (one.from, one.to, one.line));
    uses.dedup_by_key(|one| (one.from, one.to));
    uses
}

/// Returns the sets of files of a crate that use each other in a circle, the largest first.
pub fn circles(krate: &Crate) -> Vec<Vec<FileIndex>> {
    let uses = uses(krate);
    // Two files are in one circle if each reaches the other. A crate has few hundred files: squares are
    // fine.
    let reached: Vec<_> = (0..krate.sources.len()).map(|file| reachable(&uses, file)).collect();

    let mut circles = BTreeSet::new();
    for file in 0..krate.sources.len() {
        let circle: Vec<_> =
            reached[file].iter().copied().filter(|other| reached[*other].contains(&file)).collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }

    let mut circles: Vec<_> = circles.into_iter().collect();
    circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
    circles
}

/// Returns the files that are used by a file, directly or not.
fn reachable(uses: &[FileUse], start: FileIndex) -> BTreeSet<FileIndex> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![start]);

    while let Some(file) = open.pop() {
        for one in uses.iter().filter(|one| one.from == file) {
            if reached.insert(one.to) {
                open.push(one.to);
            }
        }
    }

    reached
}

/// Returns the module of a file below `src`, or `None` for binaries beside the library.
fn module_path(path: &Path, krate: &Crate) -> Option<ModulePath> {
    let inside = path.strip_prefix(krate.folder.join("src")).ok()?.with_extension("");
    let mut segments: ModulePath =
        inside.components().map(|part| part.as_os_str().to_string_lossy().into()).collect();

    // Beside a library `main.rs` is a crate of its own, which sees only what is public.
    let has_library = krate.sources.iter().any(|file| file.path == krate.folder.join("src/lib.rs"));
    match segments.last().map(String::as_str) {
        Some("lib") if segments.len() == 1 => segments.clear(),
        Some("main") if segments.len() == 1 && has_library => return None,
        Some("main") if segments.len() == 1 => segments.clear(),
        Some("mod") => drop(segments.pop()),
        _ => {}
    }

    if segments.first().is_some_and(|first| first == "bin") { None } else { Some(segments) }
}

impl CrateModules {
    /// Reads the declarations and paths of a file.
    fn read(&mut self, file: &SourceFile, index: FileIndex, path: ModulePath) {
        self.modules.entry(path.clone()).or_default().file = index;

        // The inline modules that enclose the token, with where they end; blocks inside of items are `depth`.
        let mut inline: Vec<(String, usize)> = Vec::new();
        let mut at = 0;
        let mut item_until = 0;

        while at < file.tokens.len() {
            inline.retain(|(_, end)| at < *end);
            let module: ModulePath =
                path.iter().cloned().chain(inline.iter().map(|(name, _)| name.clone())).collect();

            match file.text(at) {
                "mod" if file.text(at + 2) == "{" => {
                    let name = file.text(at + 1).to_owned();
                    let end = matching(&file.tokens, at + 2);
                    let inner: ModulePath = module.iter().cloned().chain([name.clone()]).collect();
                    self.modules.entry(inner).or_default().file = index;
                    inline.push((name, end));
                    at += 3;
                }
                "use" => {
                    let end = (at..file.tokens.len())
                        .find(|end| file.text(*end) == ";")
                        .unwrap_or(file.tokens.len());
                    let imports = imports(file, at, end);
                    self.modules.entry(module).or_default().imports.extend(imports);
                    at = end + 1;
                }
                "fn" | "struct" | "enum" | "trait" | "union" | "type" | "const" | "static"
                | "macro_rules" => {
                    let skip = if file.text(at + 1) == "!" { 2 } else { 1 };
                    let name = file.text(at + skip).to_owned();
                    if at >= item_until {
                        self.modules.entry(module).or_default().definitions.insert(name.clone());
                    }
                    if file.text(at) == "macro_rules" && is_exported(file, at) {
                        let target = path.iter().cloned().chain([name.clone()]).collect();
                        self.export_macro(file.tokens[at].line, name, target);
                    }
                    at += 1;
                }
                // What is defined inside of it is no item of the module.
                "{" => {
                    item_until = item_until.max(matching(&file.tokens, at));
                    at += 1;
                }
                _ if is_path_start(file, at) => at = self.mention(file, at, module),
                _ => at += 1,
            }
        }
    }

    /// Lets the root of the crate know a macro by `#[macro_export]`.
    fn export_macro(&mut self, line: usize, name: String, target: ModulePath) {
        let path = std::iter::once("crate".to_owned()).chain(target).collect();
        let import = Import { line, path, name: Some(name), is_public: true, is_test: false };
        self.modules.entry(ModulePath::new()).or_default().imports.push(import);
    }

    /// Notes the path that begins at a token and returns the index behind it.
    fn mention(&mut self, file: &SourceFile, start: usize, module: ModulePath) -> usize {
        let mut path = vec![file.text(start).to_owned()];
        let mut at = start + 1;
        while file.text(at) == "::" && file.tokens.get(at + 1).is_some_and(|token| token.is_word()) {
            path.push(file.text(at + 1).to_owned());
            at += 2;
        }

        if !file.is_test[start] {
            self.mentions.push(PathMention { module, line: file.tokens[start].line, path });
        }
        at
    }

    fn imported(&self) -> Vec<FileUse> {
        let mut uses = Vec::new();

        for (path, module) in &self.modules {
            for import in module.imports.iter().filter(|import| !import.is_test) {
                let Some((target, file)) = self.resolve(path, &import.path, 0) else { continue };
                // A parent that re-exports what its descendants define does not use it.
                if !(import.is_public && target.starts_with(path)) {
                    uses.push(FileUse { from: module.file, line: import.line, to: file });
                }
            }
        }

        uses
    }

    fn mentioned(&self) -> Vec<FileUse> {
        let mut uses = Vec::new();

        for mention in &self.mentions {
            let Some(module) = self.modules.get(&mention.module) else { continue };
            if let Some((_, file)) = self.resolve(&mention.module, &mention.path, 0) {
                uses.push(FileUse { from: module.file, line: mention.line, to: file });
            }
        }

        uses
    }

    /// Returns the module that defines the target of a path, and its file.
    fn resolve(&self, from: &[String], path: &[String], depth: usize) -> Option<(ModulePath, FileIndex)> {
        let mut module = from.to_vec();
        let mut rest = path;

        match rest.first()?.as_str() {
            "crate" => {
                module.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    module.pop()?;
                    rest = &rest[1..];
                }
            }
            // A name that is no child comes from a crate or from a `use`, which is seen by itself.
            first => {
                let child: ModulePath = module.iter().cloned().chain([first.to_owned()]).collect();
                if !self.modules.contains_key(&child) {
                    return None;
                }
            }
        }

        self.descend(module, rest, depth)
    }

    /// Follows a path from a module down, through children and re-exports.
    fn descend(
        &self,
        mut module: ModulePath,
        mut rest: &[String],
        depth: usize,
    ) -> Option<(ModulePath, FileIndex)> {
        while let Some(segment) = rest.first() {
            let child: ModulePath = module.iter().cloned().chain([segment.clone()]).collect();
            if !self.modules.contains_key(&child) {
                break;
            }
            module = child;
            rest = &rest[1..];
        }

        let found = self.modules.get(&module)?;
        // What the module imports is not its own: whoever defines it is used. The depth ends circles of
        // imports.
        if let Some(name) = rest.first()
            && depth < 8
            && let Some(target) = self.re_exported(&module, found, name, depth)
        {
            return Some(target);
        }
        Some((module, found.file))
    }

    /// Returns where a name comes from that a module imports rather than defines.
    fn re_exported(
        &self,
        path: &[String],
        module: &Module,
        name: &str,
        depth: usize,
    ) -> Option<(ModulePath, FileIndex)> {
        if module.definitions.contains(name) {
            return None;
        }

        // A name that is imported by itself hides one of a glob.
        let named = module.imports.iter().filter(|import| import.name.as_deref() == Some(name));
        if let Some(target) = named.filter_map(|import| self.resolve(path, &import.path, depth + 1)).next() {
            return Some(target);
        }

        let globs = module.imports.iter().filter(|import| import.name.is_none());
        let targets = globs.filter_map(|import| {
            let path_of_name: Vec<_> = import.path.iter().cloned().chain([name.to_owned()]).collect();
            self.resolve(path, &path_of_name, depth + 1)
        });
        targets.into_iter().find(|(target, _)| self.modules[target].definitions.contains(name))
    }
}

/// Returns whether `#[macro_export]` stands before the macro at this index.
fn is_exported(file: &SourceFile, index: usize) -> bool {
    (index.saturating_sub(8)..index).any(|before| file.text(before) == "macro_export")
}

/// Returns whether a path of several segments begins here, outside of `$crate` and of a visibility.
fn is_path_start(file: &SourceFile, index: usize) -> bool {
    let before = index.checked_sub(1).map_or("", |before| file.text(before));
    file.tokens[index].is_word() && file.text(index + 1) == "::" && !matches!(before, "::" | "$" | "in")
}

/// Returns the leaves of the `use` declaration between two tokens.
fn imports(file: &SourceFile, start: usize, end: usize) -> Vec<Import> {
    let before = start.checked_sub(1).map_or("", |before| file.text(before));
    let mut leaves = Vec::new();
    use_tree(file, start + 1, end, &[], &mut leaves);

    let import = |(line, path, name)| Import {
        line,
        path,
        name,
        is_public: matches!(before, "pub" | ")"),
        is_test: file.is_test[start],
    };
    leaves.into_iter().map(import).collect()
}

type Leaf = (usize, Vec<String>, Option<String>);

/// Adds the leaves of one tree, `a::{b, c::*}`, and returns nothing: a tree ends at `end`.
fn use_tree(file: &SourceFile, start: usize, end: usize, prefix: &[String], leaves: &mut Vec<Leaf>) {
    let mut path = prefix.to_vec();
    let mut at = start;

    while at < end {
        match file.text(at) {
            "::" => {}
            "*" => {
                leaves.push((file.tokens[at].line, path, None));
                return;
            }
            "{" => {
                let close = matching(&file.tokens, at);
                let mut begin = at + 1;
                let mut inner = begin;
                while inner < close {
                    if file.text(inner) == "{" {
                        inner = matching(&file.tokens, inner);
                    } else if file.text(inner) == "," {
                        use_tree(file, begin, inner, &path, leaves);
                        begin = inner + 1;
                    }
                    inner += 1;
                }
                if begin < close {
                    use_tree(file, begin, close, &path, leaves);
                }
                return;
            }
            "as" => {
                let line = file.tokens[at].line;
                leaves.push((line, path, Some(file.text(at + 1).to_owned())));
                return;
            }
            segment => path.push(segment.to_owned()),
        }
        at += 1;
    }

    let Some(line) = file.tokens.get(start).map(|token| token.line) else { return };
    if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
        path.pop();
    }
    if let Some(last) = path.last().cloned() {
        leaves.push((line, path, Some(last)));
    }
}
