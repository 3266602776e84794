//! GoldenFile files: a person writes what stands above the first `----`, the machine what stands below.
//!
//! `UPDATE_GOLDEN=1 cargo test -p pivot-tests --test golden` rewrites the lower part.
//!
//! ```text
//! tracepoints                     one line each: name field:type ..
//! T delta:u64
//!
//! queries                         named queries of the catalogue, one line each: name: text (optional)
//!
//! options                         `naive`, or lines of `without <rule>` (optional)
//!
//! query                           the text, or `file queries/..`
//! FROM e IN T SELECT e.delta
//!
//! run                             requests with forks and joins (optional, see `src/golden/run_section.rs`)
//!
//! ---- plan                       the plan as it runs, and the rules that fired
//! ---- advice                     inner stages first
//! ---- result                     columns over keys, COUNT and aggregates
//! ---- results                    what the requests of `run` give
//! ---- errors                     everything that is wrong; warnings too
//! ```

use pivot_advice::{Exports, FieldDescriptor, QueryId, Type};
use pivot_query::{Catalog, Color, CompileOptions, Diagnostics, QueryProgram, compile_with};
use pivot_tests::golden::{GoldenFile, GoldenSection, results};
use std::path::{Path, PathBuf};

#[test]
fn every_golden_file_says_what_the_compiler_does() {
    let mut wrong = Vec::new();
    for path in files(&root().join("tests/golden"), "golden") {
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let golden = GoldenFile::parse(&text);
        let expected = format!("{}{}", golden.written, answer(&golden));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, expected).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        } else if expected != text {
            wrong.push(format!("{} differs; now it would be\n{expected}", path.display()));
        }
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_query_of_the_repository_compiles() {
    for path in files(&root().join("queries"), "pivot") {
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let statements = pivot_query::statements(&text);
        assert!(!statements.is_empty(), "{} holds no query", path.display());

        for statement in statements {
            assert!(statement.purpose.is_some(), "{} does not say what it answers", path.display());
            if let Err(wrong) = compile_with(&statement.text, &Catalog::default(), &CompileOptions::default())
            {
                panic!("{}", wrong.render(&statement.text, &path.display().to_string(), Color::Never));
            }
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files of a kind below a folder, in a fixed order.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let below = |path: PathBuf| match path.is_dir() {
        true => files(&path, extension),
        false => vec![path],
    };
    let all = paths.into_iter().flat_map(below);
    all.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

/// What the machine says to what a person wrote.
fn answer(golden: &GoldenFile) -> String {
    let query = query_of(golden);
    let result = compile_with(&query, &catalog_of(golden), &options_of(golden));
    let sections = match result {
        Ok(program) => compiled(&program, golden),
        Err(wrong) => vec![errors(&wrong, &query)],
    };
    sections.iter().map(GoldenSection::to_string).collect()
}

fn compiled(program: &QueryProgram, golden: &GoldenFile) -> Vec<GoldenSection> {
    let id = QueryId::new(0, 7);
    let advice = program.advice(id);
    let advice: Vec<String> = advice.iter().rev().map(ToString::to_string).collect();

    let mut sections = vec![
        GoldenSection::new("plan", format!("{}{}", program.plan(), fired(program))),
        GoldenSection::new("advice", advice.join("\n")),
        GoldenSection::new("result", program.output.describe()),
    ];

    let script = golden.section("run");
    if !script.is_empty() {
        sections.push(GoldenSection::new("results", results(program, &catalog_of(golden), script)));
    }

    if !program.warnings.is_empty() {
        sections.push(errors(&program.warnings, &program.text));
    }

    sections
}

fn fired(program: &QueryProgram) -> String {
    let explained = program.explain();
    let line = explained.lines().find(|line| line.starts_with("rules fired"));
    line.unwrap_or_default().to_owned()
}

fn errors(diagnostics: &Diagnostics, query: &str) -> GoldenSection {
    GoldenSection::new("errors", diagnostics.render(query, "query", Color::Never))
}

/// The text of the query; `file` names a file of the repository.
fn query_of(golden: &GoldenFile) -> String {
    let text = golden.section("query");
    match text.strip_prefix("file ") {
        Some(path) => {
            let text = std::fs::read_to_string(root().join(path.trim()));
            text.unwrap_or_else(|error| panic!("{path}: {error}"))
        }
        None => text.to_owned(),
    }
}

fn catalog_of(golden: &GoldenFile) -> Catalog {
    let mut catalog = Catalog::default();
    for line in golden.section("tracepoints").lines().filter(|line| !line.is_empty()) {
        catalog.add(&exports_of(line));
    }
    for line in golden.section("queries").lines() {
        if let Some((name, text)) = line.split_once(": ") {
            catalog.add_query(name, text);
        }
    }
    catalog
}

/// `name field:type ..`
fn exports_of(line: &str) -> Exports {
    let mut words = line.split_whitespace();
    let tracepoint = words.next().unwrap_or_default().to_owned();
    let fields = words
        .filter_map(|word| word.split_once(':'))
        .map(|(name, ty)| FieldDescriptor { name: name.into(), ty: type_of(ty) });
    Exports { tracepoint, fields: fields.collect(), file: "here.rs".into(), line: 1, module: "here".into() }
}

fn type_of(name: &str) -> Type {
    let lists = Type::SCALARS.into_iter().map(Type::list);
    let found = Type::SCALARS.into_iter().chain(lists).find(|ty| ty.to_string() == name);
    found.unwrap_or_else(|| panic!("unknown type {name}"))
}

fn options_of(golden: &GoldenFile) -> CompileOptions {
    // The one time that `now()` is here: 2026-11-30T12:00:00Z.
    let mut options = CompileOptions::default().installed_at(1_796_040_000_000_000_000);
    for line in golden.section("options").lines() {
        options = match line.strip_prefix("without ") {
            Some(rule) => options.without(rule),
            None => CompileOptions::naive(),
        };
    }
    options
}
