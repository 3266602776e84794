//! A query is cut into clauses at its keywords, and each clause is parsed by itself.
//!
//! ```text
//! FROM e IN E WHRE e.v > 1 GROUP e.k SELECT e.k, COUNT
//! ├─ FROM ──────────────┤├─ GROUP ─┤├─ SELECT ───────┤
//!             ▲                    ▲
//!             unknown clause `WHRE`, did you mean WHERE?
//!                                  BY is missing in GROUP BY
//! ```
//!
//! Cutting first is what makes one typo not hide the next: a clause that does not parse is reported
//! and left out, and the others are read as if nothing had happened.

use super::ast::{AstQuery, PlacedClause, RowClause, SelectItem, TextSpan};
use super::clause_kind::{clause_at, misspelt_clause};
use super::expressions::{comma_list, expression};
use super::hints::hint_for;
use super::sources::{from, join, with};
use super::token_stream::{ParseFailure, ParseResult, TokenStream, keyword, name, symbol};
use super::trailing_clauses;
use crate::diagnostic::Diagnostic;
use crate::lexical::{ClauseKind, Token, TokenKind};
use nom::Parser;
use nom::combinator::{cut, opt};
use nom::sequence::preceded;
use pivot_advice::JoinKind;

/// One clause before it is parsed.
#[derive(Clone)]
struct UnparsedClause<'a> {
    kind: ClauseKind,
    /// The place of its keyword.
    span: TextSpan,
    /// The tokens behind the keyword.
    body: TokenStream<'a>,
}

/// A query as raw clauses, and what stands before the first.
struct UnparsedClauses<'a> {
    before: TokenStream<'a>,
    clauses: Vec<UnparsedClause<'a>>,
}

/// Parses all tokens as one query. What is wrong is reported, and missing in the query.
pub(super) fn parse_query(tokens: TokenStream<'_>) -> AstQuery {
    let end = tokens.list.last().map_or(tokens.end, |token| token.span.end);
    let query = AstQuery { span: TextSpan::new(tokens.here().start, end), ..AstQuery::default() };
    let mut parser = ClauseParser { query, seen: vec![] };

    let cut = cut_at_keywords(tokens);
    if !cut.before.list.is_empty() {
        parser.leftover(None, cut.before, None);
    }
    for clause in cut.clauses {
        parser.read(clause);
    }
    parser.finish(tokens, end)
}

/// The keyword of a clause among the tokens of a query.
struct ClauseStart {
    kind: ClauseKind,
    /// The place of its first token.
    index: usize,
    /// The place behind its last token.
    behind: usize,
}

fn cut_at_keywords(tokens: TokenStream<'_>) -> UnparsedClauses<'_> {
    let starts = clause_starts(tokens.list);
    let first = starts.first().map_or(tokens.list.len(), |start| start.index);
    let mut clauses = Vec::with_capacity(starts.len());

    for (i, start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).map_or(tokens.list.len(), |next| next.index);
        let span = TextSpan::new(tokens.list[start.index].span.start, tokens.list[start.behind - 1].span.end);
        clauses.push(UnparsedClause { kind: start.kind, span, body: between(tokens, start.behind, end) });
    }
    UnparsedClauses { before: between(tokens, 0, first), clauses }
}

