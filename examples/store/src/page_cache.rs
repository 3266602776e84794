//! The pages of blocks that a data node read last, kept in memory. BlockFiles never change, so a page
//! never goes stale.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use prost::bytes::Bytes;

/// Pages that are kept: 8 MiB, a tenth of what the data set takes on a node.
const PAGES: usize = 64;

/// A page of a block.
pub(crate) type Page = (u64, u64);

/// Least recently used pages give way.
#[derive(Debug, Default)]
pub(crate) struct PageCache {
    state: Mutex<PageTable>,
}

#[derive(Debug, Default)]
struct PageTable {
    pages: HashMap<Page, CachedPage>,
    /// Counts the uses of any page.
    uses: u64,
}

#[derive(Debug)]
struct CachedPage {
    data: Bytes,
    last_use: u64,
}

impl PageCache {
    /// A page that is kept.
    pub(crate) fn get(&self, page: Page) -> Option<Bytes> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.uses += 1;
        let uses = state.uses;
        let kept = state.pages.get_mut(&page)?;
        kept.last_use = uses;
        Some(kept.data.clone())
    }

    /// Keeps a page that was read.
    pub(crate) fn put(&self, page: Page, data: Bytes) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.uses += 1;
        let kept = CachedPage { data, last_use: state.uses };
        state.pages.insert(page, kept);
        if state.pages.len() > PAGES {
            let oldest = state.pages.iter().min_by_key(|(_, kept)| kept.last_use).map(|(page, _)| *page);
            oldest.and_then(|page| state.pages.remove(&page));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_that_was_not_used_for_longest_gives_way() {
        let cache = PageCache::default();
        (0..PAGES as u64).for_each(|page| cache.put((1, page), Bytes::from_static(b"x")));
        assert!(cache.get((1, 0)).is_some());
        cache.put((2, 0), Bytes::from_static(b"y"));
        assert!(cache.get((1, 0)).is_some() && cache.get((2, 0)).is_some());
        assert_eq!(cache.get((1, 1)), None);
    }
}
