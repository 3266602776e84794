//! A part of a buffer that others share: what arrived is kept as it came, and travels on as it came.
//!
//! An envelope is one allocation. Its bags, its instances and the branch itself refer to parts of it, which
//! costs a count of references for each, and no copy.

use std::ops::Deref;
use std::sync::Arc;

/// Bytes that lie in a shared buffer.
#[derive(Debug, Clone)]
pub(crate) struct SharedBytes {
    buffer: Arc<[u8]>,
    start: usize,
    length: usize,
}

impl SharedBytes {
    /// Copies bytes into a buffer of their own.
    pub(crate) fn new(bytes: &[u8]) -> SharedBytes {
        SharedBytes { buffer: Arc::from(bytes), start: 0, length: bytes.len() }
    }

    /// Returns a buffer of so many bytes, which `fill` has written: what is decoded from text lands where it
    /// stays.
    #[inline]
    pub(crate) fn filled(length: usize, fill: impl FnOnce(&mut [u8])) -> SharedBytes {
        let mut buffer: Arc<[u8]> = std::iter::repeat_n(0, length).collect();
        // Nobody else has the buffer yet, so this is always there.
        if let Some(bytes) = Arc::get_mut(&mut buffer) {
            fill(bytes);
        }
        SharedBytes { buffer, start: 0, length }
    }

    /// Whether the other is the same part of the same buffer.
    pub(crate) fn is_same(&self, other: &SharedBytes) -> bool {
        std::ptr::eq::<[u8]>(&**self, &**other)
    }

    /// Returns the part in which `bytes` lie, which were taken from this buffer; a copy if they were not.
    pub(crate) fn part(&self, bytes: &[u8]) -> SharedBytes {
        let start = (bytes.as_ptr() as usize).wrapping_sub(self.buffer.as_ptr() as usize);
        match start.checked_add(bytes.len()) {
            Some(end) if end <= self.buffer.len() => {
                SharedBytes { buffer: self.buffer.clone(), start, length: bytes.len() }
            }
            _ => SharedBytes::new(bytes),
        }
    }
}

impl Deref for SharedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_shares_the_buffer_and_anything_else_is_copied() {
        let all = SharedBytes::new(b"baggage");
        let part = all.part(&all[3..]);
        assert_eq!((&*part, part.as_ptr()), (b"gage".as_slice(), all[3..].as_ptr()));
        assert_eq!(&*all.part(b"other"), b"other");
        assert_eq!(&*part.part(&part[1..2]), b"a");
    }
}
