//! ReadabilityFigures that may only become better: a limit is lowered when it can be, and never raised.

use super::TREE;
use pivot_tests::source::{FindingKind, ReadabilityFigures};

/// A figure of the whole tree with the most that it may be.
struct Ratchet {
    what: &'static str,
    limit: f64,
    measure: fn(&ReadabilityFigures) -> f64,
}

const RATCHETS: [Ratchet; 5] = [
    Ratchet {
        what: "percent of the types share their name with another",
        limit: 4.0,
        measure: ReadabilityFigures::shared_names,
    },
    Ratchet {
        what: "percent of the functions over 12 lines are without a blank line",
        limit: 8.5,
        measure: |figures| 100.0 - figures.with_paragraphs(),
    },
    Ratchet {
        what: "closures are bound to a name in a thousand lines of code",
        limit: 1.9,
        measure: |figures| figures.per_thousand_lines(FindingKind::Closure),
    },
    Ratchet {
        what: "parameters are of type `bool`",
        limit: 34.0,
        measure: |figures| figures.count(FindingKind::BoolParameter) as f64,
    },
    Ratchet {
        what: "doc comments cannot be understood alone",
        limit: 49.0,
        measure: |figures| figures.count(FindingKind::BadBeginning) as f64,
    },
];

#[test]
fn the_tree_becomes_easier_to_read() {
    let mut total = ReadabilityFigures::default();
    ReadabilityFigures::of_crates(&TREE).into_iter().for_each(|figures| total.add(figures));

    for ratchet in RATCHETS {
        let value = (ratchet.measure)(&total);
        let Ratchet { what, limit, .. } = ratchet;
        assert!(value <= limit, "{value:.1} {what}, and at most {limit} may");
        println!("{value:.1} {what}; the limit is {limit}");
    }
}
