//! One statement, checked before it is planned: it is the only one of its text, not too long, and only asks.
//!
//! This is the one guard of all doors. What it lets through is planned, and the plan is checked once more, since a
//! change may hide inside of a question.

use super::column_names::quote_columns;
use super::merged_calls::merge_states;
use super::mistakes::{mistake, place, unknown_table};
use super::statement_size::tables_read;
use datafusion::common::Span;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{self, ObjectName, TableFactor, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use pivot_query::{Diagnostic, Diagnostics};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// The most bytes of a text.
const MAX_BYTES: usize = 64 << 10;

/// The most words, numbers and signs of a text: what is planned is a tree of at most that depth.
const MAX_TOKENS: usize = 5_000;

/// The most signs of a text that stand for operators, and words that do: AND, OR, UNION and their like. Each of them may be
/// one more level of what is planned, and planning takes the square of that.
const MAX_OPERATORS: usize = 1_000;

/// The most tables that a statement reads: what WITH names and is used twice is read twice, and so is what that uses.
const MAX_TABLES: u64 = 1_000;

/// How deep a statement may be nested.
const MAX_DEPTH: usize = 50;

/// Why a statement is not answered.
#[derive(Debug)]
pub(super) enum StatementError {
    /// The text is wrong.
    Invalid(Diagnostics),
    /// Another reason, for which it could not be planned.
    Failed(DataFusionError),
}

impl StatementError {
    /// Returns an error that is about a text as a whole.
    fn whole(text: &str, message: String) -> StatementError {
        StatementError::Invalid(Diagnostic::error(0..text.len(), message).into())
    }

    /// Returns the error of a text.
    pub(super) fn of(text: &str, error: DataFusionError) -> StatementError {
        match mistake(text, error) {
            Ok(diagnostics) => StatementError::Invalid(diagnostics),
            Err(error) => StatementError::Failed(error),
        }
    }
}

/// Reads the one statement of a text, and checks that it only asks.
pub(super) fn read(text: &str) -> Result<Statement, StatementError> {
    if text.len() > MAX_BYTES {
        return Err(StatementError::whole(
            text,
            format!("the statement has more than {} KiB", MAX_BYTES >> 10),
        ));
    }

    // Signs are counted first: a statement of many would be a tree whose depth no parser bounds.
    let mut tokens = Tokenizer::new(&GenericDialect, text)
        .tokenize()
        .map_err(|wrong| StatementError::of(text, DataFusionError::SQL(Box::new(wrong.into()), None)))?;
    tokens.retain(|token| !matches!(token, Token::Whitespace(_)));
    if tokens.len() > MAX_TOKENS {
        return Err(StatementError::whole(
            text,
            format!("the statement has more than {MAX_TOKENS} words and signs"),
        ));
    }

    if tokens.iter().filter(|token| is_operator(token)).count() > MAX_OPERATORS {
        return Err(StatementError::whole(
            text,
            format!("the statement has more than {MAX_OPERATORS} operators"),
        ));
    }

    let parser = DFParserBuilder::new(text).with_dialect(&GenericDialect).with_recursion_limit(MAX_DEPTH);
    let statements = parser.build().and_then(|mut parser| parser.parse_statements());
    let mut statements = statements.map_err(|error| StatementError::of(text, error))?;
    match (statements.pop_front(), statements.len()) {
        (None, _) => Err(StatementError::whole(text, "there is no statement in the text".to_owned())),
        (Some(_), 1..) => Err(StatementError::whole(
            text,
            "there are several statements, and one is answered at a time".to_owned(),
        )),
        (Some(only), 0) if asks(&only) && tables_read(&only) > MAX_TABLES => Err(StatementError::whole(
            text,
            format!(
                "the statement reads more than {MAX_TABLES} tables, with all that it uses of WITH several times"
            ),
        )),
        (Some(only), 0) if asks(&only) => Ok(only),
        (Some(other), 0) => Err(StatementError::Invalid(refusal(text, &other).into())),
    }
}

/// Whether what is planned may be one level deeper for a word or sign.
fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            matches!(
                word.keyword,
                Keyword::AND | Keyword::OR | Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT
            ) || matches!(
                word.keyword,
                Keyword::JOIN | Keyword::IS | Keyword::LIKE | Keyword::NOT | Keyword::BETWEEN
            )
        }

        Token::Number(..) | Token::SingleQuotedString(_) | Token::Comma | Token::Period => false,
        Token::LParen | Token::RParen | Token::SemiColon => false,
        _ => true,
    }
}

