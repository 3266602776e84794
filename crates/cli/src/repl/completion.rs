//! The candidates of Tab: keywords, tracepoints, fields after `alias.`, aliases, backslash commands.
//!
//! ```text
//! FROM e IN Da|                          after IN: tracepoints and temporal sources
//! FROM e IN DataNode.read SELECT e.d|    after an alias: the fields of its tracepoint
//! FROM e IN T sel|                       elsewhere: aliases, keywords, functions
//! SELECT * FROM q|                       in a statement of SQL: tables, or columns of those that it names
//! \dr|                                    a backslash: commands
//! ```
//!
//! The text is not parsed, as it is unfinished: the words around the cursor decide.

use super::commands::COMMANDS;
use super::known_names::KnownNames;
use super::sql_completion;
use crate::client::ListedTracepoint;
use crate::statement_kind::is_sql;
use pivot_advice::default_fields;
use pivot_query::{FunctionKind, KEYWORDS, TokenClass, classify, functions};
use reedline::{Completer, CompletionResult, Span, Suggestion};
use std::sync::{Arc, PoisonError, RwLock};

/// The catalogue as it was when the prompt was shown. The session writes it, the line editor reads it.
pub(super) type CompletionCatalogue = Arc<RwLock<KnownNames>>;

/// Completes from the catalogue.
pub(super) struct QueryCompleter {
    pub(super) catalogue: CompletionCatalogue,
}

impl Completer for QueryCompleter {
    fn complete(&mut self, line: &str, pos: usize) -> CompletionResult {
        let catalogue = self.catalogue.read().unwrap_or_else(PoisonError::into_inner);
        let found = completions(line, pos, &catalogue);

        let suggestions = found.candidates.into_iter().map(|candidate| Suggestion {
            value: candidate.text,
            description: Some(candidate.description).filter(|text| !text.is_empty()),
            span: Span::new(found.word_start, pos),
            append_whitespace: candidate.ends_word,
            ..Suggestion::default()
        });
        CompletionResult::fresh(suggestions.collect::<Vec<_>>())
    }
}

/// One text that could stand at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CompletionCandidate {
    text: String,
    description: String,
    /// Whether a blank follows.
    ends_word: bool,
}

impl CompletionCandidate {
    /// Returns a candidate that is a whole word.
    fn word(text: impl Into<String>, description: impl Into<String>) -> CompletionCandidate {
        CompletionCandidate { text: text.into(), description: description.into(), ends_word: true }
    }

    /// Returns a candidate that something follows without a blank, as behind `alias.` and `SUM(`.
    fn prefix(text: impl Into<String>, description: impl Into<String>) -> CompletionCandidate {
        CompletionCandidate { text: text.into(), description: description.into(), ends_word: false }
    }
}

/// The candidates for the word before the cursor, and where that word begins.
struct Completions {
    word_start: usize,
    candidates: Vec<CompletionCandidate>,
}

fn completions(line: &str, pos: usize, known: &KnownNames) -> Completions {
    let catalogue = known.tracepoints.as_slice();
    let before = line.get(..pos).unwrap_or(line);
    let word_start = match before.char_indices().rfind(|(_, c)| !is_name_char(*c)) {
        Some((at, c)) => at + c.len_utf8(),
        None => 0,
    };
    let word = &before[word_start..];

    // Names of tracepoints have dots too, so whether a source is expected is asked before the dot.
    if word_start > 0 && is_sql(line) && !is_undecided(line) {
        return sql_completions(before, word_start, line, known);
    }
    let mut candidates = if before.starts_with('\\') {
        command_candidates(before, catalogue)
    } else if expects_source(&before[..word_start]) {
        source_candidates(catalogue)
    } else if let Some((alias, _)) = word.split_once('.') {
        field_candidates(line, alias, catalogue)
    } else {
        word_candidates(line)
    };

    candidates.retain(|candidate| {
        candidate.text.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word))
    });
    Completions { word_start, candidates }
}

