//! A query is cut into clauses at its keywords, and each clause is parsed by itself.
//!
//! Cutting first is what makes one typo not hide the next: a clause that does not parse is reported
//! and left out, and the others are read as if nothing had happened.

use super::ast::{self, AstQuery, RowClause, SelectItem, Span};
use super::expressions::{comma_list, expression};
use super::hints::hint_for;
use super::result_clauses;
use super::sources::{from, join, with};
use super::token_stream::{ParseResult, TokenStream, keyword, name, symbol};
use crate::diagnostic::Diagnostic;
use crate::lexical::{Token, TokenKind};
use crate::suggest::nearest;
use nom::Parser;
use nom::combinator::{cut, opt};
use nom::sequence::preceded;
use pivot_advice::Match;

/// The clauses, in the order in which they may stand; SELECT may also come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ClauseKind {
    With,
    From,
    Join,
    LeftJoin,
    AntiJoin,
    Let,
    Where,
    GroupBy,
    Select,
    Having,
    OrderBy,
    Limit,
    Sample,
    Every,
    For,
    Within,
    Into,
}

/// Every clause with the words that begin it.
const CLAUSES: [(ClauseKind, &str); 17] = [
    (ClauseKind::With, "WITH"),
    (ClauseKind::From, "FROM"),
    (ClauseKind::Join, "JOIN"),
    (ClauseKind::LeftJoin, "LEFT JOIN"),
    (ClauseKind::AntiJoin, "ANTI JOIN"),
    (ClauseKind::Let, "LET"),
    (ClauseKind::Where, "WHERE"),
    (ClauseKind::GroupBy, "GROUP BY"),
    (ClauseKind::Select, "SELECT"),
    (ClauseKind::Having, "HAVING"),
    (ClauseKind::OrderBy, "ORDER BY"),
    (ClauseKind::Limit, "LIMIT"),
    (ClauseKind::Sample, "SAMPLE"),
    (ClauseKind::Every, "EVERY"),
    (ClauseKind::For, "FOR"),
    (ClauseKind::Within, "WITHIN"),
    (ClauseKind::Into, "INTO"),
];

impl ClauseKind {
    fn text(self) -> &'static str {
        CLAUSES.iter().find(|(clause, _)| *clause == self).map_or("", |(_, text)| text)
    }

    /// Where the clause stands among the others; clauses of one place may mix.
    fn place(self) -> u8 {
        match self {
            ClauseKind::With => 0,
            ClauseKind::From => 1,
            ClauseKind::Join | ClauseKind::LeftJoin | ClauseKind::AntiJoin => 2,
            ClauseKind::Let | ClauseKind::Where => 3,
            ClauseKind::GroupBy => 4,
            ClauseKind::Select => 5,
            ClauseKind::Having => 6,
            ClauseKind::OrderBy => 7,
            ClauseKind::Limit => 8,
            ClauseKind::Sample => 9,
            ClauseKind::Every | ClauseKind::For | ClauseKind::Within | ClauseKind::Into => 10,
        }
    }

    /// Whether it names a source.
    pub(super) fn has_source(self) -> bool {
        matches!(self, ClauseKind::From | ClauseKind::Join | ClauseKind::LeftJoin | ClauseKind::AntiJoin)
    }

    fn may_repeat(self) -> bool {
        self.place() == 2 || self.place() == 3
    }

    /// The clause that these tokens begin with, and how many tokens name it.
    fn at(tokens: &[Token]) -> Option<(ClauseKind, usize)> {
        let TokenKind::Word(word) = &tokens.first()?.kind else { return None };
        let next = |word| tokens.get(1).is_some_and(|token: &Token| token.is_word(word));
        let found = |text: &str| word.eq_ignore_ascii_case(text);
        match () {
            () if found("GROUPBY") => Some((ClauseKind::GroupBy, 1)),
            () if found("ORDERBY") => Some((ClauseKind::OrderBy, 1)),
            () if found("GROUP") => Some((ClauseKind::GroupBy, 1 + usize::from(next("BY")))),
            () if found("ORDER") => Some((ClauseKind::OrderBy, 1 + usize::from(next("BY")))),
            () if found("LEFT") && next("JOIN") => Some((ClauseKind::LeftJoin, 2)),
            () if found("ANTI") && next("JOIN") => Some((ClauseKind::AntiJoin, 2)),
            () => CLAUSES.iter().find(|(_, text)| found(text)).map(|(clause, _)| (*clause, 1)),
        }
    }

    /// The clause that a misspelt word means.
    fn misspelt(token: &Token) -> Option<ClauseKind> {
        let TokenKind::Word(word) = &token.kind else { return None };
        let joined = [
            ("GROUPBY", ClauseKind::GroupBy),
            ("ORDERBY", ClauseKind::OrderBy),
            ("GROUP", ClauseKind::GroupBy),
        ];
        let single = CLAUSES.iter().filter(|(_, text)| !text.contains(' ') && text.len() > 3);
        let known: Vec<(&str, ClauseKind)> =
            single.map(|(clause, text)| (*text, *clause)).chain(joined).collect();
        let meant = nearest(word, known.iter().map(|(text, _)| *text))?;
        known.into_iter().find(|(text, _)| *text == meant).map(|(_, clause)| clause)
    }
}

