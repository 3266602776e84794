//! Clauses that stand elsewhere, are missing, or are written as in other languages.

use super::fix::{NOT_GROUPED, QuickFix};
use super::operators::duration_of;
use super::written_query::{WrittenClause, WrittenQuery};
use crate::catalog::Catalog;
use crate::diagnostic::TextEdit;
use crate::lexical::{ClauseKind, TokenKind, aggregate_function};
use pivot_advice::Value;
use std::ops::Range;

/// The most fields that are written in the place of `*`.
const MAX_FIELDS: usize = 8;

/// Adds the fixes for the clauses of a query.
pub(super) fn of_query(
    query: &WrittenQuery<'_>,
    tokens: Range<usize>,
    clauses: &[WrittenClause],
    catalog: &Catalog,
    found: &mut Vec<QuickFix>,
) {
    for at in tokens.clone() {
        found.extend(comment(query, at).or_else(|| trailing_comma(query, at, &tokens)));
    }
    for (i, clause) in clauses.iter().enumerate() {
        found.extend(misplaced(query, clauses, i));
        match clause.kind {
            ClauseKind::Limit => found.extend(limit(query, clause)),
            ClauseKind::Select => {
                found.extend(every_field(query, clauses, clause, catalog));
                found.extend(top(query, clauses, clause));
                found.extend(names_without_as(query, clause));
            }
            ClauseKind::Every | ClauseKind::For | ClauseKind::Keep => found.extend(unit(query, clause)),
            ClauseKind::Having => found.extend(having_of_rows(query, clauses, clause)),
            ClauseKind::Sample => found.extend(percentage(query, clause)),
            _ => {}
        }
    }

    found.extend(fields_at_exit(query, tokens, clauses));
    found.extend(missing_select(query, clauses));
    found.extend(numbered_keys(query, clauses).or_else(|| missing_keys(query, clauses)));
}

/// Returns the fixes for what may be right where it stands: a `;` in the middle.
pub(super) fn guesses(query: &WrittenQuery<'_>) -> Vec<QuickFix> {
    let mut found = Vec::new();
    let middle = (0..query.tokens.len()).find(|at| query.is(*at, ";"));
    if let Some(at) = middle.filter(|at| at + 1 < query.tokens.len()) {
        let edits = vec![TextEdit::new(query.span(at..at + 1), "")];
        let span = query.span(at..query.tokens.len());
        found.push(QuickFix::of_edits(span, "a statement ends at `;`: here it goes on", edits));
    }

    found
}

/// `GROUP BY 1`: the number of a column, as in other databases.
fn numbered_keys(query: &WrittenQuery<'_>, clauses: &[WrittenClause]) -> Option<QuickFix> {
    let group = clauses.iter().find(|clause| clause.kind == ClauseKind::GroupBy)?;
    let select = clauses.iter().find(|clause| clause.kind == ClauseKind::Select)?;
    let columns = query.items(select.body());

    let mut edits = Vec::new();
    for key in query.items(group.body()) {
        let Some(Value::I64(n)) = query.literal(key.start).filter(|_| key.len() == 1) else { continue };
        let column = columns.get(usize::try_from(*n).ok()?.checked_sub(1)?)?;
        let named = column.clone().find(|at| query.is_word(*at, "AS"));
        let value = column.start..named.unwrap_or(column.end);
        edits.push(TextEdit::new(query.span(key), query.source(value)));
    }
    let fix =
        QuickFix::of_edits(query.span(select.body()), "GROUP BY takes values, not their numbers", edits);
    (!fix.edits.is_empty()).then_some(QuickFix { about: NOT_GROUPED, ..fix })
}

/// `# comment` and `// comment`.
fn comment(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let is_slashes = query.is(at, "/") && query.is(at + 1, "/") && query.touches_next(at);
    let length = if query.is_sign(at, '#') { 1 } else { 2 };
    if !(is_slashes || length == 1) {
        return None;
    }

    // The rest of the line means nothing, whatever its tokens are.
    let span = query.span(at..at + length);
    let line = query.text[span.start..].find('\n').unwrap_or(query.text.len() - span.start);
    let edits = vec![TextEdit::new(span.clone(), "--")];
    Some(QuickFix::of_edits(span.start..span.start + line, "a comment begins with `--`", edits))
}

