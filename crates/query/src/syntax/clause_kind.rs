//! Which clause a word begins, and where clauses may stand.

use crate::lexical::{ClauseKind, KEYWORDS, KeywordReservation, Token, TokenKind};
use crate::suggest::nearest;

impl ClauseKind {
    /// Returns where the clause stands among the others; clauses of one rank may mix.
    pub(crate) fn rank(self) -> u8 {
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
            ClauseKind::Every
            | ClauseKind::For
            | ClauseKind::Within
            | ClauseKind::Keep
            | ClauseKind::Into => 10,
        }
    }

    /// Returns whether the clause names a source.
    pub(crate) fn has_source(self) -> bool {
        matches!(self, ClauseKind::From | ClauseKind::Join | ClauseKind::LeftJoin | ClauseKind::AntiJoin)
    }

    /// Returns whether a query may have several clauses of this kind.
    pub(super) fn may_repeat(self) -> bool {
        self.rank() == 2 || self.rank() == 3
    }
}

/// Returns the clause that tokens begin with and how many tokens name it, or `None` if they begin none.
///
/// `GROUP` without `BY` is the clause, too: that BY is missing is reported where the clause is read. `Within.hit` and
/// `order IN` begin none: they are meant as names, and what is wrong with them is reported where they stand.
pub(crate) fn clause_at(tokens: &[Token<'_>]) -> Option<(ClauseKind, usize)> {
    let TokenKind::Word(first) = &tokens.first()?.kind else { return None };
    if begins_name(tokens) {
        return None;
    }

    let mut without_second = None;
    for keyword in KEYWORDS {
        let KeywordReservation::Clause(kind) = keyword.role else { continue };
        let mut words = keyword.text.split(' ');
        if !words.next().is_some_and(|word| word.eq_ignore_ascii_case(first)) {
            continue;
        }
        // `LEFT` alone may be the name of something, `GROUP` alone may not.
        match words.next() {
            None => return Some((kind, 1)),
            Some(second) if tokens.get(1).is_some_and(|token| token.is_word(second)) => {
                return Some((kind, 2));
            }
            Some("BY") => without_second = Some((kind, 1)),
            Some(_) => {}
        }
    }
    without_second
}

/// Returns whether the first token can only be meant as a name: another segment follows, or it is an alias.
fn begins_name(tokens: &[Token<'_>]) -> bool {
    let [_, next, rest @ ..] = tokens else { return false };
    let is_segment = rest.first().is_some_and(|segment| {
        matches!(segment.kind, TokenKind::Word(_) | TokenKind::QuotedName(_)) || segment.is("*")
    });
    ((next.is(".") || next.is("::")) && is_segment) || next.is_word("IN") || next.is("->")
}

/// Returns the clause that the misspelt word means that tokens begin with, or `None` if the word is near none.
pub(crate) fn misspelt_clause(tokens: &[Token<'_>]) -> Option<ClauseKind> {
    let TokenKind::Word(word) = &tokens.first()?.kind else { return None };
    // A keyword that is written as it should be stands where no clause begins, such as inside of parentheses.
    if begins_name(tokens) || KEYWORDS.iter().any(|keyword| keyword.text.eq_ignore_ascii_case(word)) {
        return None;
    }

    // Near FOR and LET are too many names. GROUP is no typo of another word, ORDER is one of names.
    let single_word = KEYWORDS.iter().filter_map(|keyword| match keyword.role {
        KeywordReservation::Clause(kind) if !keyword.text.contains(' ') && keyword.text.len() > 3 => {
            Some((keyword.text, kind))
        }
        _ => None,
    });
    let known: Vec<(&str, ClauseKind)> = single_word.chain([("GROUP", ClauseKind::GroupBy)]).collect();

    let meant = nearest(word, known.iter().map(|(text, _)| *text))?;
    known.into_iter().find(|(text, _)| *text == meant).map(|(_, kind)| kind)
}
