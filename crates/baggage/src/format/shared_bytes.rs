//! A part of a buffer that others share: what arrived is kept as it came, and travels on as it came.

use std::ops::Deref;
use std::sync::Arc;

/// Bytes of a shared buffer.
#[derive(Debug, Clone)]
pub(crate) struct SharedBytes {
    buffer: Arc<[u8]>,
    start: usize,
    length: usize,
}

impl SharedBytes {
    /// A buffer of its own.
    pub(crate) fn new(bytes: &[u8]) -> SharedBytes {
        SharedBytes { buffer: Arc::from(bytes), start: 0, length: bytes.len() }
    }

    /// A buffer of so many bytes, which `fill` writes.
    #[inline]
    pub(crate) fn filled(length: usize, fill: impl FnOnce(&mut [u8])) -> SharedBytes {
        let mut buffer: Arc<[u8]> = std::iter::repeat_n(0, length).collect();
        // Nobody else has it yet.
        if let Some(bytes) = Arc::get_mut(&mut buffer) {
            fill(bytes);
        }
        SharedBytes { buffer, start: 0, length }
    }

    /// Whether the other is the same part of the same buffer.
    pub(crate) fn is(&self, other: &SharedBytes) -> bool {
        std::ptr::eq::<[u8]>(&**self, &**other)
    }

    /// The part of this slice in which `bytes`, taken from it, lie; a copy if they do not.
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
        let whole = SharedBytes::new(b"baggage");
        let part = whole.part(&whole[3..]);
        assert_eq!((&*part, part.as_ptr()), (b"gage".as_slice(), whole[3..].as_ptr()));
        assert_eq!(&*whole.part(b"other"), b"other");
        assert_eq!(&*part.part(&part[1..2]), b"a");
    }
}
