//! Where files of history are kept: a directory, or a store of objects that a URL names.

use super::error::HistoryError;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::object_store::path::Path;
use datafusion::object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload};
use futures::TryStreamExt;
use std::sync::Arc;

/// The files of history. Cheap to copy.
#[derive(Debug, Clone)]
pub(crate) struct FileStore {
    store: Arc<dyn ObjectStore>,
    /// The store if it is a directory.
    directory: Option<Arc<LocalFileSystem>>,
    /// Where it is, for people.
    pub(crate) location: Arc<str>,
    /// The folder of this frontend in it, so that several may share it.
    folder: Arc<str>,
}

impl FileStore {
    /// Opens the files of a frontend in a directory, which is made if there is none.
    pub(crate) fn open(location: &str, frontend: u32) -> Result<FileStore, HistoryError> {
        let failed = |reason: String| HistoryError::Location { location: location.to_owned(), reason };
        if let Some((scheme, _)) = location.split_once("://") {
            return Err(failed(format!("this version has no support for `{scheme}://`")));
        }

        std::fs::create_dir_all(location).map_err(|error| failed(error.to_string()))?;
        let store = LocalFileSystem::new_with_prefix(location).map_err(|error| failed(error.to_string()))?;
        let directory = Arc::new(store.with_automatic_cleanup(true));
        Ok(FileStore {
            store: directory.clone(),
            directory: Some(directory),
            location: location.into(),
            folder: format!("frontend-{frontend:08x}").into(),
        })
    }

    /// Returns the path of a file in the folder of this frontend.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    /// Writes a file, instead of one that is there. When this returns the file is there, whatever happens to the machine.
    pub(crate) async fn put(&self, path: &str, content: Vec<u8>) -> Result<(), HistoryError> {
        let path = Path::from(path);
        self.store.put(&path, PutPayload::from(content)).await?;

        // A store of objects answers when they are safe, a file system does not.
        let Some(directory) = &self.directory else { return Ok(()) };
        let file = directory.path_to_filesystem(&path)?;
        let synced = tokio::task::spawn_blocking(move || sync(&file)).await;
        match synced {
            Ok(synced) => synced.map_err(|source| HistoryError::NotSynced { path: path.to_string(), source }),
            Err(_) => Err(HistoryError::Panicked),
        }
    }

    /// Reads a file.
    pub(crate) async fn get(&self, path: &str) -> Result<Vec<u8>, HistoryError> {
        Ok(self.store.get(&Path::from(path)).await?.bytes().await?.to_vec())
    }

    /// Deletes a file, if there is one.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), HistoryError> {
        match self.store.delete(&Path::from(path)).await {
            Err(datafusion::object_store::Error::NotFound { .. }) => Ok(()),
            deleted => Ok(deleted?),
        }
    }

    /// Lists the files of this frontend.
    pub(crate) async fn list(&self) -> Result<Vec<ObjectMeta>, HistoryError> {
        Ok(self.store.list(Some(&Path::from(&*self.folder))).try_collect().await?)
    }
}

/// Makes a file and its place in the directory durable.
fn sync(file: &std::path::Path) -> std::io::Result<()> {
    std::fs::File::open(file)?.sync_all()?;
    let mut folder = file.parent();
    // The folders may be new as well.
    for _ in 0..3 {
        let Some(path) = folder else { break };
        std::fs::File::open(path)?.sync_all()?;
        folder = path.parent();
    }
    Ok(())
}
