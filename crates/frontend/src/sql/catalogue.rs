//! The tables that a statement can ask: `pivot.queries` and its like, and one for each query.
//!
//! ```text
//! errors        the newest query of that name, window by window and group by group
//! errors@3      query 3, as an earlier one of that name, or also the newest
//! q7            query 7, which has no name
//! q7$revisions  each state that a window had, if late rows changed it
//! q7$states     the keys of groups, and the states of their aggregates
//! ```

use super::mistakes::quoted;
use super::system_tables::SystemTable;
use super::window_source::{HistoryQuery, WindowRevisions, WindowSource, WindowSourceError};
use super::window_table::WindowTable;
use crate::shared_state::SharedState;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::TableType;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tonic::async_trait;

/// The table of the windows of all queries.
const WINDOWS: &str = "windows";

/// All tables, as they are when a statement is read.
#[derive(Debug)]
pub(super) struct SqlCatalogue {
    system: Arc<SystemSchema>,
    queries: Arc<QuerySchema>,
}

impl SqlCatalogue {
    /// The name of the catalogue, which is also that of the schema of its system tables.
    pub(super) const NAME: &str = "pivot";

    /// The schema of tables without a schema before their name.
    pub(super) const DEFAULT_SCHEMA: &str = "public";

    /// Makes the catalogue of a frontend whose windows a source has.
    pub(super) async fn new(
        shared: &Arc<SharedState>,
        source: Arc<dyn WindowSource>,
    ) -> Result<SqlCatalogue, WindowSourceError> {
        let queries = Arc::new(QuerySchema::new(source.queries().await?, source));
        Ok(SqlCatalogue {
            system: Arc::new(SystemSchema { shared: shared.clone(), queries: queries.clone() }),
            queries,
        })
    }

    /// Returns the schema of queries.
    pub(super) fn queries(&self) -> &Arc<QuerySchema> {
        &self.queries
    }

    /// Returns the names of all tables as they are written in a statement.
    pub(super) fn written_names(&self) -> Vec<String> {
        let system = self.system.table_names().into_iter();
        let mut names: Vec<String> = system.map(|name| format!("{}.{name}", SqlCatalogue::NAME)).collect();
        names.extend(self.queries.listed.iter().map(|(name, _)| quoted(name)));
        names
    }
}

impl CatalogProvider for SqlCatalogue {
    fn schema_names(&self) -> Vec<String> {
        vec![SqlCatalogue::NAME.to_owned(), SqlCatalogue::DEFAULT_SCHEMA.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        match name {
            SqlCatalogue::NAME => Some(self.system.clone()),
            SqlCatalogue::DEFAULT_SCHEMA => Some(self.queries.clone()),
            _ => None,
        }
    }
}

/// The schema `pivot`.
#[derive(Debug)]
struct SystemSchema {
    shared: Arc<SharedState>,
    queries: Arc<QuerySchema>,
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        let own = SystemTable::ALL.map(SystemTable::name);
        own.into_iter().chain([WINDOWS]).map(str::to_owned).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if name == WINDOWS {
            let QuerySchema { source, listed, .. } = &*self.queries;
            let queries = listed.iter().map(|(_, query)| query.clone()).collect();
            return Ok(Some(Arc::new(WindowTable::of_windows(source.clone(), queries))));
        }
        let Some(table) = SystemTable::find(name) else { return Ok(None) };
        Ok(Some(Arc::new(table.snapshot(&self.shared)?)))
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(self.table_exist(name).then_some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        name == WINDOWS || SystemTable::find(name).is_some()
    }
}

/// The view of a query that a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TableView {
    Windows,
    Revisions,
    States,
}

impl TableView {
    /// All of them, the one that has no name of its own first.
    const ALL: [TableView; 3] = [TableView::Windows, TableView::Revisions, TableView::States];

    /// Returns what stands behind the name of the query.
    fn suffix(self) -> &'static str {
        match self {
            TableView::Windows => "",
            TableView::Revisions => "$revisions",
            TableView::States => "$states",
        }
    }
}

/// The schema of queries.
#[derive(Debug)]
pub(super) struct QuerySchema {
    pub(super) source: Arc<dyn WindowSource>,
    /// The names under which queries are listed.
    listed: Vec<(String, HistoryQuery)>,
    /// These and all others under which a query is found.
    found: HashMap<String, HistoryQuery>,
    /// The tables that were made: a statement looks for each several times.
    made: Mutex<HashMap<String, Arc<dyn TableProvider>>>,
}

impl QuerySchema {
    /// Names queries: the newest of a name has it, and each its number.
    fn new(mut queries: Vec<HistoryQuery>, source: Arc<dyn WindowSource>) -> QuerySchema {
        queries.sort_by_key(|query| query.number);
        let newest: HashMap<&str, u32> =
            queries.iter().map(|query| (query.name.as_str(), query.number)).collect();

        let (mut listed, mut found) = (Vec::new(), HashMap::new());
        for query in &queries {
            let by_number = format!("q{}", query.number);
            let name = match query.name.as_str() {
                "" => by_number.clone(),
                name if newest.get(name) == Some(&query.number) => name.to_owned(),
                name => format!("{name}@{}", query.number),
            };
            // A name that somebody has given comes before a number.
            found.entry(by_number).or_insert_with(|| query.clone());
            if !query.name.is_empty() {
                found.insert(format!("{}@{}", query.name, query.number), query.clone());
            }
            listed.push((name, query.clone()));
        }
        for (name, query) in listed.iter().filter(|(_, query)| !query.name.is_empty()) {
            found.insert(name.clone(), query.clone());
        }
        QuerySchema { source, listed, found, made: Mutex::default() }
    }

    fn made(&self) -> MutexGuard<'_, HashMap<String, Arc<dyn TableProvider>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the query of a name and how it is looked at.
    fn find(&self, name: &str) -> Option<(&HistoryQuery, TableView)> {
        let mut views = TableView::ALL.into_iter();
        views.find_map(|view| Some((self.find_query(name.strip_suffix(view.suffix())?)?, view)))
    }

    /// Returns the query of a name. Names in a statement are in small letters unless they are quoted, so a name is also
    /// found by its letters, the newest if there are several.
    pub(super) fn find_query(&self, name: &str) -> Option<&HistoryQuery> {
        self.found.get(name).or_else(|| {
            let letters = name.to_lowercase();
            let alike = self.found.iter().filter(|(known, _)| known.to_lowercase() == letters);
            alike.map(|(_, query)| query).max_by_key(|query| query.number)
        })
    }
}

#[async_trait]
impl SchemaProvider for QuerySchema {
    fn table_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for (name, _) in &self.listed {
            names.extend(TableView::ALL.map(|view| format!("{name}{}", view.suffix())));
        }
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some((query, view)) = self.find(name) else { return Ok(None) };
        if let Some(table) = self.made().get(name) {
            return Ok(Some(table.clone()));
        }
        let observed = self.source.observed(query).await.map_err(DataFusionError::External)?;
        let (source, query) = (self.source.clone(), query.clone());
        let table: Arc<dyn TableProvider> = Arc::new(match view {
            TableView::Windows => WindowTable::of_query(source, query, &observed, WindowRevisions::Newest),
            TableView::Revisions => WindowTable::of_query(source, query, &observed, WindowRevisions::All),
            TableView::States => WindowTable::of_states(source, query, &observed),
        });
        self.made().insert(name.to_owned(), table.clone());
        Ok(Some(table))
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(self.find(name).map(|_| TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.find(name).is_some()
    }
}
