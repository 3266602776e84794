//! The kill switch that an operator reaches without a frontend: a file.

use std::path::PathBuf;

/// Switches weaving off while a file exists.
#[derive(Debug)]
pub(crate) struct Switch {
    file: Option<PathBuf>,
    /// Whether this switch is what keeps weaving off; the application may have other reasons.
    pulled: bool,
}

impl Switch {
    pub(crate) fn new(file: Option<PathBuf>) -> Switch {
        Switch { file, pulled: false }
    }

    /// Looks whether the file is there.
    pub(crate) fn look(&mut self) {
        let there = self.file.as_ref().is_some_and(|file| file.exists());
        if there != self.pulled {
            self.pulled = there;
            if there { pivot_agent::disable() } else { pivot_agent::enable() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weaving_is_off_while_the_file_exists() {
        let file = std::env::temp_dir().join(format!("pivot-switch-{}", std::process::id()));
        let mut switch = Switch::new(Some(file.clone()));
        switch.look();
        assert!(!pivot_agent::is_disabled());
        std::fs::write(&file, "").unwrap();
        switch.look();
        assert!(pivot_agent::is_disabled());
        std::fs::remove_file(&file).unwrap();
        switch.look();
        assert!(!pivot_agent::is_disabled());
    }
}