/// Finds the keywords that stand outside of parentheses and are not parts of names.
fn clause_starts(tokens: &[Token<'_>]) -> Vec<ClauseStart> {
    let mut starts: Vec<ClauseStart> = Vec::new();
    let mut depth = 0usize;
    let mut behind_separator = false;

    for (index, token) in tokens.iter().enumerate() {
        // The second word of a keyword begins no clause of its own.
        let inside_keyword = starts.last().is_some_and(|start| index < start.behind);
        if depth == 0
            && !behind_separator
            && !inside_keyword
            && let Some((kind, length)) = clause_at(&tokens[index..])
        {
            starts.push(ClauseStart { kind, index, behind: index + length });
        }

        match &token.kind {
            TokenKind::Symbol("(") => depth += 1,
            TokenKind::Symbol(")") => depth = depth.saturating_sub(1),
            _ => {}
        }
        behind_separator = token.is_name_separator() || token.begins_parameter();
    }
    starts
}

/// Returns the tokens from one place to another. Where something is missing at their end, the caret stands
/// behind the last token before it, even if that is the keyword.
fn between(tokens: TokenStream<'_>, from: usize, to: usize) -> TokenStream<'_> {
    let end = to.checked_sub(1).map_or(tokens.end, |last| tokens.list[last].span.end);
    TokenStream { list: &tokens.list[from..to], end, ..tokens }
}

/// Parses one clause after the other.
struct ClauseParser {
    /// The query so far.
    query: AstQuery,
    /// The kinds of clauses that it had, in order of first appearance.
    seen: Vec<ClauseKind>,
}

impl ClauseParser {
    fn read(&mut self, clause: UnparsedClause<'_>) {
        self.check_order(&clause);
        self.check_by(&clause);
        if !self.seen.contains(&clause.kind) {
            self.seen.push(clause.kind);
        }

        // A misspelt keyword ends a clause before its time, and is read like the keyword that it means.
        let kind = clause.kind;
        let body = clause.body;
        match self.parse_body(clause) {
            ClauseOutcome::Complete => {}
            ClauseOutcome::Followed(rest) => self.leftover(Some(kind), rest, last_before(body, rest)),
            ClauseOutcome::Broken => self.query.broken = true,
            ClauseOutcome::BrokenAtMisspelt(rest) => {
                self.query.broken = true;
                self.misspelt(rest);
            }
        }
    }

    fn parse_body<'a>(&mut self, clause: UnparsedClause<'a>) -> ClauseOutcome<'a> {
        // Each arm says where the parsed clause goes; what does not parse leaves no trace in the query.
        let query = &mut self.query;
        let result = &mut query.result;
        match clause.kind {
            ClauseKind::With => parse(&clause, with, |with| query.with = with),
            ClauseKind::From => parse(&clause, from, |from| query.from = Some(from)),
            ClauseKind::Join => {
                parse(&clause, |body| join(body, JoinKind::Inner), |join| query.joins.push(join))
            }
            ClauseKind::LeftJoin => {
                parse(&clause, |body| join(body, JoinKind::Left), |join| query.joins.push(join))
            }
            ClauseKind::AntiJoin => {
                parse(&clause, |body| join(body, JoinKind::Anti), |join| query.joins.push(join))
            }

            ClauseKind::Let => parse(&clause, assignment, |step| query.steps.push(step)),
            ClauseKind::Where => parse(&clause, expression, |expr| query.steps.push(RowClause::Where(expr))),
            ClauseKind::GroupBy => parse(&clause, comma_list(expression), |keys| {
                query.group.get_or_insert_default().extend(keys);
            }),
            ClauseKind::Select => parse(&clause, select, |select| {
                query.distinct = select.distinct;
                query.select = select.items;
            }),

            ClauseKind::Having => parse_trailing_clause(&clause, expression, &mut result.having),
            ClauseKind::OrderBy => parse_trailing_clause(&clause, trailing_clauses::order, &mut result.order),
            ClauseKind::Limit => parse_trailing_clause(&clause, trailing_clauses::limit, &mut result.limit),
            ClauseKind::Sample => {
                parse_trailing_clause(&clause, trailing_clauses::sample, &mut result.sample)
            }
            ClauseKind::Every => {
                parse_trailing_clause(&clause, trailing_clauses::duration, &mut result.every)
            }
            ClauseKind::For => {
                parse_trailing_clause(&clause, trailing_clauses::duration, &mut result.duration)
            }
            ClauseKind::Within => {
                parse_trailing_clause(&clause, trailing_clauses::within, &mut result.within)
            }
            ClauseKind::Keep => parse_trailing_clause(&clause, trailing_clauses::duration, &mut result.keep),
            ClauseKind::Into => parse_trailing_clause(&clause, trailing_clauses::sink, &mut result.into),
        }
    }

    /// Reports a clause that is repeated, or stands behind one that it should stand before.
    fn check_order(&self, clause: &UnparsedClause<'_>) {
        let text = clause.kind.keyword();
        if !clause.kind.may_repeat() && self.seen.contains(&clause.kind) {
            clause.body.report(Diagnostic::error(clause.span, format!("{text} is repeated")));
            return;
        }

        // SELECT in front of FROM is the other accepted order: then it has no rank among the others.
        let mut before_from = self.seen.iter().take_while(|seen| **seen != ClauseKind::From);
        let select_first = before_from.any(|seen| *seen == ClauseKind::Select);
        let mut ranked = self.seen.iter().filter(|seen| !(select_first && **seen == ClauseKind::Select));

        if let Some(later) = ranked.find(|seen| seen.rank() > clause.kind.rank()) {
            let wrong = Diagnostic::error(clause.span, format!("{text} is misplaced"));
            clause.body.report(wrong.detail(format!("{text} stands before {}", later.keyword())));
        }
    }

    /// Reports `GROUP` and `ORDER` without `BY`.
    fn check_by(&self, clause: &UnparsedClause<'_>) {
        let takes_by = matches!(clause.kind, ClauseKind::GroupBy | ClauseKind::OrderBy);
        if takes_by && clause.span.len() == "GROUP".len() {
            let wrong = format!("BY is missing in {}", clause.kind.keyword());
            clause.body.report(Diagnostic::error(clause.span, wrong));
        }
    }

    /// Reports tokens behind the end of a clause, or before the first.
    fn leftover(&mut self, clause: Option<ClauseKind>, rest: TokenStream<'_>, before: Option<&Token<'_>>) {
        if self.misspelt(rest) {
            return;
        }
        let Some(token) = rest.first() else { return };
        self.query.broken |= clause.is_none();

        // The clause before is complete as it is, so it is read; only what follows is refused.
        let wrong = Diagnostic::error(token.span, format!("unexpected {}", token.quoted()));
        let detail = match clause {
            Some(clause) => format!("{} is complete before this", clause.keyword()),
            None => "a query begins with FROM, SELECT or WITH".into(),
        };
        let hint = hint_for(token, before, clause);
        rest.report(Diagnostic { hint, ..wrong.detail(detail) });
    }

    /// Reads on behind a misspelt keyword as if it had been right. Returns false if there is none.
    fn misspelt(&mut self, rest: TokenStream<'_>) -> bool {
        let Some(token) = rest.first() else { return false };
        let Some(kind) = misspelt_clause(rest.list) else { return false };

        let wrong = Diagnostic::error(token.span, format!("unknown clause {}", token.quoted()));
        let by = rest.rest().first().is_some_and(|token| token.is_word("BY"));
        let keyword = kind.keyword();
        let written = if by { keyword.trim_end_matches(" BY") } else { keyword };
        let wrong = wrong.detail("no clause begins with this").suggest(Some(keyword.into()));
        rest.report(wrong.edit(token.span, written));

        let body = rest.skip(if by { 2 } else { 1 });
        let span = TextSpan::new(token.span.start, body.here().start);
        self.read(UnparsedClause { kind, span, body });
        true
    }

    /// Reports the clauses that every query has and this one lacks.
    fn finish(mut self, tokens: TokenStream<'_>, end: usize) -> AstQuery {
        // Other clauses may be left out.
        for (kind, hint) in [
            (ClauseKind::From, "a query begins with FROM alias IN tracepoint"),
            (ClauseKind::Select, "add SELECT with the columns of the result"),
        ] {
            // Of a text that could not be read at all, nothing is missing.
            let unreadable = self.query.broken && self.seen.is_empty();
            if !self.seen.contains(&kind) && !unreadable {
                self.query.broken = true;
                let wrong = Diagnostic::error(end..end, format!("{} is missing", kind.keyword()));
                tokens.report(wrong.detail("the query ends here").hint(hint));
            }
        }

        self.query.is_aggregating = self.query.has_groups();
        self.query
    }
}