/// The clause that tokens begin with, as it is written, and how many tokens name it.
pub(crate) fn clause_at(tokens: &[Token]) -> Option<(&'static str, usize)> {
    ClauseKind::at(tokens).map(|(clause, length)| (clause.text(), length))
}

/// One clause: which, the place of its keyword, and what follows it.
struct RawClause<'a> {
    clause: ClauseKind,
    span: Span,
    body: TokenStream<'a>,
}

/// Parses all tokens as one query; whatever is wrong is in the diagnostics.
pub(super) fn query_of(tokens: TokenStream<'_>) -> AstQuery {
    let end = tokens.list.last().map_or(tokens.end, |token| token.span.end);
    let mut reader = ClauseParser {
        query: AstQuery { span: tokens.here().start..end, ..AstQuery::default() },
        seen: vec![],
    };
    let (before, parts) = cut_at_keywords(tokens);
    if !before.list.is_empty() {
        reader.leftover(None, before, None);
    }
    parts.into_iter().for_each(|part| reader.read(part));
    reader.finish(tokens)
}

fn cut_at_keywords(tokens: TokenStream<'_>) -> (TokenStream<'_>, Vec<RawClause<'_>>) {
    let mut starts = Vec::new();
    let mut depth = 0usize;
    let mut behind_dot = false;
    let mut skip = 0;
    for (i, token) in tokens.list.iter().enumerate() {
        let found =
            if depth == 0 && !behind_dot && i >= skip { ClauseKind::at(&tokens.list[i..]) } else { None };
        if let Some((clause, length)) = found {
            starts.push((i, clause, length));
            skip = i + length;
        }
        depth = match &token.kind {
            TokenKind::Symbol("(") => depth + 1,
            TokenKind::Symbol(")") => depth.saturating_sub(1),
            _ => depth,
        };
        behind_dot = token.is(".") || token.is("::") || token.is("@");
    }
    let slice = |from: usize, to: usize| TokenStream {
        list: &tokens.list[from..to],
        end: to.checked_sub(1).map_or(tokens.end, |last| tokens.list[last].span.end),
        ..tokens
    };
    let ends = starts.iter().skip(1).map(|start| start.0).chain([tokens.list.len()]);
    let parts = starts.iter().zip(ends).map(|(&(i, clause, length), end)| {
        let span = tokens.list[i].span.start..tokens.list[i + length - 1].span.end;
        RawClause { clause, span, body: slice(i + length, end) }
    });
    (slice(0, starts.first().map_or(tokens.list.len(), |start| start.0)), parts.collect())
}

/// The query so far, and the kinds of clauses that it had, in order of first appearance.
struct ClauseParser {
    query: AstQuery,
    seen: Vec<ClauseKind>,
}

