//! All quick fixes that are known, and where each is looked for.

use super::fix::QuickFix;
use super::written_query::WrittenQuery;
use super::{
    arrows, clauses, comma_sources, conditions, foreign_functions, foreign_joins, foreign_sources,
    keyword_names, nested_queries, operators, other_languages, parameters, points_in_time, quotes,
    select_names, units,
};
use crate::catalog::Catalog;

/// Whether a fix is used because a diagnostic is where it is, or only if the query then compiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FixCertainty {
    /// What stands there has no other meaning.
    Certain,
    /// What stands there may be right, and something else wrong.
    Guess,
}

/// Returns the fixes that the text has a place for, at each place the first of those that fit.
pub(super) fn quick_fixes(
    query: &WrittenQuery<'_>,
    catalog: &Catalog,
    certainty: FixCertainty,
) -> Vec<QuickFix> {
    if certainty == FixCertainty::Guess {
        let guesses = operators::guesses(query).into_iter();
        return guesses.chain(clauses::guesses(query)).collect();
    }
    if let Some(translated) = other_languages::translated(query) {
        return vec![translated];
    }

    let mut found = Vec::new();
    for at in 0..query.tokens.len() {
        points_in_time::at(query, at, &mut found);
        let fix = operators::at(query, at)
            .or_else(|| parameters::at(query, at))
            .or_else(|| quotes::at(query, at))
            .or_else(|| nested_queries::at(query, at))
            .or_else(|| conditions::at(query, at))
            .or_else(|| foreign_functions::at(query, at));
        found.extend(fix);
        found.extend(units::at(query, at));
    }
    for tokens in query.queries() {
        let written = query.clauses(tokens.clone());
        keyword_names::of_query(query, &written, &mut found);
        comma_sources::of_query(query, &written, &mut found);
        comma_sources::of_choices(query, &written, &mut found);
        foreign_joins::of_query(query, &written, &mut found);
        foreign_sources::of_query(query, &written, &mut found);
        arrows::of_query(query, &written, &mut found);
        conditions::of_query(query, &written, &mut found);
        select_names::of_query(query, &written, &mut found);
        clauses::of_query(query, tokens, &written, catalog, &mut found);
    }
    found
}