/// `a, b,` before the end of a list.
fn trailing_comma(query: &WrittenQuery<'_>, at: usize, tokens: &Range<usize>) -> Option<QuickFix> {
    if !query.is(at, ",") {
        return None;
    }

    let next = at + 1;
    let ends = next >= tokens.end
        || query.is(next, ")")
        || query.is(next, ";")
        || crate::syntax::clause_at(&query.tokens[next..]).is_some();
    ends.then(|| {
        // What is missing is seen behind the comma.
        let edits = vec![TextEdit::new(query.span(at..at + 1), "")];
        let end = query.span(next..next + 1).end.max(query.end_before(next));
        let span = query.span(at..next).start..end;
        QuickFix::of_edits(span, "nothing follows the last comma: leave it out", edits)
    })
}

/// A clause that stands behind one that it should stand before.
fn misplaced(query: &WrittenQuery<'_>, clauses: &[WrittenClause], i: usize) -> Option<QuickFix> {
    let clause = &clauses[i];
    let before = &clauses[..i];
    let select_first = before.first().is_some_and(|first| first.kind == ClauseKind::Select);
    let ranked = before.iter().filter(|other| !(select_first && other.kind == ClauseKind::Select));
    let later = ranked.into_iter().find(|other| other.kind.rank() > clause.kind.rank())?;

    let text = query.source(clause.tokens.clone());
    let place = query.span(later.tokens.clone()).start;
    let edits = vec![
        TextEdit::new(query.end_before(clause.tokens.start)..query.end_before(clause.tokens.end), ""),
        TextEdit::new(place..place, format!("{text} ")),
    ];
    let span = query.span(clause.tokens.start..clause.body);
    let hint = format!("move it in front of {}", later.kind.keyword());
    Some(QuickFix { about: "is misplaced", ..QuickFix::of_edits(span, hint, edits) })
}

/// `LIMIT 5, 10`, `LIMIT 10 OFFSET 5`, `LIMIT 10 ROWS`.
fn limit(query: &WrittenQuery<'_>, clause: &WrittenClause) -> Option<QuickFix> {
    let at = clause.body;
    let first = whole_number(query, at)?;
    let skipped = match () {
        () if query.is(at + 1, ",") => whole_number(query, at + 2),
        () if query.is_word(at + 1, "OFFSET") => whole_number(query, at + 2),
        () => None,
    };

    let total = first.checked_add(skipped?)?;
    let hint = format!("no row is skipped here: the first {total} hold those that are meant");
    let fix = QuickFix::new(query, at..at + 3, total.to_string(), hint);
    Some(QuickFix { span: query.span(at + 1..at + 3), ..fix })
}

/// Returns the whole number at a place, or `None` if something else stands there.
fn whole_number(query: &WrittenQuery<'_>, at: usize) -> Option<i64> {
    match query.literal(at) {
        Some(Value::I64(n)) => Some(*n),
        _ => None,
    }
}

/// `SELECT *` and `SELECT e.*`: the columns are named, here those that the tracepoint exports.
fn every_field(
    query: &WrittenQuery<'_>,
    clauses: &[WrittenClause],
    select: &WrittenClause,
    catalog: &Catalog,
) -> Option<QuickFix> {
    let at = select.body;
    let tokens = match () {
        () if query.is(at, "*") => at..at + 1,
        () if query.is(at + 1, ".") && query.is(at + 2, "*") => at..at + 3,
        () => return None,
    };
    let hint = "name the columns; `*` stands in COUNT(*) only";

    let from = clauses.iter().find(|clause| clause.kind == ClauseKind::From)?;
    let alias = query.name(from.body).filter(|_| query.is_word(from.body + 1, "IN"))?;
    let exported = catalog.meant_by(query.source(from.body + 2..from.tokens.end));
    let Some(exported) = exported else { return Some(QuickFix::only_hint(query, tokens, hint)) };

    let fields = exported.fields.iter().take(MAX_FIELDS).map(|field| field.name.as_str());
    let names: Vec<String> =
        ["time", "process"].into_iter().chain(fields).map(|field| format!("{alias}.{field}")).collect();
    Some(QuickFix::new(query, tokens, names.join(", "), hint))
}

