//! The kinds of processes that are compared.

/// How a process is instrumented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The application's own subscriber or logger.
    Bare,
    /// As [`Kind::Bare`]: how far two equal processes differ.
    BareAgain,
    /// Pivot around it, connected to a frontend that wants nothing.
    Idle,
    /// Pivot around it, with queries.
    Woven,
}

/// All kinds, in the order in which they are shown.
pub(crate) const KINDS: [Kind; 4] = [Kind::Bare, Kind::BareAgain, Kind::Idle, Kind::Woven];

impl Kind {
    /// Returns the kind of this name.
    pub(crate) fn named(name: &str) -> anyhow::Result<Kind> {
        let found = KINDS.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| anyhow::anyhow!("there is no kind of process called `{name}`"))
    }

    /// Returns the name by which a process is told its kind.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Bare => "bare",
            Kind::BareAgain => "bare-again",
            Kind::Idle => "idle",
            Kind::Woven => "woven",
        }
    }

    /// Returns whether Pivot is installed.
    pub(crate) fn has_pivot(self) -> bool {
        matches!(self, Kind::Idle | Kind::Woven)
    }
}
