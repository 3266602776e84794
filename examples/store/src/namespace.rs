//! [`Namespace`]: files, their blocks, and the hosts that hold a replica of each block. Performs no I/O.
//!
//! ```text
//! create ─▶ lease ─▶ add_block ... ─▶ complete ─▶ visible ─▶ rename, delete
//!   └─ again: a new lease, the old one is refused
//! ```
//!
//! A file that is being written is invisible until it is complete, and belongs to the lease that was handed
//! out last. So a client that creates a path again takes the writing over from one that died.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

/// Replicas that a block should have.
pub(crate) const REPLICAS: usize = 3;

/// All files and blocks. The serialized form leaves out files that are being written.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Namespace {
    files: BTreeMap<String, Vec<u64>>,
    /// Blocks by number.
    blocks: BTreeMap<u64, BlockRecord>,
    /// When files were accessed last, in milliseconds since the epoch.
    #[serde(default)]
    accessed: BTreeMap<String, u64>,
    /// Files that are being written, by path.
    #[serde(skip)]
    writing: HashMap<String, UnfinishedFile>,
    /// The last number that was given to a block or a lease.
    #[serde(skip)]
    last_number: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct BlockRecord {
    length: u64,
    hosts: BTreeSet<String>,
}

/// A file that is being written.
#[derive(Debug)]
struct UnfinishedFile {
    lease: u64,
    /// Blocks that were allocated under this lease.
    blocks: BTreeSet<u64>,
}

/// Why the name space refuses a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamespaceError {
    NoFile,
    Exists,
    LeaseLost,
}

/// A block of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FileBlock<'a> {
    pub(crate) block: u64,
    /// Where the block begins in the file.
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// The hosts that hold a replica, in their static order.
    pub(crate) hosts: Vec<&'a str>,
}

/// A block that a client has written, and the hosts that stored it.
#[derive(Debug)]
pub(crate) struct CompletedBlock {
    pub(crate) block: u64,
    pub(crate) length: u64,
    pub(crate) hosts: Vec<String>,
}

/// A file as it is listed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ListedFile {
    pub(crate) path: String,
    pub(crate) length: u64,
    /// When it was accessed last, in milliseconds since the epoch; 0 if that is not recorded.
    pub(crate) accessed_ms: u64,
}

