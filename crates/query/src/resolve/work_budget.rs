//! A bound on the work of resolving one query, counted and not timed.
//!
//! Named queries are written out where they are used, so a text of a few hundred bytes can stand for
//! millions of queries: `a1 AS (FROM x IN a0, a0 ..), a2 AS (FROM x IN a1, a1 ..), ..` doubles with each
//! definition. Whatever grows is counted before it is built; what follows the resolver costs a small
//! power of these numbers.

use crate::diagnostic::Diagnostic;
use crate::syntax::ast::TextSpan;

/// The kinds of work of the resolver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResolverWork {
    /// A query written out where it is used.
    Query,
    /// A source of its own steps: each subquery or pattern in a union.
    Member,
    /// A tracepoint of a stage.
    Tracepoint,
    /// A step of a member: a LET, a condition, a join.
    Step,
    /// A part of an expression that is resolved, or copied into a step; a name costs more among many.
    Expression,
}

/// Finding a name among this many costs as much as resolving another part of an expression.
const NAMES_PER_PART: usize = 32;

/// Returns the cost of finding a name among others, one after the other.
pub(super) fn lookup_cost(names: usize) -> usize {
    1 + names / NAMES_PER_PART
}

impl ResolverWork {
    /// Returns the most that one query may use.
    fn limit(self) -> usize {
        match self {
            ResolverWork::Query | ResolverWork::Member => 256,
            ResolverWork::Tracepoint | ResolverWork::Step => 4_096,
            ResolverWork::Expression => 1 << 16,
        }
    }

    fn noun(self) -> &'static str {
        match self {
            ResolverWork::Query => "queries",
            ResolverWork::Member => "sources",
            ResolverWork::Tracepoint => "tracepoints",
            ResolverWork::Step => "steps",
            ResolverWork::Expression => "parts of expressions",
        }
    }
}

/// The work that a query has used so far, of each kind.
#[derive(Debug, Default)]
pub(super) struct WorkBudget {
    used: [usize; 5],
    exhausted: bool,
}

impl WorkBudget {
    /// Uses up some work. Returns why that is too much, once: afterwards the budget is exhausted.
    pub(super) fn spend(&mut self, work: ResolverWork, amount: usize, span: TextSpan) -> Option<Diagnostic> {
        let used = &mut self.used[work as usize];
        *used = used.saturating_add(amount);
        if self.exhausted || *used <= work.limit() {
            return None;
        }
        self.exhausted = true;

        let limit = work.limit();
        // Only the first limit is reported: the others follow from the same cause.
        let wrong = format!("the query holds more than {limit} {} once it is written out", work.noun());
        let wrong = Diagnostic::error(span, wrong).detail("the limit is reached here");
        Some(wrong.hint("a query is written out each time that it is used as a source: use it less often, or split the statement"))
    }

    /// Returns whether nothing is left: then the query does not compile, and resolving it can stop.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted
    }
}