/// Whether a statement asks for something, and does nothing else.
fn asks(statement: &Statement) -> bool {
    match statement {
        Statement::Statement(statement) => match &**statement {
            ast::Statement::Query(_)
            | ast::Statement::ExplainTable { .. }
            | ast::Statement::ShowTables { .. }
            | ast::Statement::ShowColumns { .. }
            | ast::Statement::ShowFunctions { .. }
            | ast::Statement::ShowVariable { .. } => true,
            ast::Statement::Explain { statement, .. } => matches!(**statement, ast::Statement::Query(_)),
            _ => false,
        },

        Statement::Explain(explain) => asks(&explain.statement),
        _ => false,
    }
}

fn refusal(text: &str, statement: &Statement) -> Diagnostic {
    let written = statement.to_string();
    let word = written.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    let end = text.trim_start().find(char::is_whitespace).unwrap_or(text.trim_start().len());
    let start = text.len() - text.trim_start().len();

    let mut diagnostic = Diagnostic::error(start..start + end, format!("{word} cannot be answered"));
    diagnostic.detail = match word.as_str() {
        "SET" | "RESET" => {
            "each statement stands alone, so there is nothing that a setting would hold for".to_owned()
        }
        _ => "SQL can only ask here, and change nothing".to_owned(),
    };
    diagnostic.hint = Some("ask with SELECT, WITH, VALUES, SHOW, DESCRIBE, or EXPLAIN of one".to_owned());
    diagnostic
}

/// Plans a statement, and checks once more that nothing in it changes anything.
pub(super) async fn plan(
    state: &SessionState,
    text: &str,
    mut statement: Statement,
    tables: &[String],
) -> Result<LogicalPlan, StatementError> {
    if let Some(unknown) = unknown_tables(state, text, &statement, tables).await {
        return Err(StatementError::Invalid(unknown));
    }
    quote_columns(state, &mut statement).await;
    merge_states(&mut statement, &|name| state.aggregate_functions().contains_key(name));
    let plan = state.statement_to_plan(statement).await.map_err(|error| StatementError::of(text, error))?;

    let only_asks =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    only_asks.verify_plan(&plan).map_err(|error| StatementError::of(text, error))?;
    Ok(plan)
}

/// Returns which tables of a statement there are not, or `None` if all are there.
async fn unknown_tables(
    state: &SessionState,
    text: &str,
    statement: &Statement,
    tables: &[String],
) -> Option<Diagnostics> {
    let named = NamedTables::of(statement);
    let mut unknown = HashSet::new();
    for reference in state.resolve_table_references(statement).ok()? {
        if named.functions.contains(&reference.to_string()) {
            continue;
        }
        let schema = state.schema_for_ref(reference.clone());
        let name = reference.table().to_owned();
        if schema.map_or(true, |schema| !schema.table_exist(&name)) {
            unknown.insert(reference.to_string());
        }
    }
    if unknown.is_empty() {
        return None;
    }

    let mut found = Diagnostics::default();
    for name in named.tables {
        let written = name.to_string();
        let is_unknown =
            unknown.iter().any(|unknown| unknown.eq_ignore_ascii_case(&written.replace('"', "")));
        if is_unknown && let Some(span) = span(text, &name) {
            found.push(unknown_table(span, &written.replace('"', ""), tables));
        }
    }

    // Where the parser does not say where a name stands.
    if found.is_empty() {
        unknown.iter().for_each(|name| found.push(unknown_table(0..text.len(), name, tables)));
    }
    Some(found)
}