/// Whether a text that begins with SELECT may still become a query, whose FROM has an alias.
fn is_undecided(line: &str) -> bool {
    let mut words = line.split_whitespace().map(str::to_lowercase);
    words.next().is_some_and(|first| first == "select") && !words.any(|word| word == "from")
}

/// Returns the candidates in a text that is to be a statement of SQL, as far as it goes.
fn sql_completions(before: &str, word_start: usize, line: &str, known: &KnownNames) -> Completions {
    // A name in quotes is replaced with them.
    let word_start = if before[..word_start].ends_with('"') { word_start - 1 } else { word_start };
    let word = before[word_start..].trim_start_matches('"');

    let mut candidates = Vec::new();
    for found in sql_completion::candidates(&before[..word_start], line, &known.tables) {
        let is_meant = found.text.trim_start_matches('"').get(..word.len());
        if is_meant.is_some_and(|head| head.eq_ignore_ascii_case(word)) {
            candidates.push(CompletionCandidate::prefix(found.text, found.description));
        }
    }
    Completions { word_start, candidates }
}

/// Returns whether the next word of a text is a source: behind `IN`, or in the parentheses of `IN First(`.
fn expects_source(before: &str) -> bool {
    let previous = before.split_whitespace().next_back().unwrap_or_default();
    if previous.eq_ignore_ascii_case("in") {
        return true;
    }
    if !previous.ends_with('(') {
        return false;
    }

    let mut words = before.rsplit(|c: char| c.is_whitespace() || c == '(').filter(|word| !word.is_empty());
    words.next().is_some_and(is_source_function)
        && words.next().is_some_and(|word| word.eq_ignore_ascii_case("in"))
}

fn is_source_function(word: &str) -> bool {
    functions()
        .any(|function| function.kind == FunctionKind::Source && function.name.eq_ignore_ascii_case(word))
}

/// Returns whether a character may stand in the word at the cursor: a name with its dots, or a command.
fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '@' | '$' | '\\')
}

/// Returns the aliases of a text with the tracepoint that each stands for: `x` of `x IN T` and `x IN First(T)`.
fn aliases(text: &str) -> Vec<(&str, &str)> {
    let mut tokens = classify(text);
    tokens
        .retain(|token| matches!(token.class, TokenClass::Keyword | TokenClass::Function | TokenClass::Name));

    let mut found = Vec::new();
    for (i, token) in tokens.iter().enumerate().skip(1) {
        if !text[token.span.clone()].eq_ignore_ascii_case("IN") {
            continue;
        }
        // Between IN and the name may be the words of temporal sources.
        if let Some(source) = tokens[i + 1..].iter().find(|token| token.class == TokenClass::Name) {
            found.push((&text[tokens[i - 1].span.clone()], &text[source.span.clone()]));
        }
    }
    found
}

/// Returns the names of commands, or what may follow the name of one.
fn command_candidates(before: &str, catalogue: &[ListedTracepoint]) -> Vec<CompletionCandidate> {
    match before.split_once(char::is_whitespace) {
        Some(("\\d" | "\\dt", _)) => {
            catalogue.iter().map(|found| CompletionCandidate::word(&found.name, "")).collect()
        }
        Some(_) => Vec::new(),
        None => COMMANDS
            .iter()
            .map(|command| {
                let description = format!("{} {}", command.argument, command.meaning);
                CompletionCandidate::word(command.name, description.trim())
            })
            .collect(),
    }
}

fn source_candidates(catalogue: &[ListedTracepoint]) -> Vec<CompletionCandidate> {
    let mut candidates = Vec::new();
    for tracepoint in catalogue {
        let fields: Vec<&str> = tracepoint.fields.iter().map(|field| field.name.as_str()).collect();
        candidates.push(CompletionCandidate::word(&tracepoint.name, fields.join(", ")));
    }
    for function in functions().filter(|function| function.kind == FunctionKind::Source) {
        candidates.push(CompletionCandidate::prefix(format!("{}(", function.name), function.about));
    }
    candidates
}