/// `SAMPLE 10`: a percentage has its sign.
fn percentage(query: &WrittenQuery<'_>, sample: &WrittenClause) -> Option<QuickFix> {
    let number = whole_number(query, sample.body).filter(|number| (1..=100).contains(number))?;
    let written = format!("{number}%");
    let hint = format!("a part of the requests is a fraction or a percentage: {written}");
    let fix = QuickFix::new(query, sample.body..sample.body + 1, written, hint);
    Some(QuickFix { about: "expected a fraction", ..fix })
}

/// `SELECT TOP 10 e.n`: LIMIT stands at the end.
fn top(query: &WrittenQuery<'_>, clauses: &[WrittenClause], select: &WrittenClause) -> Option<QuickFix> {
    let at = select.body;
    let number = whole_number(query, at + 1).filter(|_| query.is_word(at, "TOP"))?;
    let hint = format!("the first rows are kept at the end: LIMIT {number}");
    if clauses.iter().any(|clause| clause.kind.rank() >= ClauseKind::Limit.rank()) {
        return Some(QuickFix::only_hint(query, at..at + 2, hint));
    }

    let last = clauses.last()?;
    let place = query.end_before(last.tokens.end);
    let edits = vec![
        TextEdit::new(query.span(at..at + 1).start..query.span(at + 2..at + 3).start, ""),
        TextEdit::new(place..place, format!(" LIMIT {number}")),
    ];
    Some(QuickFix::of_edits(query.span(at..at + 2), hint, edits))
}

/// `SELECT e.n total`: a name stands behind AS.
fn names_without_as(query: &WrittenQuery<'_>, select: &WrittenClause) -> Vec<QuickFix> {
    let mut found = Vec::new();
    for item in query.items(select.body()) {
        let last = item.end - 1;
        let Some(name) = query.name(last).filter(|_| item.len() > 1) else { continue };

        let before = &query.tokens[last - 1];
        let is_operand = before.is(")")
            || matches!(before.kind, TokenKind::Literal(_) | TokenKind::QuotedName(_))
            || query.name(last - 1).is_some();
        if is_operand && !before.is_name_separator() {
            let place = query.span(last..last + 1);
            let edits = vec![TextEdit::new(place.start..place.start, "AS ")];
            found.push(QuickFix::of_edits(place, format!("a column is named with AS: `AS {name}`"), edits));
        }
    }
    found
}

/// `EVERY 10`, `FOR 60`, `KEEP 3600`: a duration has a unit.
fn unit(query: &WrittenQuery<'_>, clause: &WrittenClause) -> Option<QuickFix> {
    let at = clause.body;
    let number = query.source(at..at + 1);
    let in_words = query.word(at + 1).and_then(|unit| duration_of(&format!("{number} {unit}")));

    let end = if in_words.is_some() { at + 2 } else { at + 1 };
    let written = match query.literal(at)? {
        Value::I64(_) | Value::F64(_) => in_words.unwrap_or_else(|| format!("{number}s")),
        Value::Str(text) => duration_of(text)?,
        _ => return None,
    };
    let hint = format!("a duration has a unit: {written}");
    Some(QuickFix::new(query, at..end, written, hint))
}

/// HAVING in a query without aggregates is a condition on rows.
fn having_of_rows(
    query: &WrittenQuery<'_>,
    clauses: &[WrittenClause],
    having: &WrittenClause,
) -> Option<QuickFix> {
    let sources =
        clauses.iter().rfind(|clause| clause.kind.has_source() || clause.kind == ClauseKind::Where)?;
    let select = clauses.iter().find(|clause| clause.kind == ClauseKind::Select)?;
    let aggregates = has_clause(clauses, ClauseKind::GroupBy)
        || select.body().any(|at| query.name(at).is_some_and(|word| aggregate_function(word).is_some()));
    if aggregates {
        return None;
    }

    let place = query.end_before(sources.tokens.end);
    let edits = vec![
        TextEdit::new(query.end_before(having.tokens.start)..query.end_before(having.tokens.end), ""),
        TextEdit::new(place..place, format!(" WHERE {}", query.source(having.body()))),
    ];
    // The fix is for what is said about the keyword.
    let span = query.span(having.tokens.start..having.body);
    Some(QuickFix::of_edits(span, "a condition on rows is WHERE", edits))
}

/// Returns whether there is a clause of a kind.
fn has_clause(clauses: &[WrittenClause], kind: ClauseKind) -> bool {
    clauses.iter().any(|clause| clause.kind == kind)
}

