//! How much of a frame goes to a client: no more than a message takes, and no more than there is room for on the way.
//!
//! ```text
//! frames on their way to clients   ├─ 55 MiB ─┤─ 55 MiB ─┤─ 2 MiB ─┤ ..   at most 256 MiB, and 1 MiB for everybody
//!   a client that does not read    ▲ keeps what it was sent, until it reads or goes
//! ```
//!
//! Rows for which there is no room are left out of the frame, which says how many: a frame of many megabytes is for
//! nobody to read, and the connection goes on.

use pivot_protocol::{MAX_MESSAGE_BYTES, wire};
use prost::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The most bytes of a frame, so that the message around it has room.
const MAX_FRAME_BYTES: usize = MAX_MESSAGE_BYTES - (1 << 20);

/// The most bytes of all frames that are on their way to clients.
const MAX_SENDING_BYTES: usize = 256 << 20;

/// Bytes that every client gets, whatever is on its way to others.
const SMALL_FRAME_BYTES: usize = 1 << 20;

/// The bytes of all frames that are on their way.
#[derive(Debug, Clone, Default)]
pub(crate) struct FrameRoom {
    sending: Arc<AtomicUsize>,
    sent_frames: Arc<AtomicU64>,
    sent_bytes: Arc<AtomicU64>,
}

/// Room that a frame takes until it is dropped.
#[derive(Debug)]
pub(crate) struct ReservedRoom {
    sending: Arc<AtomicUsize>,
    bytes: usize,
}

impl FrameRoom {
    /// Takes room for a frame, and leaves rows out that find none.
    pub(crate) fn fit(&self, frame: &mut wire::Frame) -> ReservedRoom {
        let wanted = frame.encoded_len();
        let left = MAX_SENDING_BYTES.saturating_sub(self.sending.load(Ordering::Relaxed));
        let most = left.clamp(SMALL_FRAME_BYTES, MAX_FRAME_BYTES);
        if wanted > most {
            leave_out(frame, most);
        }

        let bytes = frame.encoded_len();
        self.sending.fetch_add(bytes, Ordering::Relaxed);
        self.sent_frames.fetch_add(1, Ordering::Relaxed);
        self.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        ReservedRoom { sending: self.sending.clone(), bytes }
    }
}

impl FrameRoom {
    /// Returns the bytes of all frames that are on their way.
    pub(crate) fn sending(&self) -> usize {
        self.sending.load(Ordering::Relaxed)
    }

    /// Returns how many frames were sent so far, and their bytes.
    pub(crate) fn sent(&self) -> (u64, u64) {
        (self.sent_frames.load(Ordering::Relaxed), self.sent_bytes.load(Ordering::Relaxed))
    }
}

impl Drop for ReservedRoom {
    fn drop(&mut self) {
        self.sending.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Leaves the last rows of a frame out, so that it takes at most so many bytes, and counts them.
fn leave_out(frame: &mut wire::Frame, most: usize) {
    let (rows, cumulative) = (std::mem::take(&mut frame.rows), std::mem::take(&mut frame.cumulative));
    let room = most.saturating_sub(frame.encoded_len() + 64);
    // What one of them does not need is for the other.
    let for_rows = room.saturating_sub(bytes(&cumulative)).max(room / 2);
    let (rows, rows_left_out) = first_rows(rows, for_rows);
    let (cumulative, cumulative_left_out) = first_rows(cumulative, room.saturating_sub(bytes(&rows)));

    (frame.rows, frame.cumulative) = (rows, cumulative);
    count(&mut frame.completeness, rows_left_out);
    count(&mut frame.cumulative_completeness, cumulative_left_out);
}

fn bytes(rows: &[wire::Row]) -> usize {
    rows.iter().map(row_bytes).sum()
}

/// Returns how many bytes a row takes as a field of a frame.
fn row_bytes(row: &wire::Row) -> usize {
    let bytes = row.encoded_len();
    // Both kinds of rows have a key of one byte.
    1 + prost::length_delimiter_len(bytes) + bytes
}

/// Returns as many rows as fit into so many bytes, and how many do not.
fn first_rows(mut rows: Vec<wire::Row>, most: usize) -> (Vec<wire::Row>, u64) {
    let mut taken = 0;
    let fitting = rows.iter().take_while(|row| {
        taken += row_bytes(row);
        taken <= most
    });
    let fitting = fitting.count();

    let left_out = rows.len() - fitting;
    rows.truncate(fitting);
    (rows, left_out as u64)
}

fn count(completeness: &mut Option<wire::Completeness>, left_out: u64) {
    if let Some(found) = completeness.as_mut().filter(|_| left_out > 0) {
        found.rows_left_out = left_out;
        found.partial = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with so many rows of a kilobyte, of the window and since install.
    fn frame(rows: usize, cumulative: usize) -> wire::Frame {
        let kind = wire::value::Kind::String("x".repeat(1 << 10));
        let row = wire::Row { values: vec![wire::Value { kind: Some(kind) }], ..Default::default() };
        wire::Frame {
            rows: vec![row.clone(); rows],
            cumulative: vec![row; cumulative],
            completeness: Some(wire::Completeness::default()),
            cumulative_completeness: Some(wire::Completeness::default()),
            ..Default::default()
        }
    }

    fn left_out(frame: &wire::Frame) -> [(u64, bool); 2] {
        let parts = [&frame.completeness, &frame.cumulative_completeness];
        parts.map(|found| found.as_ref().map_or((0, false), |found| (found.rows_left_out, found.partial)))
    }

    #[test]
    fn a_frame_that_no_message_takes_goes_without_its_last_rows_and_says_so() {
        let room = FrameRoom::default();
        for (rows, cumulative) in [(50_000, 50_000), (100_000, 100), (0, 100_000)] {
            let mut large = frame(rows, cumulative);
            room.fit(&mut large);
            assert!((MAX_FRAME_BYTES - 4096..=MAX_FRAME_BYTES).contains(&large.encoded_len()));
            let missing = [rows - large.rows.len(), cumulative - large.cumulative.len()];
            assert_eq!(left_out(&large), missing.map(|rows| (rows as u64, rows > 0)));
        }
        let mut small = frame(100, 200);
        room.fit(&mut small);
        assert_eq!((small.rows.len(), small.cumulative.len(), left_out(&small)[0].1), (100, 200, false));
    }

    #[test]
    fn clients_that_do_not_read_keep_a_bounded_amount_and_others_get_what_is_small() {
        let room = FrameRoom::default();
        let unread: Vec<ReservedRoom> = (0..60).map(|_| room.fit(&mut frame(40_000, 0))).collect();
        let sending = room.sending.load(Ordering::Relaxed);
        assert!(sending <= MAX_SENDING_BYTES + 60 * SMALL_FRAME_BYTES, "{sending}");

        let mut small = frame(500, 0);
        room.fit(&mut small);
        assert_eq!(small.rows.len(), 500);
        drop(unread);
        let mut large = frame(40_000, 0);
        room.fit(&mut large);
        assert_eq!((large.rows.len(), room.sending.load(Ordering::Relaxed)), (40_000, 0));
    }
}
