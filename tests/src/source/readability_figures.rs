//! The figures of the readability report: counts, for each crate, what makes it easy or hard to read.

use super::comments::begins_badly;
use super::functions::FunctionSpan;
use super::graph;
use super::source_file::{SourceFile, TypeDefinition};
use super::tree::{Crate, SourceTree};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Functions longer than this have paragraphs.
const PARAGRAPHS_FROM: usize = 13;
/// Functions at least this long have comments.
const COMMENTS_FROM: usize = 15;
/// Functions longer than this do not fit on a screen.
const LONGEST_FUNCTION: usize = 60;

/// A kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// A function over 12 lines without a blank line.
    Dense,
    /// A function of at least 15 lines without a comment.
    Uncommented,
    /// `let name = |..| ..`.
    Closure,
    /// A closure bound to a name by way of a tuple, a reference or a box, or with a type.
    WrappedClosure,
    /// A parameter that is a tuple to be taken apart.
    TupleParameter,
    /// A parameter of type `bool`.
    BoolParameter,
    /// A function over 60 lines.
    LongFunction,
    /// A use within a circle of files.
    Circle,
    /// A type whose name is defined elsewhere in the tree as well, tests aside.
    SharedName,
    /// A type whose name is defined elsewhere in its crate as well, inline tests included.
    SharedInCrate,
    /// `#[path = ".."]`.
    PathAttribute,
    /// A doc comment that cannot be understood alone.
    BadBeginning,
    /// A call of `clone`.
    Clone,
}

impl FindingKind {
    /// All kinds with the names by which `--list` knows them.
    pub const ALL: [(&'static str, FindingKind); 13] = [
        ("dense", FindingKind::Dense),
        ("uncommented", FindingKind::Uncommented),
        ("closures", FindingKind::Closure),
        ("wrapped-closures", FindingKind::WrappedClosure),
        ("tuples", FindingKind::TupleParameter),
        ("bools", FindingKind::BoolParameter),
        ("long", FindingKind::LongFunction),
        ("circles", FindingKind::Circle),
        ("shared", FindingKind::SharedName),
        ("shared-in-crate", FindingKind::SharedInCrate),
        ("paths", FindingKind::PathAttribute),
        ("docs", FindingKind::BadBeginning),
        ("clones", FindingKind::Clone),
    ];
}

/// Something that was found, with where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The kind.
    pub kind: FindingKind,
    /// The file, below the root of the tree.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The name of what was found, or its text: with kind and file it stays the same when lines move.
    pub name: String,
    /// More about it, for a reader.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.name)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, " ({})", self.detail) }
    }
}

/// The figures of a crate, or the sum of several.
#[derive(Debug, Clone, Default)]
pub struct ReadabilityFigures {
    /// The files with code outside of tests.
    pub files: usize,
    /// The lines of these files, tests aside.
    pub lines: usize,
    /// The lines of code among them: neither blank nor a comment.
    pub code_lines: usize,
    /// The functions.
    pub functions: usize,
    /// The functions over 12 lines.
    pub longer_functions: usize,
    /// The lines inside functions of at least 15 lines.
    pub inner_lines: usize,
    /// The comment lines among them.
    pub inner_comments: usize,
    /// The files that are in a circle.
    pub files_in_circles: usize,
    /// The number of files of the largest circle.
    pub largest_circle: usize,
    /// The number of circles.
    pub circles: usize,
    /// The definitions of types.
    pub types: usize,
    /// The doc comments.
    pub docs: usize,
    /// Everything that was found.
    pub findings: Vec<Finding>,
}

impl ReadabilityFigures {
    /// Measures every crate of a tree; a name that two crates share is a finding of both.
    pub fn of_crates(tree: &SourceTree) -> Vec<Self> {
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        for definition in tree.crates.iter().flat_map(plain_types) {
            *names.entry(definition.name).or_default() += 1;
        }

        tree.crates.iter().map(|krate| Self::of_crate(krate, &names)).collect()
    }

