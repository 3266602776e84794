//! The whole text of one statement: its tokens are checked as a whole, then parsed clause by clause.

use super::ast::AstQuery;
use super::clauses::parse_query;
use super::expressions::deepest;
use super::token_stream::TokenStream;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::lexical::{Token, TokenKind, tokens};
use crate::suggest::nearest;
use pivot_advice::Value;
use pivot_advice::expr::MAX_DEPTH;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// The values that stand for `$name` in a text.
pub(crate) type Params = BTreeMap<String, Value>;

/// The longest text of a query in bytes: what is written by a machine and longer is not meant.
const MAX_TEXT: usize = 1 << 17;
/// The most tokens of a query. Everything behind the lexer costs more for each of them.
const MAX_TOKENS: usize = 24_000;

/// Parses a text that holds exactly one statement. Returns `None` if nothing of it can be read; what is
/// wrong is in the diagnostics either way.
pub(crate) fn parse(text: &str, params: &Params, diagnostics: &mut Diagnostics) -> Option<AstQuery> {
    if text.len() > MAX_TEXT {
        diagnostics.push(too_long(text, text.len(), "bytes", MAX_TEXT));
        return None;
    }
    let mut tokens = significant_tokens(text, diagnostics);
    if tokens.len() > MAX_TOKENS {
        diagnostics.push(too_long(text, tokens.len(), "words and signs", MAX_TOKENS));
        return None;
    }

    for token in &mut tokens {
        substitute(token, params, diagnostics);
    }
    while tokens.last().is_some_and(|token| token.is(";")) {
        tokens.pop();
    }

    // The parsers recurse, so how deep tokens nest is known to be bounded before they run.
    if let Some(wrong) = wrong_as_a_whole(&tokens, text) {
        diagnostics.push(wrong);
        return None;
    }

    let nested = RefCell::new(Diagnostics::default());
    let end = text.trim_end().len();
    let query = parse_query(TokenStream { list: &tokens, end, diagnostics: &nested, parse_query });
    diagnostics.extend(nested.into_inner());
    Some(query)
}

fn too_long(text: &str, length: usize, unit: &str, limit: usize) -> Diagnostic {
    let wrong = Diagnostic::error(0..text.len(), format!("the query is {length} {unit} long"));
    wrong.detail(format!("at most {limit} are allowed")).hint("ask in several queries")
}

/// Returns the tokens without blanks and comments. Null stands in for what is malformed, so that the rest
/// of its clause can be read.
fn significant_tokens<'t>(text: &'t str, diagnostics: &mut Diagnostics) -> Vec<Token<'t>> {
    let mut significant = tokens(text);
    significant.retain_mut(|token| {
        if let Some(problem) = token.problem() {
            diagnostics.push(problem);
        }
        if token.is_trivia() {
            return false;
        }

        // The text is refused anyway; what stands around the mistake is still looked at.
        if let TokenKind::Malformed(_) = token.kind {
            token.kind = TokenKind::Literal(Value::Null);
        }
        true
    });
    significant
}

/// Turns a parameter into a literal, wherever one may stand.
fn substitute(token: &mut Token<'_>, params: &Params, diagnostics: &mut Diagnostics) {
    let TokenKind::Parameter(name) = token.kind else { return };
    let value = params.get(name).cloned();

    if value.is_none() {
        let wrong = Diagnostic::error(token.span, format!("parameter `${name}` has no value"));
        let known = params.keys().map(String::as_str);
        diagnostics.push(match nearest(name, known) {
            Some(found) => wrong.suggest(Some(format!("${found}"))),
            None => wrong.hint(format!("give it one: `--param {name}=..` or `\\set {name} ..`")),
        });
    }
    token.kind = TokenKind::Literal(value.unwrap_or_default());
}

/// Returns what keeps the tokens from being one statement, or `None` if nothing does.
fn wrong_as_a_whole(tokens: &[Token<'_>], text: &str) -> Option<Diagnostic> {
    let Some(last) = tokens.last() else {
        return Some(Diagnostic::error(0..text.len(), "the query is empty"));
    };

    if let Some(end) = tokens.iter().find(|token| token.is(";")) {
        let wrong = Diagnostic::error(end.span.start..last.span.end, "more than one statement");
        return Some(wrong.detail("a statement ends here").hint("compile one statement at a time"));
    }
    if let Some(span) = deepest(tokens, MAX_DEPTH) {
        return Some(Diagnostic::error(span, format!("nested deeper than {MAX_DEPTH}")));
    }
    unbalanced(tokens)
}

/// Returns the first parenthesis without a partner, or `None` if all have one. Clauses are found outside
/// of parentheses only, so these must balance first.
pub(crate) fn unbalanced(tokens: &[Token<'_>]) -> Option<Diagnostic> {
    let mut open = Vec::new();
    for token in tokens {
        if token.is("(") {
            open.push(token);
        } else if token.is(")") && open.pop().is_none() {
            return Some(Diagnostic::error(token.span, "`)` was never opened"));
        }
    }
    open.pop().map(|token| Diagnostic::error(token.span, "`(` is never closed"))
}
