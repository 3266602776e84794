//! The whole text of one statement.

use super::ast::AstQuery;
use super::clauses::query_of;
use super::expressions::deepest;
use super::token_stream::TokenStream;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::lexical::{Token, TokenKind, tokens};
use crate::suggest::nearest;
use pivot_advice::Value;
use pivot_advice::expr::MAX_DEPTH;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What stands for `$name` in a text.
pub(crate) type Params = BTreeMap<String, Value>;

/// Parses a text that holds exactly one statement; none if there is nothing to go on with.
pub(crate) fn parse(text: &str, params: &Params, diagnostics: &mut Diagnostics) -> Option<AstQuery> {
    let mut list = tokens(text, diagnostics);
    list.iter_mut().for_each(|token| substitute(token, params, diagnostics));
    while list.last().is_some_and(|token| token.is(";")) {
        list.pop();
    }
    let wrong = if list.is_empty() {
        Some(Diagnostic::error(0..text.len(), "the query is empty"))
    } else if let Some(end) = list.iter().position(|token| token.is(";")) {
        let span = list[end].span.start..list[list.len() - 1].span.end;
        let wrong = Diagnostic::error(span, "more than one statement");
        Some(wrong.detail("a statement ends here").hint("compile one statement at a time"))
    } else {
        let limit = format!("nested deeper than {MAX_DEPTH}");
        deepest(&list, MAX_DEPTH).map(|span| Diagnostic::error(span, limit))
    };
    if let Some(wrong) = wrong.or_else(|| unbalanced(&list)) {
        diagnostics.push(wrong);
        return None;
    }
    let nested = RefCell::new(Diagnostics::default());
    let query = query_of(TokenStream { list: &list, end: text.trim_end().len(), diagnostics: &nested });
    diagnostics.extend(nested.into_inner());
    Some(query)
}

/// A parameter is a literal from here on, wherever one may stand.
fn substitute(token: &mut Token, params: &Params, diagnostics: &mut Diagnostics) {
    let TokenKind::Param(name) = &token.kind else { return };
    let value = params.get(name).cloned();
    if value.is_none() {
        let wrong = Diagnostic::error(token.span.clone(), format!("parameter `${name}` has no value"));
        let known = params.keys().map(String::as_str);
        diagnostics.push(match nearest(name, known) {
            Some(found) => wrong.suggest(Some(format!("${found}"))),
            None => wrong.hint(format!("give it one: `--param {name}=..` or `\\set {name} ..`")),
        });
    }
    token.kind = TokenKind::Literal(value.unwrap_or_default());
}

/// Clauses are found outside parentheses only, so these must balance first.
pub(crate) fn unbalanced(list: &[crate::lexical::Token]) -> Option<Diagnostic> {
    let mut open = Vec::new();
    for token in list {
        if token.is("(") {
            open.push(token);
        } else if token.is(")") && open.pop().is_none() {
            return Some(Diagnostic::error(token.span.clone(), "`)` was never opened"));
        }
    }
    open.pop().map(|token| Diagnostic::error(token.span.clone(), "`(` is never closed"))
}
