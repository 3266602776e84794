//! The kill switch that an operator reaches without a frontend: a file.
//!
//! ```text
//! touch /run/pivot-off    every process that was started with PIVOT_DISABLE_FILE=/run/pivot-off unweaves
//!                         everything at the end of its window, within a second
//! rm /run/pivot-off       and weaves again what its frontend wants
//! ```

use crate::agent_runtime::{AgentRuntime, Switch};
use std::path::PathBuf;

/// Switches weaving off while a file exists.
#[derive(Debug)]
pub(crate) struct KillSwitch {
    file: Option<PathBuf>,
    /// Whether this switch is what keeps weaving off. The application may have switched it off for reasons of
    /// its own, which a missing file must not undo.
    is_pulled: bool,
}

impl KillSwitch {
    pub(crate) fn new(file: Option<PathBuf>) -> KillSwitch {
        KillSwitch { file, is_pulled: false }
    }

    /// Looks whether the file is there, and switches weaving off or on if that has changed.
    pub(crate) fn apply(&mut self, agent: &mut impl AgentRuntime) {
        let exists = self.file.as_ref().is_some_and(|file| file.exists());
        if exists != self.is_pulled {
            self.is_pulled = exists;
            agent.set_weaving(if exists { Switch::Off } else { Switch::On });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process_agent::ProcessAgent;

    #[test]
    fn weaving_is_off_while_the_file_exists() {
        let file = std::env::temp_dir().join(format!("pivot-switch-{}", std::process::id()));
        let mut switch = KillSwitch::new(Some(file.clone()));
        switch.apply(&mut ProcessAgent);
        assert!(!pivot_agent::is_disabled());
        std::fs::write(&file, "").unwrap();
        switch.apply(&mut ProcessAgent);
        assert!(pivot_agent::is_disabled());
        std::fs::remove_file(&file).unwrap();
        switch.apply(&mut ProcessAgent);
        assert!(!pivot_agent::is_disabled());
    }
}