/// Returns the token in front of the rest of a clause, or `None` if nothing of it was read.
fn last_before<'a>(body: TokenStream<'a>, rest: TokenStream<'a>) -> Option<&'a Token<'a>> {
    let read = body.list.len().checked_sub(rest.list.len())?;
    body.list.get(read.checked_sub(1)?)
}

/// The ways in which the parsing of a clause ends.
enum ClauseOutcome<'a> {
    /// All of its tokens belong to it.
    Complete,
    /// The clause is complete, and tokens follow.
    Followed(TokenStream<'a>),
    /// The clause did not parse, which was reported.
    Broken,
    /// The clause did not parse, and a misspelt keyword is why: it is not reported yet.
    BrokenAtMisspelt(TokenStream<'a>),
}

/// Parses a clause behind SELECT and keeps it with the place of its keyword.
fn parse_trailing_clause<'a, T>(
    clause: &UnparsedClause<'a>,
    parser: impl Fn(TokenStream<'a>) -> ParseResult<'a, T>,
    kept: &mut Option<PlacedClause<T>>,
) -> ClauseOutcome<'a> {
    let span = clause.span;
    parse(clause, parser, |body| *kept = Some(PlacedClause { span, body }))
}

fn parse<'a, T>(
    clause: &UnparsedClause<'a>,
    parser: impl Fn(TokenStream<'a>) -> ParseResult<'a, T>,
    accept: impl FnOnce(T),
) -> ClauseOutcome<'a> {
    match parser(clause.body) {
        Ok((rest, parsed)) => {
            accept(parsed);

            // Parsers stop where they cannot go on: what is left over is for the caller.
            if rest.list.is_empty() { ClauseOutcome::Complete } else { ClauseOutcome::Followed(rest) }
        }
        Err(nom::Err::Error(failure) | nom::Err::Failure(failure)) => broken(clause, &failure),
        Err(nom::Err::Incomplete(_)) => ClauseOutcome::Broken,
    }
}