    /// Measures the files that belong to no crate, in which only `#[path]` is counted.
    pub fn of_loose(tree: &SourceTree) -> Self {
        let mut figures = Self::default();
        tree.loose.iter().for_each(|file| figures.add_path_attributes(file));
        figures
    }

    /// Adds other figures to these.
    pub fn add(&mut self, other: Self) {
        self.files += other.files;
        self.lines += other.lines;
        self.code_lines += other.code_lines;
        self.functions += other.functions;
        self.longer_functions += other.longer_functions;
        self.inner_lines += other.inner_lines;
        self.inner_comments += other.inner_comments;
        self.files_in_circles += other.files_in_circles;
        self.largest_circle = self.largest_circle.max(other.largest_circle);
        self.circles += other.circles;
        self.types += other.types;
        self.docs += other.docs;

        self.findings.extend(other.findings);
    }

    /// Returns how often something was found.
    pub fn count(&self, kind: FindingKind) -> usize {
        self.findings.iter().filter(|finding| finding.kind == kind).count()
    }

    /// Returns how often something was found in a thousand lines of code, blank lines and comments aside.
    pub fn per_thousand_lines(&self, kind: FindingKind) -> f64 {
        self.count(kind) as f64 * 1000.0 / self.code_lines.max(1) as f64
    }

    /// Returns the share of functions over 12 lines that have paragraphs, in percent.
    pub fn with_paragraphs(&self) -> f64 {
        percent(self.longer_functions - self.count(FindingKind::Dense), self.longer_functions)
    }

    /// Returns how many of 100 lines inside functions of at least 15 lines are comments.
    pub fn comments_inside(&self) -> f64 {
        percent(self.inner_comments, self.inner_lines)
    }

    /// Returns the share of files that are in a circle, in percent.
    pub fn in_circles(&self) -> f64 {
        percent(self.files_in_circles, self.files)
    }

    /// Returns the share of types whose name another type of the tree has, in percent.
    pub fn shared_names(&self) -> f64 {
        percent(self.count(FindingKind::SharedName), self.types)
    }

    fn of_crate(krate: &Crate, names: &BTreeMap<String, usize>) -> Self {
        let mut figures = Self::default();

        for file in krate.sources.iter().filter(|file| !file.is_only_test()) {
            figures.files += 1;
            figures.add_lines(file);
            // Tests are read by other rules: one claim after the other.
            for function in file.functions().iter().filter(|function| !function.is_test) {
                figures.add_function(file, function);
            }
            figures.add_closures(file);
            figures.add_docs(file);
            figures.add_clones(file);
        }
        for file in krate.sources.iter().chain(&krate.others) {
            figures.add_path_attributes(file);
        }
        figures.add_types(krate, names);
        figures.add_circles(krate);

        figures
    }

    fn find(&mut self, kind: FindingKind, file: &SourceFile, line: usize, name: &str) {
        self.find_detailed(kind, file, line, name, String::new());
    }

    fn find_detailed(
        &mut self,
        kind: FindingKind,
        file: &SourceFile,
        line: usize,
        name: &str,
        detail: String,
    ) {
        let name = name.to_owned();
        self.findings.push(Finding { kind, path: file.path.clone(), line: line + 1, name, detail });
    }

    fn add_lines(&mut self, file: &SourceFile) {
        for (line, is_test) in file.test_lines().into_iter().enumerate() {
            if !is_test {
                self.lines += 1;
                self.code_lines += usize::from(!file.is_blank_line(line) && !file.is_comment_line(line));
            }
        }
    }

