//! How files, modules, types and functions are made.

use super::TREE;
use pivot_tests::source::{Finding, FindingKind, ReadabilityFigures};
use std::collections::BTreeSet;

/// The most lines of a file, its inline tests aside.
const FILE_LINES: usize = 500;

/// The most lines of code in a `mod.rs` beside the declarations of its files. Comments may draw and explain as they
/// like.
const MOD_LINES: usize = 15;

/// Files that use each other in a circle.
const CIRCLES: &[(&str, &str)] = &[];

/// Functions with a parameter that is a tuple to be taken apart.
const TUPLE_PARAMETERS: &[(&str, &str)] = &[];

/// Types whose name another type of their crate has.
const SHARED_IN_CRATE: &[(&str, &str)] = &[];

/// Functions over 60 lines, each with a reason.
const LONG_FUNCTIONS: &[(&str, &str)] = &[];

#[test]
fn no_modules_of_a_crate_use_each_other_in_a_circle() {
    check(FindingKind::Circle, CIRCLES);
}

#[test]
fn no_parameter_is_a_tuple() {
    check(FindingKind::TupleParameter, TUPLE_PARAMETERS);
}

#[test]
fn no_two_types_of_a_crate_have_one_name() {
    check(FindingKind::SharedInCrate, SHARED_IN_CRATE);
}

#[test]
fn functions_fit_on_a_screen() {
    check(FindingKind::LongFunction, LONG_FUNCTIONS);
}

#[test]
fn a_doc_comment_does_not_lean_on_its_neighbour() {
    let leans =
        |finding: &&Finding| finding.name.starts_with("The same") || finding.name.starts_with("Likewise");
    let figures = all_figures();
    let found =
        figures.findings.iter().filter(|finding| finding.kind == FindingKind::BadBeginning).filter(leans);
    let found: Vec<String> = found.map(ToString::to_string).collect();

    assert!(found.is_empty(), "shown alone these say nothing:\n{}", found.join("\n"));
}

#[test]
fn no_file_is_compiled_into_two_places() {
    check(FindingKind::PathAttribute, &[]);
}

#[test]
fn files_are_short() {
    for file in TREE.files() {
        let name = file.path.display();
        let lines = file.test_lines().iter().filter(|is_test| !**is_test).count();
        assert!(lines <= FILE_LINES, "{name} has {lines} lines");

        if file.path.ends_with("mod.rs") && !file.path.components().any(|part| part.as_os_str() == "tests") {
            let lines = (0..file.lines.len()).map(|line| file.lines[line].trim());
            // A folder has as many files as it has: what counts is everything but their declarations.
            let code =
                lines.filter(|line| !line.is_empty() && !line.starts_with("//") && !is_declaration(line));
            let code = code.count();
            assert!(code <= MOD_LINES, "{name} has {code} lines of code");
        }
    }
}

/// Returns whether a line is `mod name;`, with its visibility.
fn is_declaration(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    matches!(words[..], ["mod", name] | [_, "mod", name] if name.ends_with(';'))
}

/// Returns what is found in all files.
fn all_figures() -> ReadabilityFigures {
    let mut figures = ReadabilityFigures::of_loose(&TREE);
    ReadabilityFigures::of_crates(&TREE).into_iter().for_each(|crate_figures| figures.add(crate_figures));
    figures
}

/// Checks that what is found of a kind is what is listed as path and name.
fn check(kind: FindingKind, listed: &[(&str, &str)]) {
    let figures = all_figures();
    let found: Vec<&Finding> = figures.findings.iter().filter(|finding| finding.kind == kind).collect();
    let key = |finding: &Finding| (finding.path.display().to_string(), finding.name.clone());
    let is_listed = |finding: &Finding| {
        let (path, name) = key(finding);
        listed.contains(&(path.as_str(), name.as_str()))
    };
    let surplus: Vec<String> =
        found.iter().filter(|finding| !is_listed(finding)).map(|finding| finding.to_string()).collect();

    let keys: BTreeSet<_> = found.iter().map(|finding| key(finding)).collect();
    let gone: Vec<_> =
        listed.iter().filter(|(path, name)| !keys.contains(&((*path).into(), (*name).into()))).collect();

    assert!(surplus.is_empty(), "against the law:\n{}", surplus.join("\n"));
    assert!(gone.is_empty(), "no longer needed in the list: {gone:#?}");
}
