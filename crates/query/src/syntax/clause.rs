//! A query is cut into clauses at its keywords, and each clause is parsed by itself.
//!
//! Cutting first is what makes one typo not hide the next: a clause that does not parse is reported
//! and left out, and the others are read as if nothing had happened.

use super::ast::{self, Item, Query, Span, Step};
use super::expr::{comma_list, expression};
use super::hint::hint_for;
use super::input::{Parsed, Tokens, keyword, name, symbol};
use super::source::{from, join, with};
use super::tail;
use super::token::{Kind, Token};
use crate::diagnostic::Diagnostic;
use crate::suggest::nearest;
use nom::Parser;
use nom::combinator::{cut, opt};
use nom::sequence::preceded;
use pivot_advice::Match;

/// The clauses, in the order in which they may stand; SELECT may also come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Clause {
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
const CLAUSES: [(Clause, &str); 17] = [
    (Clause::With, "WITH"),
    (Clause::From, "FROM"),
    (Clause::Join, "JOIN"),
    (Clause::LeftJoin, "LEFT JOIN"),
    (Clause::AntiJoin, "ANTI JOIN"),
    (Clause::Let, "LET"),
    (Clause::Where, "WHERE"),
    (Clause::GroupBy, "GROUP BY"),
    (Clause::Select, "SELECT"),
    (Clause::Having, "HAVING"),
    (Clause::OrderBy, "ORDER BY"),
    (Clause::Limit, "LIMIT"),
    (Clause::Sample, "SAMPLE"),
    (Clause::Every, "EVERY"),
    (Clause::For, "FOR"),
    (Clause::Within, "WITHIN"),
    (Clause::Into, "INTO"),
];

impl Clause {
    fn text(self) -> &'static str {
        CLAUSES.iter().find(|(clause, _)| *clause == self).map_or("", |(_, text)| text)
    }

    /// Where the clause stands among the others; clauses of one place may mix.
    fn place(self) -> u8 {
        match self {
            Clause::With => 0,
            Clause::From => 1,
            Clause::Join | Clause::LeftJoin | Clause::AntiJoin => 2,
            Clause::Let | Clause::Where => 3,
            Clause::GroupBy => 4,
            Clause::Select => 5,
            Clause::Having => 6,
            Clause::OrderBy => 7,
            Clause::Limit => 8,
            Clause::Sample => 9,
            Clause::Every | Clause::For | Clause::Within | Clause::Into => 10,
        }
    }

    /// Whether it names a source.
    pub(super) fn has_source(self) -> bool {
        matches!(self, Clause::From | Clause::Join | Clause::LeftJoin | Clause::AntiJoin)
    }

    fn may_repeat(self) -> bool {
        self.place() == 2 || self.place() == 3
    }

    /// The clause that these tokens begin with, and how many tokens name it.
    fn at(tokens: &[Token]) -> Option<(Clause, usize)> {
        let Kind::Word(word) = &tokens.first()?.kind else { return None };
        let next = |word| tokens.get(1).is_some_and(|token: &Token| token.is_word(word));
        let found = |text: &str| word.eq_ignore_ascii_case(text);
        match () {
            () if found("GROUPBY") => Some((Clause::GroupBy, 1)),
            () if found("ORDERBY") => Some((Clause::OrderBy, 1)),
            () if found("GROUP") => Some((Clause::GroupBy, 1 + usize::from(next("BY")))),
            () if found("ORDER") => Some((Clause::OrderBy, 1 + usize::from(next("BY")))),
            () if found("LEFT") && next("JOIN") => Some((Clause::LeftJoin, 2)),
            () if found("ANTI") && next("JOIN") => Some((Clause::AntiJoin, 2)),
            () => CLAUSES.iter().find(|(_, text)| found(text)).map(|(clause, _)| (*clause, 1)),
        }
    }

    /// The clause that a misspelt word means.
    fn misspelt(token: &Token) -> Option<Clause> {
        let Kind::Word(word) = &token.kind else { return None };
        let joined = [("GROUPBY", Clause::GroupBy), ("ORDERBY", Clause::OrderBy), ("GROUP", Clause::GroupBy)];
        let single = CLAUSES.iter().filter(|(_, text)| !text.contains(' ') && text.len() > 3);
        let known: Vec<(&str, Clause)> =
            single.map(|(clause, text)| (*text, *clause)).chain(joined).collect();
        let meant = nearest(word, known.iter().map(|(text, _)| *text))?;
        known.into_iter().find(|(text, _)| *text == meant).map(|(_, clause)| clause)
    }
}

/// The clause that tokens begin with, as it is written, and how many tokens name it.
pub(crate) fn clause_at(tokens: &[Token]) -> Option<(&'static str, usize)> {
    Clause::at(tokens).map(|(clause, length)| (clause.text(), length))
}

/// One clause: which, the place of its keyword, and what follows it.
struct Part<'a> {
    clause: Clause,
    span: Span,
    body: Tokens<'a>,
}

