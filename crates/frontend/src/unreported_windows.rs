//! The windows of a query that has a row also where nothing happened.

use pivot_query::QueryProgram;

/// The windows of a query that are made even if nobody reports rows for them: all since it was installed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnreportedWindows {
    /// The length of a window.
    pub(crate) every_ns: i64,
    /// The start of the next one.
    pub(crate) next_start_ns: i64,
}

impl UnreportedWindows {
    /// Returns the windows that are made of a query even if nobody reports rows for them, from the one on in which it was
    /// installed; `None` if there are none.
    pub(crate) fn of(program: &QueryProgram, installed_ns: i64) -> Option<UnreportedWindows> {
        let every_ns = program.settings.every_ns.max(1);
        let next_start_ns = installed_ns.saturating_sub(installed_ns.rem_euclid(every_ns));
        program.output.has_one_row().then_some(UnreportedWindows { every_ns, next_start_ns })
    }
}