    fn add_function(&mut self, file: &SourceFile, function: &FunctionSpan) {
        let length = function.line_count();
        let lines = format!("{length} lines");
        self.functions += 1;

        // A short function is one paragraph.
        if length >= PARAGRAPHS_FROM {
            self.longer_functions += 1;
            if !function.inner_lines().any(|line| file.is_blank_line(line)) {
                self.find_detailed(
                    FindingKind::Dense,
                    file,
                    function.first_line,
                    &function.name,
                    lines.clone(),
                );
            }
        }
        if length >= COMMENTS_FROM {
            let comments = function.inner_lines().filter(|line| file.is_comment_line(*line)).count();
            self.inner_lines += function.inner_lines().len();
            self.inner_comments += comments;
            if comments == 0 {
                self.find_detailed(
                    FindingKind::Uncommented,
                    file,
                    function.first_line,
                    &function.name,
                    lines.clone(),
                );
            }
        }
        if length > LONGEST_FUNCTION {
            self.find_detailed(FindingKind::LongFunction, file, function.first_line, &function.name, lines);
        }

        for parameter in &function.parameters {
            let detail = format!("{}: {}", parameter.pattern, parameter.type_text);
            // A tuple of flags is one finding, not several.
            if parameter.is_tuple() {
                self.find_detailed(
                    FindingKind::TupleParameter,
                    file,
                    function.first_line,
                    &function.name,
                    detail,
                );
            } else if parameter.is_bool() {
                self.find_detailed(
                    FindingKind::BoolParameter,
                    file,
                    function.first_line,
                    &function.name,
                    detail,
                );
            }
        }
    }

    fn add_closures(&mut self, file: &SourceFile) {
        for closure in file.closures().into_iter().filter(|closure| !closure.is_test) {
            let kind = if closure.is_plain { FindingKind::Closure } else { FindingKind::WrappedClosure };
            self.find(kind, file, closure.line, &closure.name);
        }
    }

    fn add_docs(&mut self, file: &SourceFile) {
        let is_test = file.test_lines();

        for (line, text) in file.doc_beginnings() {
            if !is_test[line] {
                self.docs += 1;
                if begins_badly(text) {
                    self.find(FindingKind::BadBeginning, file, line, text);
                }
            }
        }
    }

    fn add_clones(&mut self, file: &SourceFile) {
        for (index, token) in file.tokens.iter().enumerate() {
            let is_call = token.is("clone") && matches!(file.text(index + 1), "(" | ")");
            if is_call && file.text(index.saturating_sub(1)) != "fn" && !file.is_test[index] {
                self.find(FindingKind::Clone, file, token.line, file.lines[token.line].trim());
            }
        }
    }

    fn add_path_attributes(&mut self, file: &SourceFile) {
        for (index, token) in file.tokens.iter().enumerate() {
            if token.is("path") && file.text(index.saturating_sub(1)) == "[" && file.text(index + 1) == "=" {
                self.find(FindingKind::PathAttribute, file, token.line, file.lines[token.line].trim());
            }
        }
    }

    fn add_types(&mut self, krate: &Crate, names: &BTreeMap<String, usize>) {
        let mut inside: BTreeMap<String, usize> = BTreeMap::new();
        for definition in krate.sources.iter().flat_map(SourceFile::types) {
            *inside.entry(definition.name).or_default() += 1;
        }

        for file in &krate.sources {
            for definition in file.types() {
                if !definition.is_test {
                    self.types += 1;
                    if names.get(&definition.name).is_some_and(|count| *count > 1) {
                        self.find(FindingKind::SharedName, file, definition.line, &definition.name);
                    }
                }
                // Tests too: whoever searches for the name finds both.
                if inside[&definition.name] > 1 {
                    self.find(FindingKind::SharedInCrate, file, definition.line, &definition.name);
                }
            }
        }
    }

    fn add_circles(&mut self, krate: &Crate) {
        let uses = graph::uses(krate);

        for circle in graph::circles(krate) {
            self.circles += 1;
            self.files_in_circles += circle.len();
            self.largest_circle = self.largest_circle.max(circle.len());
            for one in uses.iter().filter(|one| circle.contains(&one.from) && circle.contains(&one.to)) {
                let target = krate.sources[one.to].path.display().to_string();
                let detail = format!("circle {} of {} files", self.circles, circle.len());
                self.find_detailed(FindingKind::Circle, &krate.sources[one.from], one.line, &target, detail);
            }
        }
    }
}

/// Returns the types of a crate, those of tests aside.
fn plain_types(krate: &Crate) -> Vec<TypeDefinition> {
    krate.sources.iter().flat_map(SourceFile::types).filter(|definition| !definition.is_test).collect()
}

fn percent(part: usize, whole: usize) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}
