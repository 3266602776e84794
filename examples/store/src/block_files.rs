//! The blocks of a data node, as files in one folder.
//!
//! A block is there as a whole or not at all: it is written to `blk_<number>.part` and renamed when it is
//! complete.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::StoreError;

const PREFIX: &str = "blk_";

/// The folder of one data node.
#[derive(Debug)]
pub(crate) struct BlockFiles {
    folder: PathBuf,
    /// The numbers of the blocks that are complete.
    held: Mutex<BTreeSet<u64>>,
}

impl BlockFiles {
    /// Opens a folder with the blocks of an earlier process in it, and removes those that are incomplete.
    pub(crate) fn open(folder: PathBuf) -> Result<BlockFiles, StoreError> {
        let held = scan(&folder).map_err(|error| StoreError::disk(&folder, error))?;
        Ok(BlockFiles { folder, held: Mutex::new(held) })
    }

    fn held(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, block: u64) -> PathBuf {
        self.folder.join(format!("{PREFIX}{block}"))
    }

    /// Returns the numbers of all complete blocks.
    pub(crate) fn list(&self) -> Vec<u64> {
        self.held().iter().copied().collect()
    }

    /// Opens the file of a block.
    pub(crate) async fn open_block(&self, block: u64) -> io::Result<File> {
        File::open(self.path(block)).await
    }

    /// Begins to write a block.
    pub(crate) async fn create(&self, block: u64) -> io::Result<UnfinishedBlock> {
        let path = self.path(block).with_extension("part");
        Ok(UnfinishedBlock { block, file: File::create(&path).await?, path: Some(path) })
    }

    /// Makes a written block visible.
    pub(crate) async fn finish(&self, mut written: UnfinishedBlock) -> io::Result<()> {
        written.file.flush().await?;
        if let Some(path) = &written.path {
            fs::rename(path, self.path(written.block))?;
        }

        // Nothing is left to remove when this is dropped.
        written.path = None;
        self.held().insert(written.block);
        Ok(())
    }

    /// Deletes a block. A reader that has it open still reads it to its end.
    pub(crate) fn remove(&self, block: u64) {
        if self.held().remove(&block)
            && let Err(error) = fs::remove_file(self.path(block))
        {
            eprintln!("block {block} cannot be deleted: {error}");
        }
    }
}

/// A block that is being written. Dropped before it is finished, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct UnfinishedBlock {
    block: u64,
    file: File,
    /// The incomplete file; `None` once it is complete.
    path: Option<PathBuf>,
}

impl UnfinishedBlock {
    /// Appends to the block.
    pub(crate) async fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data).await
    }
}

impl Drop for UnfinishedBlock {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // The file is a leftover either way: the next start of the data node removes it too.
            let _ = fs::remove_file(path);
        }
    }
}

/// Returns the numbers of the blocks in a folder, and removes every other file.
fn scan(folder: &Path) -> io::Result<BTreeSet<u64>> {
    fs::create_dir_all(folder)?;

    let mut held = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        match name.to_str().and_then(|name| name.strip_prefix(PREFIX)).map(str::parse) {
            Some(Ok(block)) => drop(held.insert(block)),
            _ => fs::remove_file(entry.path())?,
        }
    }
    Ok(held)
}
