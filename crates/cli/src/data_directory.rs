//! Where `pivot server` keeps its state.

use crate::error::CliError;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The word that stands for keeping nothing.
const NONE: &str = "none";

/// Returns the data directory that the arguments ask for, or the usual one; `None` if nothing is to be kept.
pub(crate) fn data_directory(given: Option<&Path>) -> Result<Option<PathBuf>, CliError> {
    match given {
        Some(given) if given == Path::new(NONE) => Ok(None),
        Some(given) => Ok(Some(given.to_owned())),
        None => usual(std::env::var_os("XDG_DATA_HOME"), std::env::home_dir())
            .map(Some)
            .ok_or(CliError::NoDataDirectory),
    }
}

/// Returns the directory below the user's directory for data, as the XDG base directories define it.
fn usual(data_home: Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    // A path that is not absolute is to be ignored.
    let data_home = data_home.map(PathBuf::from).filter(|path| path.is_absolute());
    let home = home.filter(|path| path.is_absolute());
    let below_home = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
    data_home.or_else(|| Some(home?.join(below_home))).map(|data| data.join("pivot"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_directory_is_below_that_for_data_or_below_home() {
        let home = Some(PathBuf::from("/home/ada"));
        assert_eq!(usual(Some("/data".into()), home.clone()), Some(PathBuf::from("/data/pivot")));
        for data_home in [None, Some("".into()), Some("relative".into())] {
            let found = usual(data_home, home.clone());
            assert!(found.is_some_and(|found| found.starts_with("/home/ada") && found.ends_with("pivot")));
        }
        assert_eq!(usual(None, None), None);
    }

    #[test]
    fn the_word_none_keeps_nothing() {
        assert!(matches!(data_directory(Some(Path::new("none"))), Ok(None)));
        let given = Path::new("./none");
        assert!(
            matches!(data_directory(Some(given)), Ok(Some(found)) if found == given || found == Path::new("none"))
        );
    }
}
