//! Query text in its canonical layout: a clause a line, keywords in capitals, subqueries indented.
//!
//! ```text
//! from e in E join q in (from x in X   ─▶   FROM e IN E
//! select x.a) on q->e select q.a            JOIN q IN (
//!                                             FROM x IN X
//!                                             SELECT x.a
//!                                           ) ON q -> e
//!                                           SELECT q.a;
//! ```
//!
//! It works on tokens, so comments stay where they are, and a query that does not compile yet can be
//! laid out too. What it gives has the same tokens, and laid out again it is the same text.

use crate::diagnostic::Diagnostics;
use crate::lexical::{ClauseKind, FunctionKind, Token, TokenKind};
use crate::lexical::{function, is_contextual, is_reserved, statements, tokens};
use crate::syntax::{clause_at, unbalanced};
use std::fmt::Write;

/// A line that would be longer is broken behind a comma, an AND or an OR.
const WIDTH: usize = 100;

/// Whether an item fits on its line is judged by this many tokens of it at most.
const LOOKAHEAD: usize = 12;

/// Lays out all statements of a text. Fails if quotes, comments or parentheses are not closed.
pub fn format(text: &str) -> Result<String, Diagnostics> {
    check(text)?;

    let mut out = String::new();
    let mut end = 0;
    for statement in statements(text) {
        end = statement.offset + statement.text.len();
        if !out.is_empty() {
            out.push('\n');
        }
        let formatted = QueryFormatter::new(&statement.text, WIDTH).statement();
        out.push_str(&formatted.text);
        // A comment to the end of its line would swallow the end of the statement.
        out.push_str(if formatted.ends_in_line_comment { "\n;\n" } else { ";\n" });
    }

    // Comments behind the last statement belong to none.
    let rest = text[end..].trim_start_matches([' ', '\n', '\t', '\r', ';']).trim_end();
    if !rest.is_empty() {
        let _ = writeln!(out, "{}{rest}", if out.is_empty() { "" } else { "\n" });
    }
    Ok(out)
}

/// Returns an expression in one line, without comments: as columns that have no other name are called.
pub(crate) fn format_expression(text: &str) -> String {
    let mut formatter = QueryFormatter::new(text, usize::MAX);
    for i in 0..formatter.tokens.len() {
        formatter.token(i);
    }
    formatter.out
}

fn check(text: &str) -> Result<(), Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    let mut significant = tokens(text);
    for problem in significant.iter().filter_map(Token::problem) {
        diagnostics.push(problem);
    }

    significant.retain(|token| !token.is_trivia());
    if let Some(wrong) = unbalanced(&significant) {
        diagnostics.push(wrong);
    }
    if diagnostics.has_errors() { Err(diagnostics.sorted()) } else { Ok(()) }
}

/// A statement in its canonical layout.
struct FormattedStatement {
    text: String,
    ends_in_line_comment: bool,
}

/// A comment between two tokens.
struct Comment<'t> {
    text: &'t str,
    /// Whether a line ends between what stands before it and the comment.
    begins_line: bool,
}

impl Comment<'_> {
    /// Returns whether the comment goes to the end of its line.
    fn is_line_comment(&self) -> bool {
        self.text.starts_with("--")
    }
}

/// The text while tokens are appended.
struct QueryFormatter<'t> {
    text: &'t str,
    /// Without blanks and comments.
    tokens: Vec<Token<'t>>,
    /// The comments before each token, and behind the last.
    comments: Vec<Vec<Comment<'t>>>,
    out: String,
    /// For each open parenthesis, whether a query stands in it.
    open: Vec<bool>,
    /// Whether the source of a FROM or JOIN is being written: names and patterns stand as they are.
    in_source: bool,
    /// Whether the clause has a source.
    has_source: bool,
    /// Whether the clause is ORDER BY, in which ASC, DESC and NULLS FIRST are keywords.
    in_order: bool,
    /// A line that would be longer is broken.
    width: usize,
}

