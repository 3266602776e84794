//! How long does a query take to compile?
//!
//! `cargo bench -p pivot-query --bench compile` compiles every query of the repository and of the golden
//! files a thousand times in all, with all rules and with none, and prints times per query.

use pivot_query::{Catalog, CompileOptions, compile_with, statements};
use std::path::{Path, PathBuf};
use std::time::Instant;

const TIMES: usize = 1_000;

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let below = |path: PathBuf| if path.is_dir() { files(&path, extension) } else { vec![path] };
    let all = paths.flat_map(below);
    all.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

/// The query section of a golden file.
fn golden(text: &str) -> Option<String> {
    let written = text.split("\n---- ").next()?;
    let query = written.split("\nquery\n").nth(1)?;
    Some(query.split("\n\nrun\n").next()?.to_owned())
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let mut queries: Vec<String> = Vec::new();
    for path in files(&root.join("queries"), "pivot") {
        queries.extend(statements(&read(&path)).into_iter().map(|statement| statement.text));
    }
    queries.extend(files(&root.join("tests/golden"), "golden").iter().filter_map(|path| golden(&read(path))));
    let catalog = Catalog::default();
    for (name, options) in [("all rules", CompileOptions::default()), ("no rule", CompileOptions::naive())] {
        let mut times: Vec<u128> = Vec::new();
        for i in 0..TIMES {
            let text = &queries[i % queries.len()];
            let began = Instant::now();
            let compiled = compile_with(text, &catalog, &options);
            times.push(began.elapsed().as_nanos());
            drop(compiled);
        }
        times.sort_unstable();
        let at = |part: usize| times[(times.len() - 1) * part / 100] / 1_000;
        println!(
            "{name}: {} different queries; median {} us, p99 {} us, most {} us",
            queries.len(),
            at(50),
            at(99),
            at(100)
        );
    }
}
