//! Where the REPL keeps what was typed.

use std::ffi::OsString;
use std::path::PathBuf;

/// `$XDG_STATE_HOME/pivot/history` if that is set, else `~/.pivot_history`; none without a home.
pub(super) fn path() -> Option<PathBuf> {
    choose(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"))
}

fn choose(state: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: Option<OsString>| path.map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute(state).map(|state| state.join("pivot/history"));
    state.or_else(|| absolute(home).map(|home| home.join(".pivot_history")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_folder_is_preferred_if_it_is_absolute() {
        let check = |state: Option<&str>, home: Option<&str>, expected: Option<&str>| {
            assert_eq!(choose(state.map(Into::into), home.map(Into::into)), expected.map(PathBuf::from));
        };
        check(Some("/s"), Some("/h"), Some("/s/pivot/history"));
        check(Some("s"), Some("/h"), Some("/h/.pivot_history"));
        check(None, None, None);
    }
}