impl Namespace {
    /// Gives numbers above `number` from now on. Blocks of an earlier process keep theirs.
    pub(crate) fn number_from(&mut self, number: u64) {
        self.last_number = self.last_number.max(number);
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Begins to write a file and returns the lease.
    pub(crate) fn create(&mut self, path: &str) -> Result<u64, NamespaceError> {
        if self.files.contains_key(path) {
            return Err(NamespaceError::Exists);
        }
        let lease = self.next_number();
        self.writing.insert(path.to_owned(), UnfinishedFile { lease, blocks: BTreeSet::new() });
        Ok(lease)
    }

    /// Allocates the next block of a file and returns its number.
    pub(crate) fn add_block(&mut self, path: &str, lease: u64) -> Result<u64, NamespaceError> {
        let block = self.next_number();
        self.leased(path, lease)?.blocks.insert(block);
        Ok(block)
    }

    /// Returns the file that is being written under a lease.
    fn leased(&mut self, path: &str, lease: u64) -> Result<&mut UnfinishedFile, NamespaceError> {
        self.writing.get_mut(path).filter(|writing| writing.lease == lease).ok_or(NamespaceError::LeaseLost)
    }

    /// Publishes a file with its blocks in order.
    pub(crate) fn complete(
        &mut self,
        path: &str,
        lease: u64,
        blocks: Vec<CompletedBlock>,
    ) -> Result<(), NamespaceError> {
        let writing = self.leased(path, lease)?;
        if !blocks.iter().all(|completed| writing.blocks.contains(&completed.block)) {
            return Err(NamespaceError::LeaseLost);
        }

        self.writing.remove(path);
        self.files.insert(path.to_owned(), blocks.iter().map(|completed| completed.block).collect());

        // A data node's report may have come before this, and the block may have more hosts already.
        for completed in blocks {
            let known = self.blocks.entry(completed.block).or_default();
            known.length = completed.length;
            known.hosts.extend(completed.hosts);
        }
        Ok(())
    }

    /// Deletes a file, whether it is complete or being written. Data nodes learn of its blocks when they
    /// report them.
    pub(crate) fn delete(&mut self, path: &str) {
        self.writing.remove(path);
        self.accessed.remove(path);
        for block in self.files.remove(path).unwrap_or_default() {
            self.blocks.remove(&block);
        }
    }

    /// Renames a file, in place of one that has the new name.
    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Result<(), NamespaceError> {
        if from == to {
            return self.files.contains_key(from).then_some(()).ok_or(NamespaceError::NoFile);
        }

        let blocks = self.files.remove(from).ok_or(NamespaceError::NoFile)?;
        self.delete(to);
        if let Some(at_ms) = self.accessed.remove(from) {
            self.accessed.insert(to.to_owned(), at_ms);
        }
        self.files.insert(to.to_owned(), blocks);
        Ok(())
    }

    /// Returns the length of a file in bytes.
    pub(crate) fn length(&self, path: &str) -> Result<u64, NamespaceError> {
        let blocks = self.files.get(path).ok_or(NamespaceError::NoFile)?;
        Ok(blocks.iter().filter_map(|block| self.blocks.get(block)).map(|block| block.length).sum())
    }

    /// Records when a file was accessed. Returns false if it does not exist.
    pub(crate) fn access(&mut self, path: &str, at_ms: u64) -> bool {
        let exists = self.files.contains_key(path);
        if exists {
            self.accessed.insert(path.to_owned(), at_ms);
        }
        exists
    }

    /// Returns the files whose path begins with a prefix.
    pub(crate) fn list(&self, prefix: &str) -> Vec<ListedFile> {
        let paths = self.files.keys().filter(|path| path.starts_with(prefix));
        let files = paths.map(|path| ListedFile {
            path: path.clone(),
            length: self.length(path).unwrap_or(0),
            accessed_ms: self.accessed.get(path).copied().unwrap_or(0),
        });
        files.collect()
    }

    /// Returns the blocks that overlap a range of a file.
    pub(crate) fn locate(
        &self,
        path: &str,
        from: u64,
        length: u64,
    ) -> Result<Vec<FileBlock<'_>>, NamespaceError> {
        let end = from.saturating_add(length);
        let mut found = Vec::new();

        // Blocks do not know where they begin in their file: their lengths add up to it.
        let mut offset = 0;
        for number in self.files.get(path).ok_or(NamespaceError::NoFile)? {
            let Some(block) = self.blocks.get(number) else { continue };
            if offset < end && offset + block.length > from {
                let hosts = block.hosts.iter().map(String::as_str).collect();
                found.push(FileBlock { block: *number, offset, length: block.length, hosts });
            }
            offset += block.length;
        }
        Ok(found)
    }

    /// Forgets all replicas of a host that has started anew: its report lists those that it still has.
    pub(crate) fn forget(&mut self, host: &str) {
        for block in self.blocks.values_mut() {
            block.hosts.remove(host);
        }
    }

    /// Takes in the blocks that a host holds. Returns those that belong to no file any more.
    pub(crate) fn report(&mut self, host: &str, held: &[u64]) -> Vec<u64> {
        let mut unwanted = Vec::new();

        for number in held {
            if let Some(block) = self.blocks.get_mut(number) {
                if !block.hosts.contains(host) {
                    block.hosts.insert(host.to_owned());
                }
            } else if !self.writing.values().any(|writing| writing.blocks.contains(number)) {
                unwanted.push(*number);
            }
        }

        unwanted
    }
}

