//! The canonical layout keeps every token, and laid out again it is the same text.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_query::{Catalog, compile, format, statements};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn check(text: &str, expected: &str) {
    assert_eq!(format(text).unwrap(), expected);
    assert_eq!(format(expected).unwrap(), expected);
}

#[test]
fn a_clause_stands_on_a_line_and_keywords_are_in_capitals() {
    check(
        "from e in  E join x in first( X ) on x->e where e.a>1 and not x.b is null groupby x.b select x.b,sum( e.a ) as total",
        "FROM e IN E\nJOIN x IN First(X) ON x -> e\nWHERE e.a > 1 AND NOT x.b IS NULL\nGROUP BY x.b\n\
         SELECT x.b, SUM(e.a) AS total;\n",
    );
}

#[test]
fn whether_an_item_fits_on_its_line_is_not_up_to_the_next_clause() {
    let from = "FROM bytes IN DataNodeMetrics.incrBytesRead, DataNodeMetrics.incrBytesWritten";
    check(
        &std::format!("{from}\nGROUPBY bytes.host, bytes.tracepoint\nSELECT bytes.host"),
        &std::format!("{from}\nGROUP BY bytes.host, bytes.tracepoint\nSELECT bytes.host;\n"),
    );
}

#[test]
fn subqueries_are_indented() {
    check(
        "FROM e IN E JOIN q IN MostRecent 2 ((FROM x IN X SELECT x.a) WHERE a > -1) ON q -> e SELECT q.a - -2",
        "FROM e IN E\nJOIN q IN MostRecent 2 ((\n  FROM x IN X\n  SELECT x.a\n) WHERE a > -1) ON q -> e\nSELECT q.a - -2;\n",
    );
}

#[test]
fn comments_stay_where_they_are() {
    check(
        "-- what for\nFROM e IN E -- here\n/* and */ SELECT e.a /* so */ + 1; -- the end\n",
        "-- what for\nFROM e IN E -- here\n/* and */\nSELECT e.a /* so */ + 1;\n\n-- the end\n",
    );
}

#[test]
fn a_comment_behind_one_on_its_own_line_has_its_own_too() {
    check("FROM\n/* a */ /* b */ e IN E", "FROM\n/* a */\n/* b */\ne IN E;\n");
}

#[test]
fn patterns_and_names_keep_their_form() {
    check(
        "FROM e IN rpc::* [ target='a' ],/^x/, A.B@exit JOIN u IN unnest(T,l) ON u->e SELECT COUNT(*),e.a*2,\"a b\".c",
        "FROM e IN rpc::*[target = 'a'], /^x/, A.B@exit\nJOIN u IN UNNEST(T, l) ON u -> e\n\
         SELECT COUNT(*), e.a * 2, \"a b\".c;\n",
    );
}

#[test]
fn asc_and_desc_are_in_capitals_only_where_they_are_directions() {
    check(
        "from asc in E join Desc in First(X) on Desc->asc let Asc = 2 - asc.x select Asc - 1, asc.desc as desc \
         order by desc desc, Asc, asc.end asc, not asc.y is null Desc, (Asc + asc.x) desc",
        "FROM asc IN E\nJOIN Desc IN First(X) ON Desc -> asc\nLET Asc = 2 - asc.x\nSELECT Asc - 1, asc.desc AS desc\n\
         ORDER BY desc DESC, Asc, asc.end ASC, NOT asc.y IS NULL DESC, (Asc + asc.x) DESC;\n",
    );
    check(
        "FROM e IN E JOIN q IN (FROM x IN X SELECT x.a AS asc ORDER BY asc asc LIMIT 1) ON q -> e SELECT q.asc",
        "FROM e IN E\nJOIN q IN (\n  FROM x IN X\n  SELECT x.a AS asc\n  ORDER BY asc ASC\n  LIMIT 1\n) ON q -> e\nSELECT q.asc;\n",
    );
}

#[test]
fn what_is_not_closed_is_not_laid_out() {
    assert!(format("FROM e IN (E SELECT 'a").is_err());
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn every_query_of_the_repository_means_the_same_when_it_is_laid_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../queries");
    for path in files(&root).into_iter().filter(|path| path.extension().is_some_and(|e| e == "pivot")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let laid_out = format(&text).unwrap();
        assert_eq!(format(&laid_out).unwrap(), laid_out, "{}", path.display());
        for (before, after) in statements(&text).iter().zip(statements(&laid_out)) {
            let plan = |text: &str| compile(text, &Catalog::default()).map(|program| program.explain());
            assert_eq!(plan(&before.text).ok(), plan(&after.text).ok(), "{}", path.display());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn any_soup_of_tokens_is_laid_out_once(
        pieces in prop::collection::vec(
            prop::sample::select(&[
                "FROM", "e", "IN", "E", "JOIN", "(", ")", "->", "ON", "SELECT", "a.b", ",", "*", "-", "1", "'x'",
                "AND", "count", "sum", "-- c\n", "/* d */", "GROUP BY", "ORDERBY", "[", "]", "::", "\"q r\"", "$p", "\n",
            ][..]),
            0..30,
        )
    ) {
        let text = pieces.join(" ");
        if let Ok(once) = format(&text) {
            prop_assert_eq!(format(&once).unwrap(), once);
        }
    }
}

#[test]
fn colons_that_stood_apart_do_not_become_other_tokens() {
    let laid_out = format("SELECT a: ::b, c::d").unwrap();
    assert_eq!(format(&laid_out).as_ref(), Ok(&laid_out));
}

#[test]
fn a_slash_behind_the_end_of_a_statement_begins_no_pattern() {
    let laid_out = format("FROM e IN; / x").unwrap();
    assert_eq!(format(&laid_out).as_ref(), Ok(&laid_out));
}