/// Returns the fields that an alias of the text has: those that its tracepoint exports, then the default ones.
fn field_candidates(line: &str, alias: &str, catalogue: &[ListedTracepoint]) -> Vec<CompletionCandidate> {
    let Some((_, source)) = aliases(line).into_iter().find(|(name, _)| *name == alias) else {
        return Vec::new();
    };
    // `open` in a query means `open@enter`.
    let tracepoint = catalogue
        .iter()
        .find(|found| found.name == source || found.name.strip_suffix("@enter") == Some(source));

    let mut candidates = Vec::new();
    for field in tracepoint.into_iter().flat_map(|found| &found.fields) {
        candidates.push(CompletionCandidate::prefix(format!("{alias}.{}", field.name), field.ty.to_string()));
    }
    for (name, ty) in default_fields() {
        candidates.push(CompletionCandidate::prefix(format!("{alias}.{name}"), ty.to_string()));
    }
    candidates
}

fn word_candidates(line: &str) -> Vec<CompletionCandidate> {
    let mut candidates = Vec::new();
    for (alias, source) in aliases(line) {
        candidates.push(CompletionCandidate::prefix(format!("{alias}."), source));
    }

    for keyword in KEYWORDS.iter().filter(|keyword| keyword.is_preferred()) {
        candidates.push(CompletionCandidate::word(keyword.text, ""));
    }
    for function in functions().filter(|function| function.kind != FunctionKind::SourceAlias) {
        candidates.push(match function.name {
            // COUNT may stand without parentheses.
            "COUNT" => CompletionCandidate::word("COUNT", function.about),
            name => CompletionCandidate::prefix(format!("{name}("), function.about),
        });
    }
    candidates
}

#[cfg(test)]
mod tests {
    use super::super::known_names::KnownTable;
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
        let tables = [
            ("hosts", vec!["window_start", "host", "\"e.port\""]),
            ("pivot.queries", vec!["number", "name"]),
        ];
        let tables = tables.map(|(name, columns)| KnownTable {
            name: name.into(),
            columns: columns.into_iter().map(str::to_owned).collect(),
        });
        let known = KnownNames { tracepoints: known.into(), tables: tables.into() };
        let pos = line.find('|').unwrap_or(line.len());
        let found = completions(&line.replace('|', ""), pos, &known);
        let texts: Vec<&str> = found.candidates.iter().map(|candidate| candidate.text.as_str()).collect();
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
    fn statements_of_sql_have_tables_and_their_columns() {
        check("SELECT * FROM h|", &["hosts"]);
        check("SELECT * FROM pivot.q|", &["pivot.queries"]);
        check("DESCRIBE |", &["hosts", "pivot.queries"]);
        check("SELECT win| FROM hosts", &["window_start"]);
        check("SELECT e.| FROM hosts", &["\"e.port\""]);
        check("SELECT \"e.| FROM hosts", &["\"e.port\""]);
        check("SELECT quan| FROM hosts", &["quantile("]);
        check("SELECT name FROM pivot.queries ord|", &["ORDER BY"]);
        check("SELECT num| FROM hosts", &[]);
    }

    #[test]
    fn aliases_are_found_in_unfinished_queries() {
        let text = "FROM e IN DataNode.read JOIN c IN First(Client) ON c -> e WHERE c.";
        assert_eq!(aliases(text), [("e", "DataNode.read"), ("c", "Client")]);
        assert_eq!(aliases("FROM e IN"), []);
    }

    #[test]
    fn a_backslash_begins_a_command() {
        check("\\dr|", &["\\drop"]);
        check("\\d Cl|", &["Client"]);
        check("\\drop |", &[]);
    }
}
