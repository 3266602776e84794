//! Settings of a test run, taken from the environment.

/// Returns the number that a variable of the environment holds.
///
/// # Panics
///
/// If it holds something else.
pub fn number_setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}
