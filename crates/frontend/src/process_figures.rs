//! What the system knows of this process.

use std::fs;

/// Ticks of the system in a second, as `/proc` counts: the same on all of Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Memory, processor time and files of this process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ProcessFigures {
    pub(crate) resident_bytes: f64,
    /// Of a processor, in user and system mode.
    pub(crate) busy_seconds: f64,
    pub(crate) open_files: f64,
}

impl ProcessFigures {
    /// Reads them; `None` where the system does not tell.
    pub(crate) fn read() -> Option<ProcessFigures> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let resident: f64 = resident.split_whitespace().next()?.parse().ok()?;

        // The name of the program stands in brackets and may hold anything.
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);

        Some(ProcessFigures {
            resident_bytes: resident * 1024.0,
            busy_seconds: (user + system) / TICKS_PER_SECOND,
            open_files: fs::read_dir("/proc/self/fd").ok()?.count() as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_figures_are_those_of_a_process_that_runs() {
        let figures = ProcessFigures::read().unwrap();
        assert!(figures.resident_bytes > 1e6 && figures.resident_bytes < 1e11, "{figures:?}");
        assert!(figures.open_files >= 3.0 && figures.busy_seconds < 1e6, "{figures:?}");
    }
}
