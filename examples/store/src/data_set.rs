//! [`DataSet`]: the files that clients work on, and their content.
//!
//! Content is a function of path and position, so any reader can check any byte without a copy.

/// Sizes of the files that the clients work on, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct DataSet {
    /// Length of the longest block.
    #[arg(long, default_value_t = 4 << 20)]
    pub block_bytes: u64,
    /// Number of files for get and stress.
    #[arg(long, default_value_t = 8)]
    pub get_files: u64,
    /// Length of each file for get and stress.
    #[arg(long, default_value_t = 4 << 20)]
    pub get_bytes: u64,
    /// Length of the file for scan.
    #[arg(long, default_value_t = 64 << 20)]
    pub scan_bytes: u64,
    /// Length of input and output of sort.
    #[arg(long, default_value_t = 4 << 20)]
    pub sort_bytes: u64,
}

impl Default for DataSet {
    /// About 350 MB on disk with three replicas.
    fn default() -> DataSet {
        DataSet {
            block_bytes: 4 << 20,
            get_files: 8,
            get_bytes: 4 << 20,
            scan_bytes: 64 << 20,
            sort_bytes: 4 << 20,
        }
    }
}

impl DataSet {
    /// Returns a data set of the same files at a sixty-fourth of the size, for tests.
    pub fn small() -> DataSet {
        DataSet {
            block_bytes: 64 << 10,
            get_files: 8,
            get_bytes: 64 << 10,
            scan_bytes: 1 << 20,
            sort_bytes: 64 << 10,
        }
    }

    /// Returns the paths and lengths of all files.
    pub fn files(&self) -> Vec<(String, u64)> {
        (0..).map_while(|number| self.file(number)).collect()
    }

    /// Returns the path and length of file `number`, counted from 0, or `None` behind the last.
    pub(crate) fn file(&self, number: u64) -> Option<(String, u64)> {
        Some(match number.checked_sub(self.get_files) {
            None => (get_path(number), self.get_bytes),
            Some(0) => (SCAN_PATH.to_owned(), self.scan_bytes),
            Some(1) => (SORT_INPUT.to_owned(), self.sort_bytes),
            Some(_) => return None,
        })
    }

    /// Returns the command-line flags of these sizes.
    pub(crate) fn flags(&self) -> [(&'static str, u64); 5] {
        [
            ("--block-bytes", self.block_bytes),
            ("--get-files", self.get_files),
            ("--get-bytes", self.get_bytes),
            ("--scan-bytes", self.scan_bytes),
            ("--sort-bytes", self.sort_bytes),
        ]
    }
}

pub(crate) const SCAN_PATH: &str = "/scan/input";
pub(crate) const SORT_INPUT: &str = "/sort/input";
pub(crate) const SORT_OUTPUT: &str = "/sort/output";

/// Returns the path of a file for get and stress.
pub(crate) fn get_path(number: u64) -> String {
    format!("/get/{number}")
}

/// Returns the first `length` bytes of the file that the data set has at `path`.
pub fn content(path: &str, length: u64) -> Vec<u8> {
    // FNV-1a of the path, so that files differ.
    let seed = path.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });

    let mut bytes: Vec<u8> =
        (0..length.div_ceil(8)).flat_map(|word| mix(seed.wrapping_add(word)).to_le_bytes()).collect();
    bytes.truncate(length as usize);
    bytes
}

/// Returns a number that looks random for every different input (the finisher of splitmix64).
pub(crate) fn mix(input: u64) -> u64 {
    let mut z = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
