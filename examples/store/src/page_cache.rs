//! The pages of blocks that a data node read last, kept in memory: a least-recently-used cache.
//!
//! Blocks never change, so a page never goes stale. Making room looks at all pages, of which there are 64.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use prost::bytes::Bytes;

/// The most pages that are kept: 8 MiB, a tenth of what the data set takes on a node.
const PAGES: usize = 64;

/// A page: the number of its block, and its number in the block.
pub(crate) type Page = (u64, u64);

/// The cache of one data node.
#[derive(Debug, Default)]
pub(crate) struct PageCache {
    table: Mutex<CachedPages>,
}

#[derive(Debug, Default)]
struct CachedPages {
    pages: HashMap<Page, CachedPage>,
    /// The number of uses of any page so far: the clock of `last_use`.
    uses: u64,
}

#[derive(Debug)]
struct CachedPage {
    data: Bytes,
    last_use: u64,
}

impl PageCache {
    /// Returns a page if it is kept, and marks it as used.
    pub(crate) fn get(&self, page: Page) -> Option<Bytes> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.uses += 1;
        let uses = table.uses;
        let cached = table.pages.get_mut(&page)?;
        cached.last_use = uses;
        Some(cached.data.clone())
    }

    /// Keeps a page that was read, in place of the least recently used one if there are too many.
    pub(crate) fn put(&self, page: Page, data: Bytes) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.uses += 1;
        let last_use = table.uses;
        table.pages.insert(page, CachedPage { data, last_use });

        if table.pages.len() > PAGES {
            let oldest = table.pages.iter().min_by_key(|(_, cached)| cached.last_use).map(|(page, _)| *page);
            oldest.and_then(|page| table.pages.remove(&page));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_page_gives_way() {
        let cache = PageCache::default();
        (0..PAGES as u64).for_each(|page| cache.put((1, page), Bytes::from_static(b"x")));
        assert!(cache.get((1, 0)).is_some());
        cache.put((2, 0), Bytes::from_static(b"y"));
        assert!(cache.get((1, 0)).is_some() && cache.get((2, 0)).is_some());
        assert_eq!(cache.get((1, 1)), None);
    }
}
