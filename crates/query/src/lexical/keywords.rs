//! The one table of keywords: for the parser, the formatter, colours and completion.

/// A keyword, as it is written and offered: `GROUP BY` is one keyword of two words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyword {
    /// The keyword in capitals.
    pub text: &'static str,
    pub(crate) role: KeywordReservation,
}

/// Whether the words of a keyword are reserved, or may also be names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeywordReservation {
    /// Begins a clause; reserved.
    Clause(ClauseKind),
    /// Stands inside of clauses and expressions; reserved.
    Reserved,
    /// Has a meaning in one place of the grammar, and may be a name everywhere else.
    Contextual,
    /// Stands before a statement, and is no word of the language.
    Statement,
}

/// The clauses, in the order in which they may stand; SELECT may also come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ClauseKind {
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
    Keep,
    Into,
}

const fn clause(text: &'static str, kind: ClauseKind) -> Keyword {
    Keyword { text, role: KeywordReservation::Clause(kind) }
}

const fn reserved(text: &'static str) -> Keyword {
    Keyword { text, role: KeywordReservation::Reserved }
}

const fn contextual(text: &'static str) -> Keyword {
    Keyword { text, role: KeywordReservation::Contextual }
}

const fn statement(text: &'static str) -> Keyword {
    Keyword { text, role: KeywordReservation::Statement }
}

/// All keywords, in the order in which they are offered for completion.
pub const KEYWORDS: [Keyword; 44] = [
    clause("FROM", ClauseKind::From),
    reserved("IN"),
    clause("JOIN", ClauseKind::Join),
    clause("LEFT JOIN", ClauseKind::LeftJoin),
    clause("ANTI JOIN", ClauseKind::AntiJoin),
    reserved("ON"),
    clause("WHERE", ClauseKind::Where),
    clause("GROUP BY", ClauseKind::GroupBy),
    clause("SELECT", ClauseKind::Select),
    reserved("DISTINCT"),
    reserved("AS"),
    reserved("AND"),
    reserved("OR"),
    reserved("NOT"),
    clause("LET", ClauseKind::Let),
    reserved("IS"),
    reserved("NULL"),
    reserved("LIKE"),
    reserved("BETWEEN"),
    reserved("CASE"),
    reserved("WHEN"),
    reserved("THEN"),
    reserved("ELSE"),
    reserved("END"),
    clause("HAVING", ClauseKind::Having),
    clause("ORDER BY", ClauseKind::OrderBy),
    contextual("ASC"),
    contextual("DESC"),
    contextual("NULLS FIRST"),
    contextual("NULLS LAST"),
    clause("LIMIT", ClauseKind::Limit),
    clause("SAMPLE", ClauseKind::Sample),
    clause("EVERY", ClauseKind::Every),
    clause("FOR", ClauseKind::For),
    clause("WITHIN", ClauseKind::Within),
    clause("KEEP", ClauseKind::Keep),
    clause("INTO", ClauseKind::Into),
    clause("WITH", ClauseKind::With),
    reserved("TRUE"),
    reserved("FALSE"),
    statement("EXPLAIN"),
    statement("ANALYZE"),
    // Second spellings, as in the paper.
    clause("GROUPBY", ClauseKind::GroupBy),
    clause("ORDERBY", ClauseKind::OrderBy),
];

impl Keyword {
    /// Returns whether this is the preferred spelling of the keyword, the one to offer.
    pub fn is_preferred(&self) -> bool {
        !matches!(self.text, "GROUPBY" | "ORDERBY")
    }

    /// Returns whether a word is the keyword or one of its words, in any case.
    fn has_word(&self, word: &str) -> bool {
        self.text.split(' ').any(|known| known.eq_ignore_ascii_case(word))
    }
}

impl ClauseKind {
    /// Returns the keyword that begins the clause.
    pub(crate) fn keyword(self) -> &'static str {
        let found = KEYWORDS.iter().find(|keyword| keyword.role == KeywordReservation::Clause(self));
        found.map_or("", |keyword| keyword.text)
    }
}

/// Returns whether a word belongs to a keyword of any role.
pub(crate) fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().any(|keyword| keyword.has_word(word))
}

/// Returns whether a word cannot be a name where an expression or a name is expected.
pub(crate) fn is_reserved(word: &str) -> bool {
    KEYWORDS.iter().any(|keyword| {
        matches!(keyword.role, KeywordReservation::Clause(_) | KeywordReservation::Reserved)
            && keyword.has_word(word)
    })
}

/// Returns whether a word is a keyword in one place of the grammar, and may be a name everywhere else.
pub(crate) fn is_contextual(word: &str) -> bool {
    KEYWORDS.iter().any(|keyword| keyword.role == KeywordReservation::Contextual && keyword.has_word(word))
}