impl ClauseParser {
    fn read(&mut self, part: RawClause<'_>) {
        self.check_order(&part);
        if !self.seen.contains(&part.clause) {
            self.seen.push(part.clause);
        }
        let body = part.body;
        let joined = part.clause == ClauseKind::GroupBy || part.clause == ClauseKind::OrderBy;
        if joined && part.span.len() == 5 {
            let wrong =
                Diagnostic::error(part.span.clone(), format!("BY is missing in {}", part.clause.text()));
            report(body, wrong);
        }
        let query = &mut self.query;
        let rest = match part.clause {
            ClauseKind::With => parse(part, with, |with| query.with = with),
            ClauseKind::From => parse(part, from, |from| query.from = Some(from)),
            ClauseKind::Join => parse(part, |body| join(body, Match::Inner), |join| query.joins.push(join)),
            ClauseKind::LeftJoin => {
                parse(part, |body| join(body, Match::Left), |join| query.joins.push(join))
            }
            ClauseKind::AntiJoin => {
                parse(part, |body| join(body, Match::Anti), |join| query.joins.push(join))
            }
            ClauseKind::Let => parse(part, assignment, |step| query.steps.push(step)),
            ClauseKind::Where => parse(part, expression, |expr| query.steps.push(RowClause::Where(expr))),
            ClauseKind::GroupBy => parse(part, comma_list(expression), |keys| {
                query.group.get_or_insert_default().extend(keys);
            }),
            ClauseKind::Select => parse(part, select, |(distinct, items)| {
                (query.distinct, query.select) = (distinct, items);
            }),
            ClauseKind::Having => tail_clause(part, expression, &mut query.result.having),
            ClauseKind::OrderBy => tail_clause(part, result_clauses::order, &mut query.result.order),
            ClauseKind::Limit => tail_clause(part, result_clauses::limit, &mut query.result.limit),
            ClauseKind::Sample => tail_clause(part, result_clauses::sample, &mut query.result.sample),
            ClauseKind::Every => tail_clause(part, result_clauses::duration, &mut query.result.every),
            ClauseKind::For => tail_clause(part, result_clauses::duration, &mut query.result.duration),
            ClauseKind::Within => tail_clause(part, result_clauses::within, &mut query.result.within),
            ClauseKind::Into => tail_clause(part, result_clauses::sink, &mut query.result.into),
        };
        match rest {
            ClauseOutcome::Whole => {}
            ClauseOutcome::Rest(clause, rest) => self.leftover(Some(clause), rest, last_before(body, rest)),
            ClauseOutcome::Broken(rest) => {
                self.query.broken = true;
                if let Some(rest) = rest {
                    self.misspelt(rest);
                }
            }
        }
    }

    fn check_order(&self, part: &RawClause<'_>) {
        let text = part.clause.text();
        if !part.clause.may_repeat() && self.seen.contains(&part.clause) {
            report(part.body, Diagnostic::error(part.span.clone(), format!("{text} is repeated")));
            return;
        }
        // SELECT in front of FROM is the other accepted order: then it has no place among the others.
        let before_from = self.seen.iter().take_while(|seen| **seen != ClauseKind::From);
        let select_first = before_from.clone().any(|seen| *seen == ClauseKind::Select);
        let mut placed = self.seen.iter().filter(|seen| !(select_first && **seen == ClauseKind::Select));
        if let Some(later) = placed.find(|clause| clause.place() > part.clause.place()) {
            let wrong = format!("{text} is misplaced");
            let wrong = Diagnostic::error(part.span.clone(), wrong);
            report(part.body, wrong.detail(format!("{text} stands before {}", later.text())));
        }
    }

    /// Tokens behind the end of a clause, or before the first.
    fn leftover(&mut self, clause: Option<ClauseKind>, rest: TokenStream<'_>, before: Option<&Token>) {
        if self.misspelt(rest) {
            return;
        }
        let Some(token) = rest.first() else { return };
        self.query.broken |= clause.is_none();
        let wrong = Diagnostic::error(token.span.clone(), format!("unexpected {}", token.shown()));
        let detail = match clause {
            Some(clause) => format!("{} is complete before this", clause.text()),
            None => "a query begins with FROM, SELECT or WITH".into(),
        };
        let hint = hint_for(token, before, clause);
        report(rest, Diagnostic { hint, ..wrong.detail(detail) });
    }