/// Chooses the hosts of a new block: the live ones in turn, so that all fill evenly. `placed` is the number
/// of blocks placed so far.
pub(crate) fn pipeline<'a>(live: &[&'a str], placed: usize) -> Vec<&'a str> {
    let first = placed % live.len().max(1);
    live.iter().cycle().skip(first).take(live.len().min(REPLICAS)).copied().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Writes a file of one block of 10 bytes. Returns the block.
    fn write(namespace: &mut Namespace, path: &str, hosts: &[&str]) -> u64 {
        let lease = namespace.create(path).unwrap();
        let block = namespace.add_block(path, lease).unwrap();
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        namespace.complete(path, lease, vec![CompletedBlock { block, length: 10, hosts }]).unwrap();
        block
    }

    /// Returns the hosts of a file's first block.
    fn hosts(namespace: &Namespace, path: &str) -> Vec<String> {
        namespace.locate(path, 0, 10).unwrap()[0].hosts.iter().map(|host| (*host).to_owned()).collect()
    }

    #[test]
    fn replicas_are_listed_in_one_static_order() {
        let mut namespace = Namespace::default();
        write(&mut namespace, "/a", &["dn-3", "dn-1", "dn-2"]);
        assert_eq!(hosts(&namespace, "/a"), ["dn-1", "dn-2", "dn-3"]);
    }

    #[test]
    fn a_second_writer_takes_the_file_over() {
        let mut namespace = Namespace::default();
        let first = namespace.create("/a").unwrap();
        let second = namespace.create("/a").unwrap();
        assert_eq!(namespace.add_block("/a", first), Err(NamespaceError::LeaseLost));
        assert!(namespace.add_block("/a", second).is_ok());
        assert_eq!(namespace.length("/a"), Err(NamespaceError::NoFile));
    }

    #[test]
    fn blocks_of_deleted_and_replaced_files_are_unwanted() {
        let mut namespace = Namespace::default();
        let (old, new) = (write(&mut namespace, "/a", &[]), write(&mut namespace, "/b", &[]));
        assert!(namespace.report("dn-1", &[old, new]).is_empty());
        namespace.rename("/b", "/a").unwrap();
        assert_eq!(namespace.report("dn-1", &[old, new]), [old]);
    }

    #[test]
    fn an_access_time_goes_with_its_file() {
        let mut namespace = Namespace::default();
        let listed = |namespace: &Namespace| -> Vec<(String, u64, u64)> {
            let files = namespace.list("/").into_iter();
            files.map(|file| (file.path, file.length, file.accessed_ms)).collect()
        };
        write(&mut namespace, "/a", &[]);
        assert!(!namespace.access("/nowhere", 6));
        assert_eq!(listed(&namespace), [("/a".to_owned(), 10, 0)]);
        assert!(namespace.access("/a", 7));
        namespace.rename("/a", "/b").unwrap();
        write(&mut namespace, "/a", &[]);
        assert_eq!(listed(&namespace), [("/a".to_owned(), 10, 0), ("/b".to_owned(), 10, 7)]);
        namespace.rename("/a", "/b").unwrap();
        assert_eq!(listed(&namespace), [("/b".to_owned(), 10, 0)]);
    }

    #[test]
    fn a_block_being_written_is_wanted() {
        let mut namespace = Namespace::default();
        let lease = namespace.create("/a").unwrap();
        let block = namespace.add_block("/a", lease).unwrap();
        assert!(namespace.report("dn-1", &[block]).is_empty());
    }

    #[test]
    fn a_host_that_starts_anew_has_what_it_reports() {
        let mut namespace = Namespace::default();
        let block = write(&mut namespace, "/a", &["dn-1", "dn-2"]);
        namespace.forget("dn-1");
        assert_eq!(hosts(&namespace, "/a"), ["dn-2"]);
        namespace.report("dn-1", &[block]);
        assert_eq!(hosts(&namespace, "/a"), ["dn-1", "dn-2"]);
    }

    #[test]
    fn a_range_yields_the_blocks_it_overlaps() {
        let mut namespace = Namespace::default();
        let lease = namespace.create("/a").unwrap();
        let blocks: Vec<_> = (0..3).map(|_| namespace.add_block("/a", lease).unwrap()).collect();
        let completed =
            blocks.iter().map(|block| CompletedBlock { block: *block, length: 10, hosts: vec![] });
        namespace.complete("/a", lease, completed.collect()).unwrap();

        let offsets = |from, length| -> Vec<u64> {
            namespace.locate("/a", from, length).unwrap().iter().map(|block| block.offset).collect()
        };
        assert_eq!(offsets(0, 10), [0]);
        assert_eq!(offsets(9, 2), [0, 10]);
        assert_eq!(offsets(20, u64::MAX), [20]);
        assert!(offsets(30, 1).is_empty());
    }

    #[test]
    fn placement_uses_all_live_hosts_in_turn() {
        let live = ["dn-1", "dn-2", "dn-3", "dn-4"];
        assert_eq!(pipeline(&live, 3), ["dn-4", "dn-1", "dn-2"]);
        assert_eq!(pipeline(&live[..1], 3), ["dn-1"]);
        assert!(pipeline(&[], 3).is_empty());
    }
}
