//! Columns whose names need quotes, written without them.
//!
//! ```text
//! SELECT e.host, SUM(e.delta) FROM q7        as in the query that q7 is of
//!        ▼
//! SELECT "e.host", "SUM(e.delta)" FROM q7    what SQL would have to be told
//! ```
//!
//! What can be meant in another way is left alone: `e.host` where `e` is a table, `max(x)` where `x` is a column.

use super::mistakes::quoted;
use datafusion::common::TableReference;
use datafusion::execution::session_state::SessionState;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, TableFactor, Value, Visit,
    VisitMut, Visitor, VisitorMut,
};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// Puts quotes around the columns of a statement's tables that need them.
pub(super) async fn quote_columns(state: &SessionState, statement: &mut Statement) {
    let Some(inner) = inner_statement(statement) else { return };
    let mut names = TableNames::default();
    let _ = Visit::visit(&*inner, &mut names);

    let mut columns = KnownColumns::default();
    for table in &names.tables {
        let reference = TableReference::parse_str(table);
        let Ok(schema) = state.schema_for_ref(reference.clone()) else { continue };
        // A table that there is not is told elsewhere.
        let Ok(Some(table)) = schema.table(reference.table()).await else { continue };
        columns.all.extend(table.schema().fields().iter().map(|field| field.name().clone()));
    }
    columns.tables = names.aliases;

    if columns.all.iter().any(|name| quoted(name) != *name) {
        let _ = VisitMut::visit(inner, &mut columns);
    }
}

/// Returns the statement that an EXPLAIN is of, or the statement itself.
fn inner_statement(statement: &mut Statement) -> Option<&mut datafusion::sql::sqlparser::ast::Statement> {
    match statement {
        Statement::Statement(statement) => Some(&mut **statement),
        Statement::Explain(explain) => inner_statement(&mut explain.statement),
        _ => None,
    }
}

/// The tables of a statement, and the names under which their columns may be written.
#[derive(Debug, Default)]
struct TableNames {
    tables: HashSet<String>,
    aliases: HashSet<String>,
}

impl Visitor for TableNames {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, alias, args, .. } = factor else { return ControlFlow::Continue(()) };
        if let Some(alias) = alias {
            self.aliases.insert(alias.name.value.to_lowercase());
        }

        let Some(args) = args else {
            self.aliases.extend(name.0.last().and_then(|part| Some(part.as_ident()?.value.to_lowercase())));
            self.tables.insert(name.to_string());
            return ControlFlow::Continue(());
        };
        // The columns of `range('q7', ..)` are those of q7.
        if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(first)))) = args.args.first()
            && let Value::SingleQuotedString(table) = &first.value
        {
            self.tables.insert(quoted(table));
        }
        ControlFlow::Continue(())
    }
}

/// The columns that there are.
#[derive(Debug, Default)]
struct KnownColumns {
    all: HashSet<String>,
    /// Tables and their other names, in small letters.
    tables: HashSet<String>,
}

impl VisitorMut for KnownColumns {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let replaced = match expr {
            Expr::Identifier(name) if self.is_meant(name) => Some(Expr::Identifier(in_quotes(&name.value))),
            Expr::CompoundIdentifier(parts) => self.of_parts(parts),
            Expr::Function(call) => self.of_call(call).map(|name| Expr::Identifier(in_quotes(&name))),
            _ => None,
        };
        if let Some(replaced) = replaced {
            *expr = replaced;
        }
        ControlFlow::Continue(())
    }
}

impl KnownColumns {
    fn is_meant(&self, name: &Ident) -> bool {
        name.quote_style.is_none() && self.all.contains(&name.value)
    }

    /// Returns the column that parts with points between them are, behind the name of a table or not.
    fn of_parts(&self, parts: &[Ident]) -> Option<Expr> {
        if parts.iter().any(|part| part.quote_style.is_some()) {
            return None;
        }

        let whole = joined(parts);
        let is_of_table = parts.len() > 1 && self.tables.contains(&parts[0].value.to_lowercase());
        if self.all.contains(&whole) && !(is_of_table && self.all.contains(&joined(&parts[1..]))) {
            return Some(Expr::Identifier(in_quotes(&whole)));
        }
        let start = (1..parts.len()).find(|start| self.all.contains(&joined(&parts[*start..])))?;
        let table = parts[..start].iter().cloned();
        Some(Expr::CompoundIdentifier(table.chain([in_quotes(&joined(&parts[start..]))]).collect()))
    }

    /// Returns the column that is named like a call, unless the call itself can be meant.
    fn of_call(&self, call: &Function) -> Option<String> {
        let FunctionArguments::List(arguments) = &call.args else { return None };
        let first = arguments.args.first()?.to_string();
        if self.all.contains(&first) || call.over.is_some() || call.filter.is_some() {
            return None;
        }
        let written = call.to_string();
        self.all.iter().find(|name| name.eq_ignore_ascii_case(&written)).cloned()
    }
}

/// Returns parts with points between them.
fn joined(parts: &[Ident]) -> String {
    parts.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join(".")
}

fn in_quotes(name: &str) -> Ident {
    Ident::with_quote('"', name)
}
