//! Divides a report that is too large for one message.
//!
//! ```text
//!   report 5 ─▶ report 5   query 1, query 2     watermark: the start of the window
//!               report 6   query 3, one half    watermark: the start of the window
//!               report 7   query 3, the rest    watermark of the whole
//! ```

use crate::report::query_report::{QueryReport, QueryReports};
use crate::report::wire_size::{group_bytes, part_bytes};
use pivot_advice::{Groups, SampledGroups};

/// The most bytes, about, of a report in a message. Messages may be four times as large.
pub(crate) const MAX_REPORT_BYTES: usize = 16 << 20;

/// The most bytes of the groups of one query among them.
const MAX_CHUNK_BYTES: usize = MAX_REPORT_BYTES - (1 << 20);

/// Divides parts into sets that fit into a message each; there is at least one.
pub(crate) fn divide(parts: QueryReports) -> Vec<QueryReports> {
    let (mut sets, mut bytes) = (vec![QueryReports::new()], 0);

    for (query, part) in parts {
        for piece in divide_part(part) {
            let piece_bytes = part_bytes(&piece);
            let is_taken = sets.last().is_some_and(|set| set.contains_key(&query));
            if is_taken || (bytes > 0 && bytes + piece_bytes > MAX_REPORT_BYTES) {
                sets.push(QueryReports::new());
                bytes = 0;
            }
            bytes += piece_bytes;
            if let Some(set) = sets.last_mut() {
                set.insert(query, piece);
            }
        }
    }
    sets
}

/// Returns parts that together say the same, each with groups that fit into a message. All but groups is in the first.
fn divide_part(mut part: QueryReport) -> Vec<QueryReport> {
    if part_bytes(&part) <= MAX_REPORT_BYTES {
        return vec![part];
    }
    let mut groups = part.groups.take().map(|groups| chunks(&groups)).unwrap_or_default().into_iter();
    part.groups = groups.next();
    let sampled = part.sampled.groups.take().map(|groups| chunks(&groups)).unwrap_or_default();

    let mut pieces = vec![part];
    for groups in groups {
        let mut piece = QueryReport::empty();
        piece.groups = Some(groups);
        pieces.push(piece);
    }
    for groups in sampled {
        let mut piece = QueryReport::empty();
        piece.sampled = SampledGroups { groups: Some(groups), ..SampledGroups::default() };
        pieces.push(piece);
    }
    pieces
}

/// Returns tables that fit into a message each and together have the groups of one.
fn chunks(groups: &Groups) -> Vec<Groups> {
    let (mut chunks, mut bytes) = (vec![groups.empty_like()], 0);

    for group in groups {
        let group_bytes = group_bytes(group);
        if bytes > 0 && bytes + group_bytes > MAX_CHUNK_BYTES {
            chunks.push(groups.empty_like());
            bytes = 0;
        }
        bytes += group_bytes;
        if let Some(chunk) = chunks.last_mut() {
            chunk.entry(&group.key).merge(group.n, &group.states);
        }
    }
    chunks
}
