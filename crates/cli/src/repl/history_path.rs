//! Where the REPL keeps its history.

use std::ffi::OsString;
use std::path::PathBuf;

/// Returns `$XDG_STATE_HOME/pivot/history` if that is set, else `~/.pivot_history`, or `None` without a home.
pub(super) fn history_path() -> Option<PathBuf> {
    choose_path(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"))
}

fn choose_path(state: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    match (absolute(state), absolute(home)) {
        (Some(state), _) => Some(state.join("pivot/history")),
        (None, Some(home)) => Some(home.join(".pivot_history")),
        (None, None) => None,
    }
}

/// Returns the path if it is absolute. The XDG specification has relative ones ignored.
fn absolute(path: Option<OsString>) -> Option<PathBuf> {
    path.map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_folder_is_preferred_if_it_is_absolute() {
        let check = |state: Option<&str>, home: Option<&str>, expected: Option<&str>| {
            assert_eq!(choose_path(state.map(Into::into), home.map(Into::into)), expected.map(PathBuf::from));
        };
        check(Some("/s"), Some("/h"), Some("/s/pivot/history"));
        check(Some("s"), Some("/h"), Some("/h/.pivot_history"));
        check(None, None, None);
    }
}