/// Parses all tokens as one query; whatever is wrong is in the diagnostics.
pub(super) fn query_of(tokens: Tokens<'_>) -> Query {
    let end = tokens.list.last().map_or(tokens.end, |token| token.span.end);
    let mut reader =
        Reader { query: Query { span: tokens.here().start..end, ..Query::default() }, seen: vec![] };
    let (before, parts) = cut_at_keywords(tokens);
    if !before.list.is_empty() {
        reader.leftover(None, before, None);
    }
    parts.into_iter().for_each(|part| reader.read(part));
    reader.finish(tokens)
}

fn cut_at_keywords(tokens: Tokens<'_>) -> (Tokens<'_>, Vec<Part<'_>>) {
    let mut starts = Vec::new();
    let mut depth = 0usize;
    let mut behind_dot = false;
    let mut skip = 0;
    for (i, token) in tokens.list.iter().enumerate() {
        let found = if depth == 0 && !behind_dot && i >= skip { Clause::at(&tokens.list[i..]) } else { None };
        if let Some((clause, length)) = found {
            starts.push((i, clause, length));
            skip = i + length;
        }
        depth = match &token.kind {
            Kind::Symbol("(") => depth + 1,
            Kind::Symbol(")") => depth.saturating_sub(1),
            _ => depth,
        };
        behind_dot = token.is(".") || token.is("::") || token.is("@");
    }
    let slice = |from: usize, to: usize| Tokens {
        list: &tokens.list[from..to],
        end: to.checked_sub(1).map_or(tokens.end, |last| tokens.list[last].span.end),
        ..tokens
    };
    let ends = starts.iter().skip(1).map(|start| start.0).chain([tokens.list.len()]);
    let parts = starts.iter().zip(ends).map(|(&(i, clause, length), end)| {
        let span = tokens.list[i].span.start..tokens.list[i + length - 1].span.end;
        Part { clause, span, body: slice(i + length, end) }
    });
    (slice(0, starts.first().map_or(tokens.list.len(), |start| start.0)), parts.collect())
}

/// The query so far, and the kinds of clauses that it had, in order of first appearance.
struct Reader {
    query: Query,
    seen: Vec<Clause>,
}

impl Reader {
    fn read(&mut self, part: Part<'_>) {
        self.check_order(&part);
        if !self.seen.contains(&part.clause) {
            self.seen.push(part.clause);
        }
        let body = part.body;
        let joined = part.clause == Clause::GroupBy || part.clause == Clause::OrderBy;
        if joined && part.span.len() == 5 {
            let wrong =
                Diagnostic::error(part.span.clone(), format!("BY is missing in {}", part.clause.text()));
            report(body, wrong);
        }
        let query = &mut self.query;
        let rest = match part.clause {
            Clause::With => parse(part, with, |with| query.with = with),
            Clause::From => parse(part, from, |from| query.from = Some(from)),
            Clause::Join => parse(part, |body| join(body, Match::Inner), |join| query.joins.push(join)),
            Clause::LeftJoin => parse(part, |body| join(body, Match::Left), |join| query.joins.push(join)),
            Clause::AntiJoin => parse(part, |body| join(body, Match::Anti), |join| query.joins.push(join)),
            Clause::Let => parse(part, assignment, |step| query.steps.push(step)),
            Clause::Where => parse(part, expression, |expr| query.steps.push(Step::Where(expr))),
            Clause::GroupBy => parse(part, comma_list(expression), |keys| {
                query.group.get_or_insert_default().extend(keys);
            }),
            Clause::Select => parse(part, select, |(distinct, items)| {
                (query.distinct, query.select) = (distinct, items);
            }),
            Clause::Having => tail_clause(part, expression, &mut query.tail.having),
            Clause::OrderBy => tail_clause(part, tail::order, &mut query.tail.order),
            Clause::Limit => tail_clause(part, tail::limit, &mut query.tail.limit),
            Clause::Sample => tail_clause(part, tail::sample, &mut query.tail.sample),
            Clause::Every => tail_clause(part, tail::duration, &mut query.tail.every),
            Clause::For => tail_clause(part, tail::duration, &mut query.tail.duration),
            Clause::Within => tail_clause(part, tail::within, &mut query.tail.within),
            Clause::Into => tail_clause(part, tail::sink, &mut query.tail.into),
        };
        match rest {
            Outcome::Whole => {}
            Outcome::Rest(clause, rest) => self.leftover(Some(clause), rest, last_before(body, rest)),
            Outcome::Broken(rest) => {
                self.query.broken = true;
                if let Some(rest) = rest {
                    self.misspelt(rest);
                }
            }
        }
    }

    fn check_order(&self, part: &Part<'_>) {
        let text = part.clause.text();
        if !part.clause.may_repeat() && self.seen.contains(&part.clause) {
            report(part.body, Diagnostic::error(part.span.clone(), format!("{text} is repeated")));
            return;
        }
        // SELECT in front of FROM is the other accepted order: then it has no place among the others.
        let before_from = self.seen.iter().take_while(|seen| **seen != Clause::From);
        let select_first = before_from.clone().any(|seen| *seen == Clause::Select);
        let mut placed = self.seen.iter().filter(|seen| !(select_first && **seen == Clause::Select));
        if let Some(later) = placed.find(|clause| clause.place() > part.clause.place()) {
            let wrong = format!("{text} is misplaced");
            let wrong = Diagnostic::error(part.span.clone(), wrong);
            report(part.body, wrong.detail(format!("{text} stands before {}", later.text())));
        }
    }

