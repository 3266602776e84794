//! Many texts one after the other, and where each begins.
//!
//! Bounds and bytes are made together, so bounds are within the bytes.

/// Many texts, owned.
#[derive(Debug, Clone)]
pub(crate) struct Texts {
    bytes: Vec<u8>,
    /// Where each text begins, and the last ends.
    bounds: Vec<usize>,
}

/// Many texts, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextSlice<'t> {
    /// The texts one after the other.
    pub(crate) bytes: &'t [u8],
    /// Where each text begins, and the last ends.
    pub(crate) bounds: &'t [usize],
}

impl Texts {
    /// Returns no texts.
    pub(crate) fn new() -> Texts {
        Texts { bytes: Vec::new(), bounds: vec![0] }
    }

    /// Adds a text behind the others.
    pub(crate) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.bounds.push(self.bytes.len());
    }

    /// Returns all texts.
    #[inline(always)]
    pub(crate) fn as_slice(&self) -> TextSlice<'_> {
        TextSlice { bytes: &self.bytes, bounds: &self.bounds }
    }
}

impl<'t> TextSlice<'t> {
    /// Returns a text by its number.
    #[inline(always)]
    pub(crate) fn get(self, number: usize) -> &'t [u8] {
        &self.bytes[self.bounds[number]..self.bounds[number + 1]]
    }

    /// Returns the texts in their order.
    #[inline(always)]
    pub(crate) fn iter(self) -> impl Iterator<Item = &'t [u8]> {
        self.bounds.array_windows().map(move |[start, end]| &self.bytes[*start..*end])
    }
}

/// Returns whether two texts are equal. Those of 8 to 32 bytes are compared by their first and their last bytes, which may
/// overlap: without a call.
#[inline(always)]
pub(crate) fn are_equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    if (16..=32).contains(&a.len()) {
        a.first_chunk::<16>() == b.first_chunk() && a.last_chunk::<16>() == b.last_chunk()
    } else if (8..16).contains(&a.len()) {
        a.first_chunk::<8>() == b.first_chunk() && a.last_chunk::<8>() == b.last_chunk()
    } else {
        a == b
    }
}

/// Returns a text that was checked when its block was decoded.
pub(crate) fn utf8(text: &[u8]) -> &str {
    std::str::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_equal_if_all_of_their_bytes_are() {
        for length in 0..70 {
            let text: Vec<u8> = (0..length).collect();
            assert!(are_equal(&text, &text.clone()));
            assert!(!are_equal(&text, &[text.as_slice(), b"x"].concat()));
            for place in 0..text.len() {
                let mut other = text.clone();
                other[place] ^= 1;
                assert!(!are_equal(&text, &other), "{length} bytes, place {place}");
            }
        }
    }
}