impl<'t> QueryFormatter<'t> {
    fn new(text: &'t str, width: usize) -> QueryFormatter<'t> {
        let mut significant = Vec::new();
        let mut comments = vec![Vec::new()];
        let mut begins_line = false;

        // Comments belong to the gap before the token that follows them.
        for token in tokens(text) {
            match &token.kind {
                TokenKind::Whitespace => begins_line |= text[token.span.range()].contains('\n'),
                TokenKind::Comment => {
                    let comment = Comment { text: text[token.span.range()].trim_end(), begins_line };
                    if let Some(gap) = comments.last_mut() {
                        gap.push(comment);
                    }
                    begins_line = false;
                }
                _ => {
                    significant.push(token);
                    comments.push(Vec::new());
                    begins_line = false;
                }
            }
        }
        QueryFormatter {
            text,
            tokens: significant,
            comments,
            out: String::new(),
            open: Vec::new(),
            in_source: false,
            has_source: false,
            in_order: false,
            width,
        }
    }

    fn statement(mut self) -> FormattedStatement {
        // A clause takes the tokens that name it, which are written as one.
        let mut i = 0;
        while i < self.tokens.len() {
            self.write_comments(i);
            i += match self.clause(i) {
                Some((kind, length)) => {
                    self.begin_clause(kind);
                    length
                }
                None => {
                    self.token(i);
                    1
                }
            };
        }

        self.write_comments(i);
        let ends_in_line_comment = self.comments[i].last().is_some_and(Comment::is_line_comment);
        FormattedStatement { text: self.out.trim_end().to_owned(), ends_in_line_comment }
    }

    /// Begins a line, unless one has just begun.
    fn line(&mut self) {
        self.trim_blanks();
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        let depth = self.open.iter().filter(|is_query| **is_query).count();
        self.out.push_str(&"  ".repeat(depth));
    }

    /// Begins a line that goes on with the one before.
    fn continued_line(&mut self) {
        self.line();
        self.out.push_str("  ");
    }

    fn trim_blanks(&mut self) {
        let trimmed = self.out.trim_end_matches(' ').len();
        self.out.truncate(trimmed);
    }

    /// Returns how long the line is so far.
    fn column(&self) -> usize {
        self.out.rsplit('\n').next().unwrap_or_default().chars().count()
    }

    fn space(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with([' ', '\n', '(']) {
            self.out.push(' ');
        }
    }

    /// Writes the comments before a token: one that stood behind a token on its line stays there.
    fn write_comments(&mut self, i: usize) {
        let comments = std::mem::take(&mut self.comments[i]);
        for comment in &comments {
            let begun = self.out.trim_end_matches(' ').ends_with('\n');
            let own_line = i == 0 || begun || comment.begins_line;

            // A comment on a line of its own stays on one, whatever stands around it now.
            if own_line {
                self.line();
            } else {
                self.space();
            }
            self.out.push_str(comment.text);
            if own_line || comment.is_line_comment() {
                self.line();
            } else {
                self.space();
            }
        }
        self.comments[i] = comments;
    }

    fn is_behind_separator(&self, i: usize) -> bool {
        i > 0 && self.tokens[i - 1].is_name_separator()
    }

    /// Returns the clause that begins at a token and how many tokens name it, or `None` if none begins.
    fn clause(&self, i: usize) -> Option<(ClauseKind, usize)> {
        let in_query = self.open.last().is_none_or(|is_query| *is_query);
        if !in_query || self.is_behind_separator(i) {
            return None;
        }
        clause_at(&self.tokens[i..])
    }

    fn begin_clause(&mut self, kind: ClauseKind) {
        self.line();
        self.out.push_str(kind.keyword());
        self.has_source = kind.has_source();
        self.in_order = kind == ClauseKind::OrderBy;
        self.in_source = false;
    }

    /// Writes a token that begins no clause.
    fn token(&mut self, i: usize) {
        match self.tokens[i].kind {
            TokenKind::Symbol("(") => self.open_parenthesis(i),
            TokenKind::Symbol(")") => self.close_parenthesis(),
            TokenKind::Symbol(",") => self.comma(i),
            TokenKind::Word(word) if !self.is_behind_separator(i) => self.word(i, word),
            _ => {
                self.separate(i);
                self.out.push_str(&self.text[self.tokens[i].span.range()]);
            }
        }
    }

    fn word(&mut self, i: usize, word: &str) {
        let written = match is_reserved(word) || is_contextual(word) && self.is_direction(i) {
            true => word.to_ascii_uppercase(),
            false => canonical_name(word, self.tokens.get(i + 1)),
        };

        // Conditions are broken before they are too long, so that the next one still fits.
        let connects = written == "AND" || written == "OR";
        if connects && self.column() > self.width / 3 * 2 {
            self.continued_line();
        }
        self.separate(i);
        self.out.push_str(&written);

        self.in_source = match written.as_str() {
            "IN" if self.has_source => true,
            "ON" | "WHERE" => false,
            _ => self.in_source,
        };
    }

    /// Returns whether a word such as ASC, DESC or NULLS at this token belongs to an ORDER BY item, and is no name: it
    /// comes behind a complete expression, where no name can.
    fn is_direction(&self, i: usize) -> bool {
        let ends_expression = i > 0
            && match &self.tokens[i - 1].kind {
                TokenKind::Symbol(symbol) => matches!(*symbol, ")" | "]"),
                // A field may have the name of a keyword.
                TokenKind::Word(word) => {
                    !is_reserved(word) || ends_operand(word) || self.is_behind_separator(i - 1)
                }
                _ => true,
            };
        self.in_order && ends_expression
    }

    fn open_parenthesis(&mut self, i: usize) {
        // A call stands close to its parenthesis, a keyword or an operator does not.
        let is_call = i > 0
            && match &self.tokens[i - 1].kind {
                TokenKind::Word(word) => !is_reserved(word),
                TokenKind::QuotedName(_) => true,
                _ => false,
            };
        if !is_call {
            self.space();
        }
        self.out.push('(');

        let is_query = clause_at(&self.tokens[i + 1..]).is_some();
        self.open.push(is_query);
        if is_query {
            self.has_source = false;
            self.in_source = false;
        }
    }

    fn close_parenthesis(&mut self) {
        if self.open.pop() == Some(true) {
            self.line();
            self.in_order = false;
        }
        self.out.push(')');
        // Behind a subquery the clause goes on.
        self.in_source |= self.has_source && self.open.is_empty();
    }

    /// Writes a comma, and begins a line if the item behind it does not fit on this one.
    fn comma(&mut self, i: usize) {
        self.trim_blanks();
        self.out.push(',');

        // An item ends at the next comma or clause, wherever its line ended before.
        let rest = &self.tokens[i + 1..];
        let mut item_length = 0;
        for (at, token) in rest.iter().enumerate().take(LOOKAHEAD) {
            if token.is(",") || clause_at(&rest[at..]).is_some() {
                break;
            }
            item_length += token.span.len() + 1;
        }

        let outside = self.open.last().is_none_or(|is_query| *is_query);
        if outside && self.column() + item_length > self.width {
            self.continued_line();
        } else {
            self.space();
        }
    }

    /// Writes a blank where one belongs: names, patterns and signs are written without.
    fn separate(&mut self, i: usize) {
        let Some(before) = i.checked_sub(1).map(|before| &self.tokens[before]) else { return };
        let token = &self.tokens[i];
        let touches = before.span.end == token.span.start;

        let in_name = token.is_name_separator() || before.is_name_separator();
        let behind_sign = before.is("-") && (i == 1 || is_operator(&self.tokens[i - 2]));
        let in_pattern = self.in_source && touches && (token.is("*") || before.is("*"));
        let bracket = token.is("[") || before.is("[") || token.is("]");

        // What would become another token if it touched: a comment, or `::`.
        let written = &self.text[token.span.range()];
        let makes_comment = self.out.ends_with('-') && written.starts_with('-')
            || self.out.ends_with('/') && written.starts_with(['*', '/']);
        let makes_separator = !touches && self.out.ends_with(':') && written.starts_with(':');

        if makes_comment || makes_separator || !(in_name || behind_sign || in_pattern || bracket) {
            self.space();
        }
    }
}

/// Returns whether a minus behind the token is a sign.
fn is_operator(token: &Token<'_>) -> bool {
    match &token.kind {
        TokenKind::Symbol(symbol) => !matches!(*symbol, ")" | "]"),
        TokenKind::Word(word) => is_reserved(word),
        _ => false,
    }
}

/// Returns whether a keyword is the last word of an expression, or a value.
fn ends_operand(word: &str) -> bool {
    ["END", "NULL", "TRUE", "FALSE"].iter().any(|keyword| keyword.eq_ignore_ascii_case(word))
}

/// Returns a word that is no keyword as it is written: functions in their usual spelling, names as they are.
fn canonical_name(word: &str, next: Option<&Token<'_>>) -> String {
    let Some(function) = function(word) else { return word.to_owned() };

    // A function without its arguments is a name, but for COUNT.
    let has_arguments = next.is_some_and(|next| next.is("("));
    let has_count = next.is_some_and(|next| matches!(next.kind, TokenKind::Literal(_)));
    match function.kind {
        FunctionKind::Source | FunctionKind::SourceAlias if has_arguments || has_count => {
            function.name.to_owned()
        }
        FunctionKind::Aggregate if has_arguments || function.name == "COUNT" => word.to_ascii_uppercase(),
        FunctionKind::Scalar if has_arguments && function.name == "CAST" => function.name.to_owned(),
        _ => word.to_owned(),
    }
}
