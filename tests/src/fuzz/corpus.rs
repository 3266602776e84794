//! All queries of the repository, to be damaged.

use pivot_advice::{Exports, FieldDescriptor, Type};
use pivot_query::{Catalog, statements};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// All queries of the repository, those of the goldens with what their tracepoints export.
pub fn corpus() -> (Vec<String>, Catalog) {
    let (mut texts, mut catalog) = (Vec::new(), Catalog::default());
    for path in files(&root().join("queries")) {
        let text = std::fs::read_to_string(path).unwrap();
        texts.extend(statements(&text).into_iter().map(|statement| statement.text));
    }

    for path in files(&root().join("tests/golden")) {
        let text = std::fs::read_to_string(&path).unwrap();
        if path.extension().is_none_or(|extension| extension != "golden") {
            continue;
        }
        let mut section = "";
        let mut query = String::new();
        for line in text.lines().take_while(|line| !line.starts_with("----")) {
            match (section, line) {
                (_, "tracepoints" | "queries" | "options" | "query" | "run") => section = line,
                ("tracepoints", line) => add(&mut catalog, line),
                ("query", line) => query.extend([line, "\n"]),
                _ => {}
            }
        }
        // Files are in the corpus already, and the longest queries would take all the time.
        if !query.starts_with("file ") && query.len() < 2_000 {
            texts.push(query);
        }
    }

    (texts, catalog)
}

fn add(catalog: &mut Catalog, line: &str) {
    let mut words = line.split_whitespace();
    let Some(tracepoint) = words.next() else { return };
    let ty = |name: &str| {
        let lists = Type::SCALARS.into_iter().map(Type::list);
        Type::SCALARS.into_iter().chain(lists).find(|ty| ty.to_string() == name).unwrap_or(Type::Any)
    };
    let fields = words.filter_map(|word| word.split_once(':'));
    let fields = fields.map(|(name, of)| FieldDescriptor { name: name.into(), ty: ty(of) }).collect();
    let (file, module) = (String::new(), String::new());
    catalog.add(&Exports { tracepoint: tracepoint.into(), fields, file, line: 1, module });
}
