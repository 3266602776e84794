//! The candidates of Tab in a statement of SQL: tables behind FROM and JOIN, else their columns, functions and keywords.

use super::known_names::KnownTable;

/// The words behind which a table stands.
const BEFORE_TABLES: [&str; 4] = ["from", "join", "describe", "desc"];

/// Keywords of SQL that are worth a Tab.
const KEYWORDS: [&str; 22] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "HAVING",
    "ORDER BY",
    "LIMIT",
    "OFFSET",
    "JOIN",
    "LEFT JOIN",
    "ON",
    "AS",
    "AND",
    "OR",
    "NOT",
    "IN",
    "BETWEEN",
    "DISTINCT",
    "DESC",
    "UNION ALL",
    "INTERVAL",
    "TABLES",
];

/// Functions with what they are for; of those that SQL has anyway the most common ones.
const FUNCTIONS: [(&str, &str); 14] = [
    ("quantile(", "the value below which a fraction of those behind a state lies"),
    ("count_distinct(", "how many different values are behind a state"),
    ("topk(", "the most frequent values behind a state"),
    ("hist(", "the buckets of a state"),
    ("merge(", "the state of all rows behind several states"),
    ("range(", "the windows of a query in a time as if they had been one"),
    ("count(", ""),
    ("sum(", ""),
    ("min(", ""),
    ("max(", ""),
    ("avg(", ""),
    ("date_trunc(", "the beginning of the minute, hour or day"),
    ("now()", "the time at which the statement began"),
    ("generate_series(", "a row for each number or time"),
];

/// A text that could stand at the cursor, with what it is.
pub(super) struct SqlCandidate {
    pub(super) text: String,
    pub(super) description: String,
}

/// Returns what could stand behind a text, in a line of which it is the part before the word at the cursor.
pub(super) fn candidates(before: &str, line: &str, tables: &[KnownTable]) -> Vec<SqlCandidate> {
    let previous = before.split_whitespace().next_back().unwrap_or_default().to_lowercase();
    if BEFORE_TABLES.contains(&previous.as_str()) {
        let tables = tables.iter();
        return tables
            .map(|table| SqlCandidate { text: table.name.clone(), description: table.columns.join(", ") })
            .collect();
    }

    let mut found = Vec::new();
    for table in tables.iter().filter(|table| mentions(line, &table.name)) {
        for column in &table.columns {
            found.push(SqlCandidate { text: column.clone(), description: table.name.clone() });
        }
    }
    found.extend(
        KEYWORDS.iter().map(|word| SqlCandidate { text: (*word).to_owned(), description: String::new() }),
    );
    for (text, description) in FUNCTIONS {
        found.push(SqlCandidate { text: text.to_owned(), description: description.to_owned() });
    }
    found
}

/// Whether a line names a table behind a word for it.
fn mentions(line: &str, table: &str) -> bool {
    let words: Vec<&str> =
        line.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')')).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.windows(2).any(|pair| {
        let is_before = BEFORE_TABLES.contains(&pair[0].to_lowercase().as_str());
        is_before && pair[1].eq_ignore_ascii_case(table)
    })
}
