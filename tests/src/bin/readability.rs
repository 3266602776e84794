//! Prints how readable a tree of Rust source is, as far as that can be counted.
//!
//! ```text
//! readability [--list KIND] [--crate NAME] PATH
//! ```
//!
//! `PATH` is a checkout or a part of it. With `--list` every finding of a kind is printed with its file and line.

use pivot_tests::source::{FindingKind, ReadabilityFigures, SourceTree};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// The arguments of the command line.
#[derive(Default)]
struct ReadabilityArguments {
    path: Option<PathBuf>,
    list: Option<FindingKind>,
    only: Option<String>,
}

fn main() -> ExitCode {
    match request().and_then(|request| run(&request)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("readability: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn request() -> Result<ReadabilityArguments, String> {
    let mut request = ReadabilityArguments::default();
    let mut arguments = std::env::args().skip(1);

    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--list" => request.list = Some(kind(&arguments.next().unwrap_or_default())?),
            "--crate" => request.only = arguments.next(),
            path => request.path = Some(path.into()),
        }
    }

    Ok(request)
}

fn kind(name: &str) -> Result<FindingKind, String> {
    let found = FindingKind::ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, kind)| *kind).ok_or_else(|| {
        let names: Vec<_> = FindingKind::ALL.iter().map(|(name, _)| *name).collect();
        format!("--list takes one of {}", names.join(", "))
    })
}

fn run(request: &ReadabilityArguments) -> Result<(), String> {
    let path = request.path.clone().unwrap_or_else(|| ".".into());
    let tree = SourceTree::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let names = tree.crates.iter().map(|krate| krate.name.clone()).chain(["(no crate)".to_owned()]);
    let figures =
        ReadabilityFigures::of_crates(&tree).into_iter().chain([ReadabilityFigures::of_loose(&tree)]);

    let mut lines = Vec::new();
    let mut total = ReadabilityFigures::default();
    for (name, figures) in names.zip(figures) {
        let is_asked_for = request.only.as_ref().is_none_or(|only| *only == name);
        let is_empty = figures.files == 0 && figures.findings.is_empty();
        if !is_asked_for || is_empty {
            continue;
        }
        match request.list {
            Some(kind) => {
                let found = figures.findings.iter().filter(|finding| finding.kind == kind);
                lines.extend(found.map(ToString::to_string));
            }
            None => lines.push(row(&name, &figures)),
        }
        total.add(figures);
    }
    if request.list.is_none() {
        lines.insert(0, header());
        lines.push(row("total", &total));
    }

    // A reader that has seen enough, as `head` has, is no error.
    lines.push(String::new());
    let _ = std::io::stdout().write_all(lines.join("\n").as_bytes());
    Ok(())
}

fn header() -> String {
    format!(
        "{:<18} {:>5} {:>5} {:>9} {:>6} {:>7} {:>8} {:>6} {:>5} {:>5} {:>14} {:>6} {:>8} {:>6} {:>5} {:>5} {:>6}",
        "crate",
        "files",
        "kLOC",
        "fns>12",
        "para%",
        "comment",
        "closures",
        "tuples",
        "bools",
        "fn>60",
        "in circles",
        "types",
        "shared%",
        "inside",
        "#path",
        "docs",
        "clones"
    )
}

fn row(name: &str, figures: &ReadabilityFigures) -> String {
    let circles =
        format!("{} ({:.0}%, {})", figures.files_in_circles, figures.in_circles(), figures.largest_circle);
    let longer = format!(
        "{}/{}",
        figures.longer_functions - figures.count(FindingKind::Dense),
        figures.longer_functions
    );

    format!(
        "{name:<18} {:>5} {:>5.1} {longer:>9} {:>6.0} {:>7.1} {:>4.1}+{:<3.1} {:>6} {:>5} {:>5} {circles:>14} {:>6} {:>8.0} {:>6} {:>5} {:>5} {:>6.1}",
        figures.files,
        figures.lines as f64 / 1000.0,
        figures.with_paragraphs(),
        figures.comments_inside(),
        figures.per_thousand_lines(FindingKind::Closure),
        figures.per_thousand_lines(FindingKind::WrappedClosure),
        figures.count(FindingKind::TupleParameter),
        figures.count(FindingKind::BoolParameter),
        figures.count(FindingKind::LongFunction),
        figures.types,
        figures.shared_names(),
        figures.count(FindingKind::SharedInCrate),
        figures.count(FindingKind::PathAttribute),
        figures.count(FindingKind::BadBeginning),
        figures.per_thousand_lines(FindingKind::Clone),
    )
}