    /// Reads on behind a misspelt keyword as if it had been right.
    fn misspelt(&mut self, rest: TokenStream<'_>) -> bool {
        let Some((token, clause)) =
            rest.first().and_then(|token| Some((token, ClauseKind::misspelt(token)?)))
        else {
            return false;
        };
        let wrong = Diagnostic::error(token.span.clone(), format!("unknown clause {}", token.shown()));
        report(rest, wrong.detail("no clause begins with this").suggest(Some(clause.text().into())));
        let by = rest.rest().first().is_some_and(|token| token.is_word("BY"));
        let body = if by { rest.rest().rest() } else { rest.rest() };
        let span = token.span.start..body.here().start;
        self.read(RawClause { clause, span, body });
        true
    }

    fn finish(mut self, tokens: TokenStream<'_>) -> AstQuery {
        let end = tokens.list.last().map_or(tokens.end, |token| token.span.end);
        for (clause, hint) in [
            (ClauseKind::From, "a query begins with FROM alias IN tracepoint"),
            (ClauseKind::Select, "add SELECT with the columns of the result"),
        ] {
            let unreadable = self.query.broken && self.seen.is_empty();
            if !self.seen.contains(&clause) && !unreadable {
                self.query.broken = true;
                let wrong = Diagnostic::error(end..end, format!("{} is missing", clause.text()));
                report(tokens, wrong.detail("the query ends here").hint(hint));
            }
        }
        self.query
    }
}

fn report(tokens: TokenStream<'_>, diagnostic: Diagnostic) {
    tokens.diagnostics.borrow_mut().push(diagnostic);
}

/// The token in front of the rest of a clause.
fn last_before<'a>(body: TokenStream<'a>, rest: TokenStream<'a>) -> Option<&'a Token> {
    let read = body.list.len().checked_sub(rest.list.len())?;
    body.list.get(read.checked_sub(1)?)
}

/// How the parsing of a clause ended.
enum ClauseOutcome<'a> {
    Whole,
    /// The clause is complete, and tokens follow.
    Rest(ClauseKind, TokenStream<'a>),
    /// The clause did not parse; perhaps a misspelt keyword is the cause.
    Broken(Option<TokenStream<'a>>),
}

/// Parses a clause behind SELECT and keeps it with its place.
fn tail_clause<'a, T>(
    part: RawClause<'a>,
    parser: impl Fn(TokenStream<'a>) -> ParseResult<'a, T>,
    place: &mut Option<ast::Spanned<T>>,
) -> ClauseOutcome<'a> {
    let span = part.span.clone();
    parse(part, parser, |body| *place = Some(ast::Spanned { span, body }))
}

fn parse<'a, T>(
    part: RawClause<'a>,
    parser: impl Fn(TokenStream<'a>) -> ParseResult<'a, T>,
    accept: impl FnOnce(T),
) -> ClauseOutcome<'a> {
    let failure = match parser(part.body) {
        Ok((rest, parsed)) => {
            accept(parsed);
            return if rest.list.is_empty() {
                ClauseOutcome::Whole
            } else {
                ClauseOutcome::Rest(part.clause, rest)
            };
        }
        Err(nom::Err::Error(failure) | nom::Err::Failure(failure)) => failure,
        Err(nom::Err::Incomplete(_)) => return ClauseOutcome::Broken(None),
    };
    let at = part.body.list.len().saturating_sub(failure.left);
    let rest = TokenStream { list: &part.body.list[at..], ..part.body };
    if rest.first().is_some_and(|token| ClauseKind::misspelt(token).is_some()) {
        return ClauseOutcome::Broken(Some(rest));
    }
    let found = rest.first().map_or("the end of the clause".to_owned(), Token::shown);
    let expected = failure.expected.join(" or ");
    let wrong = Diagnostic::error(rest.here(), format!("expected {expected}, found {found}"));
    let before = last_before(part.body, rest);
    let hint = rest.first().and_then(|token| hint_for(token, before, Some(part.clause)));
    report(part.body, Diagnostic { hint, ..wrong.detail(format!("in {}", part.clause.text())) });
    ClauseOutcome::Broken(None)
}

/// `[DISTINCT] item {, ..}`
fn select(input: TokenStream<'_>) -> ParseResult<'_, (Option<Span>, Vec<SelectItem>)> {
    let (rest, distinct) = match keyword("DISTINCT")(input) {
        Ok((rest, ())) => (rest, Some(input.here())),
        Err(_) => (input, None),
    };
    let (rest, items) = comma_list(item)(rest)?;
    Ok((rest, (distinct, items)))
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
