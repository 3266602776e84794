//! Merges the groups that all agents report, column by column.
//!
//! A frontend adds up what thousands of processes report each second. [`MergedGroups`] is the table of groups that it
//! adds them to, and a [`ColumnBlock`](pivot_advice::columns::ColumnBlock) is what it is given:
//!
//! ```text
//! block of one report                      MergedGroups
//!
//! key     n   SUM          hash   group    key     n    SUM
//! "/a"    3   100    ──▶   51..     0      "/a"   12    400    each column is added with one loop:
//! "/c"    1     7    ──▶   e0..     2      "/b"    5     10    n[group] += n, sum[group] += SUM
//!                                          "/c"    1      7
//! ```
//!
//! It works like the hash aggregation of a columnar database. The keys of all rows of a block are hashed column by
//! column; each row's group is looked up in a hash table with open addressing, and is added if it is new; then each
//! column of the block is added to its column of the table. Columns of numbers and of texts, and the states of COUNT,
//! SUM, AVERAGE, MIN and MAX over numbers, have vectors of their own. Everything else (sketches, lists, columns of
//! several types) is kept as values and states, and merged as [`Groups`](pivot_advice::Groups) are: right, and some
//! twenty times slower.
//!
//! ```
//! use pivot_advice::columns::ColumnBlock;
//! use pivot_advice::{Groups, Value};
//! use pivot_merge::MergedGroups;
//!
//! let mut reported = Groups::new(1, &[]);
//! reported.entry(&[Value::str("/a")]).n = 3;
//! let block = ColumnBlock::decode(ColumnBlock::encode(&reported)).expect("it was just encoded");
//!
//! let (mut merged, mut other) = (MergedGroups::new(1, &[]), Groups::new(0, &[]));
//! merged.merge(&block, usize::MAX, &mut other);
//! merged.merge(&block, usize::MAX, &mut other);
//! assert_eq!((merged.len(), merged.row_count()), (1, 6));
//! ```
//!
//! Reading order: [`MergedGroups`], then its parts: the index, the columns of keys, the columns of states.

mod group_index;
mod incoming_keys;
mod key_column;
mod key_hasher;
mod merged_groups;
mod state_vector;
mod texts;

pub use merged_groups::MergedGroups;