/// A query without SELECT: its keys, and how many rows there are.
fn missing_select(query: &WrittenQuery<'_>, clauses: &[WrittenClause]) -> Option<QuickFix> {
    if has_clause(clauses, ClauseKind::Select) || !has_clause(clauses, ClauseKind::From) {
        return None;
    }
    let last = clauses.iter().rfind(|clause| clause.kind.rank() < ClauseKind::Select.rank())?;
    let keys = clauses.iter().find(|clause| clause.kind == ClauseKind::GroupBy);
    let keys = keys.map_or(String::new(), |keys| format!("{}, ", query.source(keys.body())));

    let place = query.end_before(last.tokens.end);
    let written = format!(" SELECT {keys}COUNT");
    let end = query.text.trim_end().len();
    let hint = format!("add SELECT with the columns of the result, say{written}");
    Some(QuickFix::of_edits(end..end, hint, vec![TextEdit::new(place..place, written)]))
}

/// Plain columns beside aggregates: they are the keys of GROUP BY.
fn missing_keys(query: &WrittenQuery<'_>, clauses: &[WrittenClause]) -> Option<QuickFix> {
    let select = clauses.iter().find(|clause| clause.kind == ClauseKind::Select)?;
    let group = clauses.iter().find(|clause| clause.kind == ClauseKind::GroupBy);
    let present: Vec<&str> = group
        .map_or(vec![], |group| query.items(group.body()).into_iter().map(|key| query.source(key)).collect());

    let mut keys: Vec<&str> = Vec::new();
    let mut has_aggregate = false;
    for item in query.items(select.body()) {
        let mut tokens = item.clone();
        if tokens.any(|at| query.name(at).is_some_and(|word| aggregate_function(word).is_some())) {
            has_aggregate = true;
            continue;
        }
        let end = item.clone().find(|at| query.is_word(*at, "AS")).unwrap_or(item.end);
        let key = query.source(item.start..end);
        // Its name is a key: then that needs a LET.
        if end < item.end && present.contains(&query.source(end + 1..item.end)) {
            continue;
        }
        // A field alone is the one of the alias that is meant.
        let is_present =
            present.contains(&key) || key.split_once('.').is_some_and(|(_, field)| present.contains(&field));
        let is_constant = matches!(query.tokens[item.start].kind, TokenKind::Literal(_));
        if !is_constant && !is_present && !keys.contains(&key) {
            keys.push(key);
        }
    }
    if keys.is_empty() || !(has_aggregate || group.is_some()) {
        return None;
    }

    let list = keys.join(", ");
    let (place, written) = match group {
        Some(group) => (query.end_before(group.tokens.end), format!(", {list}")),
        None => {
            let last = clauses.iter().rfind(|clause| clause.kind.rank() < ClauseKind::GroupBy.rank())?;
            (query.end_before(last.tokens.end), format!(" GROUP BY {list}"))
        }
    };
    Some(QuickFix {
        span: query.span(select.body()),
        about: NOT_GROUPED,
        hint: String::new(),
        edits: vec![TextEdit::new(place..place, written)],
    })
}

/// What only exists when a function returns, asked of its entry.
fn fields_at_exit(
    query: &WrittenQuery<'_>,
    mut tokens: Range<usize>,
    clauses: &[WrittenClause],
) -> Option<QuickFix> {
    let field = tokens
        .find(|at| query.is(at + 1, ".") && query.is_one_of(at + 2, &["elapsed", "result", "outcome"]))?;
    let alias = query.name(field)?;
    let source = clauses.iter().find(|clause| {
        clause.kind.has_source() && query.is_word(clause.body, alias) && query.is_word(clause.body + 1, "IN")
    })?;

    let start = source.body + 2;
    let end = (start..source.tokens.end).find(|at| query.is(*at, "@") || query.is_word(*at, "ON"));
    let end = end.unwrap_or(source.tokens.end);
    let behind = if query.is(end, "@") { end + 2 } else { end };
    let name = query.source(start..end);
    let hint = format!("write `{name}@exit`");
    let edits = vec![TextEdit::new(query.span(start..behind), format!("{name}@exit"))];
    let fix = QuickFix::of_edits(query.span(field..field + 3), hint, edits);
    Some(QuickFix { about: "unknown field", ..fix })
}