    /// Tokens behind the end of a clause, or before the first.
    fn leftover(&mut self, clause: Option<Clause>, rest: Tokens<'_>, before: Option<&Token>) {
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
    fn misspelt(&mut self, rest: Tokens<'_>) -> bool {
        let Some((token, clause)) = rest.first().and_then(|token| Some((token, Clause::misspelt(token)?)))
        else {
            return false;
        };
        let wrong = Diagnostic::error(token.span.clone(), format!("unknown clause {}", token.shown()));
        report(rest, wrong.detail("no clause begins with this").suggest(Some(clause.text().into())));
        let by = rest.rest().first().is_some_and(|token| token.is_word("BY"));
        let body = if by { rest.rest().rest() } else { rest.rest() };
        let span = token.span.start..body.here().start;
        self.read(Part { clause, span, body });
        true
    }

    fn finish(mut self, tokens: Tokens<'_>) -> Query {
        let end = tokens.list.last().map_or(tokens.end, |token| token.span.end);
        for (clause, hint) in [
            (Clause::From, "a query begins with FROM alias IN tracepoint"),
            (Clause::Select, "add SELECT with the columns of the result"),
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

fn report(tokens: Tokens<'_>, diagnostic: Diagnostic) {
    tokens.diagnostics.borrow_mut().push(diagnostic);
}

/// The token in front of the rest of a clause.
fn last_before<'a>(body: Tokens<'a>, rest: Tokens<'a>) -> Option<&'a Token> {
    let read = body.list.len().checked_sub(rest.list.len())?;
    body.list.get(read.checked_sub(1)?)
}

/// How the parsing of a clause ended.
enum Outcome<'a> {
    Whole,
    /// The clause is complete, and tokens follow.
    Rest(Clause, Tokens<'a>),
    /// The clause did not parse; perhaps a misspelt keyword is the cause.
    Broken(Option<Tokens<'a>>),
}

/// Parses a clause behind SELECT and keeps it with its place.
fn tail_clause<'a, T>(
    part: Part<'a>,
    parser: impl Fn(Tokens<'a>) -> Parsed<'a, T>,
    place: &mut Option<ast::Clause<T>>,
) -> Outcome<'a> {
    let span = part.span.clone();
    parse(part, parser, |body| *place = Some(ast::Clause { span, body }))
}

fn parse<'a, T>(
    part: Part<'a>,
    parser: impl Fn(Tokens<'a>) -> Parsed<'a, T>,
    accept: impl FnOnce(T),
) -> Outcome<'a> {
    let failure = match parser(part.body) {
        Ok((rest, parsed)) => {
            accept(parsed);
            return if rest.list.is_empty() { Outcome::Whole } else { Outcome::Rest(part.clause, rest) };
        }
        Err(nom::Err::Error(failure) | nom::Err::Failure(failure)) => failure,
        Err(nom::Err::Incomplete(_)) => return Outcome::Broken(None),
    };
    let at = part.body.list.len().saturating_sub(failure.left);
    let rest = Tokens { list: &part.body.list[at..], ..part.body };
    if rest.first().is_some_and(|token| Clause::misspelt(token).is_some()) {
        return Outcome::Broken(Some(rest));
    }
    let found = rest.first().map_or("the end of the clause".to_owned(), Token::shown);
    let expected = failure.expected.join(" or ");
    let wrong = Diagnostic::error(rest.here(), format!("expected {expected}, found {found}"));
    let before = last_before(part.body, rest);
    let hint = rest.first().and_then(|token| hint_for(token, before, Some(part.clause)));
    report(part.body, Diagnostic { hint, ..wrong.detail(format!("in {}", part.clause.text())) });
    Outcome::Broken(None)
}

/// `[DISTINCT] item {, ..}`
fn select(input: Tokens<'_>) -> Parsed<'_, (Option<Span>, Vec<Item>)> {
    let (rest, distinct) = match keyword("DISTINCT")(input) {
        Ok((rest, ())) => (rest, Some(input.here())),
        Err(_) => (input, None),
    };
    let (rest, items) = comma_list(item)(rest)?;
    Ok((rest, (distinct, items)))
}

/// `name = expr`
fn assignment(input: Tokens<'_>) -> Parsed<'_, Step> {
    let (rest, (name, ())) = (name("a name"), symbol("=", "`=`")).parse(input)?;
    let (rest, expr) = cut(expression).parse(rest)?;
    Ok((rest, Step::Let(name, expr)))
}

/// `expr [AS name]`
fn item(input: Tokens<'_>) -> Parsed<'_, Item> {
    let (rest, expr) = expression(input)?;
    let (rest, name) = opt(preceded(keyword("AS"), cut(name("a name")))).parse(rest)?;
    Ok((rest, Item { expr, name }))
}
