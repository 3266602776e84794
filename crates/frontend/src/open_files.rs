//! How many files, and so connections, this process may have open.

/// Raises the limit of open files to what the process may have, and returns the limit.
///
/// The usual limit of 1,024 is for programs that call `select`; each agent and client takes one file.
pub(crate) fn raise_limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes to `limit`, which is a whole `rlimit`.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return usize::MAX;
    }

    let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // SAFETY: the kernel reads `raised`, which is a whole `rlimit`.
    let is_raised = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0;
    let current = if is_raised { raised.rlim_cur } else { limit.rlim_cur };
    usize::try_from(current).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_as_high_as_it_may_be() {
        let limit = raise_limit();
        assert!(limit > 64, "{limit}");
        assert_eq!(raise_limit(), limit);
    }
}
