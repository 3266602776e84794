//! Queries that are nearly right: those of the repository, with words and bytes deleted, doubled,
//! swapped and replaced. `PIVOT_FUZZ_CASES` sets how many.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_advice::{Advice, Instruction, QueryId};
use pivot_query::{Catalog, Color, CompileOptions, Severity, compile_with, format, is_complete, statements};
use pivot_tests::fuzz::{corpus, damage, each_seed};
use pivot_tests::random::Random;

/// Cases that take some seconds.
const CASES: u64 = 3_000;

/// What takes the place of a word, besides words of other queries.
const WORDS: [&str; 40] = [
    "(",
    ")",
    "[",
    "]",
    ",",
    ".",
    "::",
    "->",
    "@exit",
    "*",
    "**",
    "-",
    "%",
    "||",
    "=",
    "<>",
    "~",
    ";",
    "--",
    "/*",
    "'",
    "\"",
    "$p",
    "é",
    "\u{2212}",
    "0",
    "18446744073709551616",
    "1e999",
    "5ms",
    "NULL",
    "NOT",
    "LEFT",
    "ANTI",
    "DISTINCT",
    "UNNEST",
    "CASE",
    "END",
    "HAVING",
    "LIMIT",
    "SAMPLE",
];

/// Advice without the names of columns: one that has none in the query is called by its text.
fn nameless(mut advice: Vec<Advice>) -> Vec<Advice> {
    for step in advice.iter_mut().flat_map(|advice| &mut advice.instructions) {
        match step {
            Instruction::Let { name, .. } | Instruction::Unnest { name, .. } => name.clear(),
            Instruction::Unpack { columns, .. } => columns.iter_mut().for_each(String::clear),
            _ => {}
        }
    }
    advice
}

/// Compiles, and uses everything that comes out of it; says whether it compiled.
fn check(text: &str, catalog: &Catalog) -> bool {
    let _ = (statements(text), is_complete(text));

    // Compiled twice it is the same query if `now()` is the same time.
    let options = CompileOptions::default().installed_at(0);
    match compile_with(text, catalog, &options) {
        Ok(program) => {
            let advice = program.advice(QueryId::default());
            let _ = program.explain();
            for advice in &advice {
                pivot_agent::verify(advice).unwrap_or_else(|wrong| panic!("{wrong}\n{advice}\n{text}"));
            }
            let laid_out = format(text).unwrap_or_else(|wrong| panic!("{wrong:?}\n{text}"));
            assert_eq!(format(&laid_out).as_ref(), Ok(&laid_out), "{text}");
            let again = compile_with(&laid_out, catalog, &options).unwrap_or_else(|wrong| {
                panic!("{}\n{text}", wrong.render(&laid_out, "laid out", Color::Never))
            });
            assert_eq!(nameless(again.advice(QueryId::default())), nameless(advice), "{text}\n{laid_out}");
            true
        }
        Err(wrong) => {
            assert!(wrong.iter().any(|wrong| wrong.severity == Severity::Error), "{text}");
            for wrong in wrong.iter() {
                assert!(text.get(wrong.span.clone()).is_some(), "{wrong:?} is not inside of {text:?}");
            }
            assert!(!wrong.render(text, "text", Color::Never).is_empty());
            let _ = format(text);
            false
        }
    }
}

/// A text as words, signs and the space between them; all together they are the text.
fn pieces(text: &str) -> Vec<&str> {
    let class = |c: char| if c.is_alphanumeric() || c == '_' { 0 } else { 1 + u8::from(c.is_whitespace()) };
    let mut pieces = Vec::new();

    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let same = |(_, c): &(usize, char)| class(*c) != class(first) || class(first) == 1;
        let end = rest.char_indices().skip(1).find(same).map_or(rest.len(), |(at, _)| at);
        let (piece, others) = rest.split_at(end);
        pieces.push(piece);
        rest = others;
    }

    pieces
}

fn words<'a>(text: &'a str, donor: &'a str, random: &mut Random) -> String {
    let mut pieces = pieces(text);
    let donor = self::pieces(donor);
    let places = if random.percent(70) { 1 } else { 1 + random.below(4) };

    for _ in 0..places {
        if pieces.is_empty() || donor.is_empty() {
            break;
        }
        let (at, other) = (random.below(pieces.len()), random.below(pieces.len()));
        let end = (at + 1 + random.below(12)).min(pieces.len());
        match random.below(7) {
            0 => drop(pieces.remove(at)),
            1 => drop(pieces.drain(at..end)),
            2 => pieces.insert(other, pieces[at]),
            3 => pieces.swap(at, other),
            4 => pieces[at] = WORDS[random.below(WORDS.len())],
            5 => pieces[at] = donor[random.below(donor.len())],
            _ => {
                let from = random.below(donor.len());
                let to = (from + 1 + random.below(16)).min(donor.len());
                pieces.splice(at..at, donor[from..to].iter().copied());
            }
        }
    }

    pieces.concat()
}

fn bytes(text: &str, donor: &str, random: &mut Random) -> String {
    let mut bytes = text.as_bytes().to_vec();
    damage(&mut bytes, donor.as_bytes(), random);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn queries_that_are_nearly_right_are_compiled_or_refused() {
    let (texts, catalog) = corpus();
    assert!(texts.len() > 100, "{} queries", texts.len());
    let (mut compiled, mut refused) = (0_u64, 0_u64);

    each_seed(CASES, |random| {
        let (text, donor) = (random.pick(&texts), random.pick(&texts));
        let mutated =
            if random.percent(75) { words(text, donor, random) } else { bytes(text, donor, random) };
        *(if check(&mutated, &catalog) { &mut compiled } else { &mut refused }) += 1;
    });

    println!("{compiled} compiled, {refused} were refused");
    let all = compiled + refused;
    assert!(all < 1_000 || (compiled * 50 > all && refused * 10 > all), "{compiled} of {all} compiled");
}