/// Reports what was expected where the parser of a clause stopped.
fn broken<'a>(clause: &UnparsedClause<'a>, failure: &ParseFailure) -> ClauseOutcome<'a> {
    // The furthest place that any alternative came to explains most.
    let rest = clause.body.skip(clause.body.list.len().saturating_sub(failure.left));
    if misspelt_clause(rest.list).is_some() {
        return ClauseOutcome::BrokenAtMisspelt(rest);
    }

    let found = rest.first().map_or("the end of the clause".to_owned(), Token::quoted);
    let expected = failure.expected.join(" or ");
    let wrong = Diagnostic::error(rest.here(), format!("expected {expected}, found {found}"));

    let before = last_before(clause.body, rest);
    let hint = rest.first().and_then(|token| hint_for(token, before, Some(clause.kind)));
    clause.body.report(Diagnostic { hint, ..wrong.detail(format!("in {}", clause.kind.keyword())) });
    ClauseOutcome::Broken
}

/// What stands behind the word SELECT: whether DISTINCT does, and the items.
struct SelectList {
    distinct: Option<TextSpan>,
    items: Vec<SelectItem>,
}

/// `[DISTINCT] item {, ..}`
fn select(input: TokenStream<'_>) -> ParseResult<'_, SelectList> {
    let (rest, distinct) = match keyword("DISTINCT")(input) {
        Ok((rest, ())) => (rest, Some(input.here())),
        Err(_) => (input, None),
    };
    let (rest, items) = comma_list(item)(rest)?;
    Ok((rest, SelectList { distinct, items }))
}

/// `name = expr`
fn assignment(input: TokenStream<'_>) -> ParseResult<'_, RowClause> {
    let (rest, (name, ())) = (name("a name"), symbol("=", "`=`")).parse(input)?;
    let (rest, expr) = cut(expression).parse(rest)?;
    Ok((rest, RowClause::Let(name, expr)))
}

/// `expr [AS name]`
fn item(input: TokenStream<'_>) -> ParseResult<'_, SelectItem> {
    let (rest, expr) = expression(input)?;
    let (rest, name) = opt(preceded(keyword("AS"), cut(name("a name")))).parse(rest)?;
    Ok((rest, SelectItem { expr, name }))
}