/// The tables and functions that a statement names behind FROM and JOIN.
#[derive(Debug, Default)]
struct NamedTables {
    /// In the order of the text.
    tables: Vec<ObjectName>,
    /// In small letters.
    functions: HashSet<String>,
}

impl NamedTables {
    fn of(statement: &Statement) -> NamedTables {
        let mut named = NamedTables::default();
        let mut rest = Some(statement);
        while let Some(statement) = rest.take() {
            match statement {
                Statement::Explain(explain) => rest = Some(&explain.statement),
                Statement::Statement(statement) => drop(statement.visit(&mut named)),
                _ => {}
            }
        }
        named
    }
}

impl Visitor for NamedTables {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, args: None, .. } => self.tables.push(name.clone()),
            TableFactor::Table { name, .. } | TableFactor::Function { name, .. } => {
                self.functions.insert(name.to_string().to_lowercase());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Returns where a name stands in the text.
fn span(text: &str, name: &ObjectName) -> Option<std::ops::Range<usize>> {
    let parts = name.0.iter().filter_map(|part| Span::try_from_sqlparser_span(part.as_ident()?.span));
    let whole = parts.reduce(|a, b| a.union(&b))?;
    Some(place(text, whole))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refused(text: &str) -> String {
        match read(text) {
            Err(StatementError::Invalid(found)) => found.to_string(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn questions_are_read() {
        for text in [
            "SELECT 1",
            "select 1;",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "VALUES (1), (2)",
            "SHOW TABLES",
            "SHOW COLUMNS FROM pivot.queries",
            "DESCRIBE pivot.queries",
            "EXPLAIN SELECT 1",
            "EXPLAIN ANALYZE SELECT 1",
            "EXPLAIN VERBOSE SELECT 1",
        ] {
            assert!(read(text).is_ok(), "{text}: {}", refused(text));
        }
    }

    #[test]
    fn what_changes_anything_is_refused() {
        for text in [
            "CREATE TABLE t (x INT)",
            "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
            "DROP TABLE q7",
            "INSERT INTO q7 VALUES (1)",
            "DELETE FROM q7",
            "UPDATE q7 SET x = 1",
            "COPY (SELECT 1) TO '/tmp/x.csv'",
            "COPY q7 TO '/tmp/x.csv'",
            "SET datafusion.execution.batch_size = 1",
            "RESET datafusion.execution.batch_size",
            "PREPARE p AS SELECT 1",
            "EXECUTE p",
            "BEGIN",
            "EXPLAIN COPY (SELECT 1) TO '/tmp/x.csv'",
            "EXPLAIN INSERT INTO q7 VALUES (1)",
        ] {
            assert!(refused(text).contains("cannot be answered"), "{text}: {}", refused(text));
        }
        assert!(refused("SELECT 1; SELECT 2").contains("several statements"));
        assert!(refused(" -- nothing").contains("no statement"));
    }

    #[test]
    fn a_mistake_has_its_place() {
        let Err(StatementError::Invalid(found)) = read("SELECT 1\nFORM x") else { panic!("it is wrong") };
        let first = found.iter().next().unwrap();
        assert!(first.message.starts_with("this is no SQL"), "{}", first.message);
        assert_eq!(&"SELECT 1\nFORM x"[first.span.clone()], "x");
    }

    #[test]
    fn a_statement_of_any_size_is_answered_or_refused() {
        assert!(refused(&format!("SELECT {}1", "(".repeat(2_000))).contains("nested too deeply"));
        assert!(refused(&format!("SELECT 1{}", "+1".repeat(10_000))).contains("words and signs"));
        assert!(refused(&format!("SELECT 1{}", "+1".repeat(2_000))).contains("operators"));
        assert!(refused(&format!("SELECT '{}'", "x".repeat(MAX_BYTES))).contains("KiB"));
    }
}
