//! What Tab candidates: keywords, tracepoints, fields after `alias.`, aliases, backslash commands.

use super::commands::COMMANDS;
use super::scan::{FUNCTIONS, KEYWORDS, aliases, is_name};
use crate::client::ListedTracepoint;
use pivot_advice::default_fields;
use reedline::{Completer, CompletionResult, Span, Suggestion};
use std::sync::{Arc, PoisonError, RwLock};

/// The catalogue as it was when the prompt was shown.
pub(super) type CompletionCatalogue = Arc<RwLock<Vec<ListedTracepoint>>>;

/// Completes from the catalogue.
pub(super) struct QueryCompleter {
    pub(super) known: CompletionCatalogue,
}

impl Completer for QueryCompleter {
    fn complete(&mut self, line: &str, pos: usize) -> CompletionResult {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let (start, candidates) = candidates(line, pos, &known);
        let suggestion = |offer: Candidate| Suggestion {
            value: offer.text,
            description: Some(offer.about).filter(|about| !about.is_empty()),
            span: Span::new(start, pos),
            append_whitespace: offer.ends,
            ..Suggestion::default()
        };
        CompletionResult::fresh(candidates.into_iter().map(suggestion).collect::<Vec<_>>())
    }
}

/// One thing that could stand here.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    text: String,
    about: String,
    /// Whether a blank follows.
    ends: bool,
}

fn candidate(text: impl Into<String>, about: impl Into<String>) -> Candidate {
    Candidate { text: text.into(), about: about.into(), ends: true }
}

/// Where the word before the cursor begins, and what could stand there.
fn candidates(line: &str, pos: usize, known: &[ListedTracepoint]) -> (usize, Vec<Candidate>) {
    let before = line.get(..pos).unwrap_or(line);
    let start = before
        .rfind(|c| !is_name(c))
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    let word = &before[start..];
    let previous = before[..start].split_whitespace().next_back().unwrap_or_default();
    let wants_source =
        previous.eq_ignore_ascii_case("in") || previous.ends_with('(') && is_source(before, start);
    let candidates = match word.split_once('.') {
        _ if before.starts_with('\\') => commands(before, known),
        Some((alias, _)) if !wants_source => fields(line, alias, known),
        _ if wants_source => sources(known),
        _ => words(line),
    };
    let fits =
        |offer: &Candidate| offer.text.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
    (start, candidates.into_iter().filter(fits).collect())
}

/// Whether the parenthesis before a word is that of `IN First(`.
fn is_source(before: &str, start: usize) -> bool {
    let mut words =
        before[..start].rsplit(|c: char| c.is_whitespace() || c == '(').filter(|word| !word.is_empty());
    let temporal =
        |word: &str| ["first", "mostrecent", "unnest"].iter().any(|known| word.eq_ignore_ascii_case(known));
    words.next().is_some_and(temporal) && words.next().is_some_and(|word| word.eq_ignore_ascii_case("in"))
}

fn commands(before: &str, known: &[ListedTracepoint]) -> Vec<Candidate> {
    match before.split_once(char::is_whitespace) {
        Some(("\\d" | "\\dt", _)) => known.iter().map(|found| candidate(&found.name, "")).collect(),
        Some(_) => Vec::new(),
        None => COMMANDS
            .iter()
            .map(|(name, argument, about)| candidate(*name, format!("{argument} {about}").trim()))
            .collect(),
    }
}

fn sources(known: &[ListedTracepoint]) -> Vec<Candidate> {
    let temporal = ["First(", "MostRecent(", "UNNEST("]
        .map(|text| Candidate { ends: false, ..candidate(text, "of a tracepoint") });
    let names = known.iter().map(|found| {
        let fields: Vec<&str> = found.fields.iter().map(|field| field.name.as_str()).collect();
        candidate(&found.name, fields.join(", "))
    });
    names.chain(temporal).collect()
}

fn fields(line: &str, alias: &str, known: &[ListedTracepoint]) -> Vec<Candidate> {
    let source = aliases(line).into_iter().find(|(name, _)| *name == alias).map(|(_, source)| source);
    let tracepoint = known.iter().find(|found| {
        source.is_some_and(|source| found.name == source || found.name.strip_suffix("@enter") == Some(source))
    });
    let own = tracepoint.into_iter().flat_map(|found| &found.fields);
    let own = own.map(|field| (field.name.clone(), field.ty.to_string()));
    let default = default_fields().iter().map(|(name, ty)| ((*name).to_owned(), ty.to_string()));
    let all = own.chain(default.filter(|_| source.is_some()));
    all.map(|(name, ty)| Candidate { ends: false, ..candidate(format!("{alias}.{name}"), ty) }).collect()
}

fn words(line: &str) -> Vec<Candidate> {
    let aliases = aliases(line)
        .into_iter()
        .map(|(alias, source)| Candidate { ends: false, ..candidate(format!("{alias}."), source) });
    let keywords = KEYWORDS.iter().map(|word| candidate(*word, ""));
    let functions = FUNCTIONS.iter().map(|word| match *word {
        "COUNT" => candidate("COUNT", ""),
        word => Candidate { ends: false, ..candidate(format!("{word}("), "") },
    });
    aliases.chain(keywords).chain(functions).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ListedField;
    use pivot_advice::Type;

    /// `|` marks the cursor.
    fn check(line: &str, expected: &[&str]) {
        let field = |name: &str| ListedField { name: name.into(), ty: Type::U64, agents: 1 };
        let tracepoint =
            |name: &str, fields| ListedTracepoint { name: name.into(), fields, agents: 1, places: vec![] };
        let known =
            [tracepoint("DataNode.read", vec![field("delta"), field("block")]), tracepoint("Client", vec![])];
        let pos = line.find('|').unwrap_or(line.len());
        let (_, found) = candidates(&line.replace('|', ""), pos, &known);
        let texts: Vec<&str> = found.iter().map(|offer| offer.text.as_str()).collect();
        assert_eq!(texts, expected, "{line}");
    }

    #[test]
    fn a_source_is_a_tracepoint() {
        check("FROM e IN Da|", &["DataNode.read"]);
        check("FROM e IN DataNode.r|", &["DataNode.read"]);
        check("FROM e IN |", &["DataNode.read", "Client", "First(", "MostRecent(", "UNNEST("]);
        check("FROM e IN T JOIN c IN First(C|", &["Client"]);
        check("FROM e IN UNNEST(C|", &["Client"]);
    }

    #[test]
    fn an_alias_has_the_fields_of_its_tracepoint() {
        check("FROM e IN DataNode.read SELECT e.d|", &["e.delta"]);
        check("FROM e IN DataNode.read SELECT SUM(e.d|", &["e.delta"]);
        check("FROM e IN DataNode.read WHERE e.p|", &["e.process", "e.pid"]);
        check("SELECT e.d| FROM e IN DataNode.read", &["e.delta"]);
        check("FROM e IN DataNode.read SELECT x.d|", &[]);
    }

    #[test]
    fn other_words_are_keywords_and_functions() {
        check("fr|", &["FROM"]);
        check("FROM e IN T sel|", &["SELECT"]);
        check("FROM e IN T SELECT SU|", &["SUM(", "substr("]);
        check("FROM e IN T lef|", &["LEFT JOIN"]);
    }

    #[test]
    fn a_backslash_begins_a_command() {
        check("\\dr|", &["\\drop"]);
        check("\\d Cl|", &["Client"]);
        check("\\drop |", &[]);
    }
}
