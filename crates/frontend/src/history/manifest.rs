//! The manifest: which files there are and what they have, beside the files, for readers other than this frontend.
//!
//! The store decides; this is a copy of what it says, written after each change. A reader that knows only the manifest sees
//! whole windows up to the moment of the copy, apart from those that are not in files yet.

use super::error::HistoryError;
use super::file_store::FileStore;
use super::kept_query::KeptQuery;
use crate::store::Store;
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// The name of the manifest in the folder of a frontend.
const MANIFEST: &str = "manifest.json";

/// Writes the manifest.
pub(super) async fn publish(store: &Arc<Store>, files: &FileStore, now_ns: i64) -> Result<(), HistoryError> {
    let snapshot = store.history()?;
    let mut queries = Vec::new();
    for (number, record) in snapshot.queries()? {
        let query = KeptQuery::new(number, record)?;
        let listed: Vec<Json> = snapshot
            .files_of(number)?
            .into_iter()
            .map(|(path, file)| {
                json!({
                    "path": path,
                    "start_ns": file.start_ns,
                    "end_ns": file.end_ns,
                    "first_commit": file.first_batch,
                    "last_commit": file.last_batch,
                    "rows": file.rows,
                    "bytes": file.bytes,
                })
            })
            .collect();
        queries.push(json!({
            "number": number,
            "name": query.name,
            "text": query.text,
            "installed_ns": query.installed_ns,
            "every_ns": query.every_ns,
            "keys": query.output.keys.iter().map(|key| key.name.clone()).collect::<Vec<String>>(),
            "states": query.output.states.iter().map(|state| state.name()).collect::<Vec<&str>>(),
            "kept_from_ns": snapshot.horizon_ns(number)?,
            "files": listed,
        }));
    }

    let manifest = json!({ "version": 1, "written_ns": now_ns, "queries": queries });
    files.put(&files.path(MANIFEST), manifest.to_string().into_bytes()).await
}
