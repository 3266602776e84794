//! Tells one build of the program from another, without help of the build system.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes that are read at either end of the executable.
const END_BYTES: u64 = 64 << 10;

/// Returns an identifier of the executable file: equal for copies of one file wherever they run, and
/// different for another file. It is `unknown` if the file cannot be read.
///
/// It is a hash of the file's length and of both its ends, where linkers put build identifiers and symbols,
/// so that a start does not read hundreds of megabytes.
pub(crate) fn build_id() -> String {
    let own = std::env::current_exe().ok();
    own.and_then(|path| fingerprint(&path).ok()).unwrap_or_else(|| "unknown".into())
}

fn fingerprint(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();

    // The two ends of a short file overlap, which does not matter.
    let mut ends = Vec::new();
    file.by_ref().take(END_BYTES).read_to_end(&mut ends)?;
    file.seek(SeekFrom::Start(length.saturating_sub(END_BYTES)))?;
    file.take(END_BYTES).read_to_end(&mut ends)?;

    let mut hasher = DefaultHasher::new();
    (length, ends).hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content: &[u8]) -> String {
        let path = std::env::temp_dir().join(format!("pivot-build-{}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        let id = fingerprint(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        id
    }

    #[test]
    fn equal_files_have_equal_ids_and_different_ones_do_not() {
        assert_eq!(check(b"one"), check(b"one"));
        assert_ne!(check(b"one"), check(b"two"));
        assert_ne!(check(&[0; 200_000]), check(&[0; 200_001]));
        assert_eq!(build_id(), build_id());
    }
}
