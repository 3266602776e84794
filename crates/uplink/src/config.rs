//! Who this process is, where its frontend listens, and what queries may cost.

use crate::error::UplinkError;
use crate::process_end::EndSignals;
use pivot_advice::{CarrierGlob, QueryBudget};
use pivot_agent::{CpuBudget, ProcessIdentity};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of an agent. A setting that the application does not make comes from the environment:
///
/// | variable | meaning | unless set |
/// |---|---|---|
/// | `PIVOT_FRONTEND` | URL of the frontend | `http://127.0.0.1:7468` |
/// | `PIVOT_PROCESS` | name of the process in queries | name of the executable |
/// | `PIVOT_HOST` | name of the host in queries | name of the machine |
/// | `PIVOT_BUILD` | tells this build of the program from others | a fingerprint of the executable |
/// | `PIVOT_DISABLE=1` | starts nothing: the agent stays idle | starts |
/// | `PIVOT_DISABLE_FILE` | a file that switches weaving off while it exists | none |
/// | `PIVOT_LEASE` | seconds that queries stay woven without a frontend | 600 |
/// | `PIVOT_CPU_BUDGET` | percent of a core for each query | 0.5 |
/// | `PIVOT_CPU_BUDGET_ALL` | percent of a core for all queries | 2 |
/// | `PIVOT_HASH_KEY` | 32 hexadecimal digits, the key of hashes of sensitive fields | random |
/// | `PIVOT_FENCES=1` | keeps the agent from calling `membarrier` | calls it |
/// | `PIVOT_SIGNALS=0` | keeps the agent from handling SIGTERM, SIGINT and SIGHUP | handles them where nobody else does |
/// | `PIVOT_BAGGAGE_BYTES` | the most bytes of baggage that travel with one message | 1,024 |
/// | `PIVOT_WITHIN_MAX` | the most that a query may ask for with `WITHIN`, as `bytes 4KiB, groups 10000, cpu 5%` | the limits of queries that ask for nothing |
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) process: String,
    pub(crate) host: String,
    /// URL of the frontend; checked at the start.
    pub(crate) frontend: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// Whether nothing is started at all.
    pub(crate) disabled: bool,
    /// How long queries stay woven while no frontend is heard from.
    pub(crate) lease: Duration,
    /// Tells this build of the program from others.
    pub(crate) build: String,
    /// Switches weaving off while it exists.
    pub(crate) disable_file: Option<PathBuf>,
    /// Whether a panic reports what was gathered before it unwinds.
    pub(crate) flush_on_panic: bool,
    /// Whether signals that end the process report what was gathered first.
    pub(crate) end_signals: EndSignals,
    /// Whether events execute fences of their own instead of `membarrier`.
    fences: bool,
    budget: CpuBudget,
    /// The most bytes of baggage in one message, as given; checked at the start.
    baggage_bytes: Option<String>,
    /// The most that queries may ask for, as given; checked at the start.
    within_max: Option<String>,
    /// The globs of spans that carry a request, as given; checked at the start.
    carriers: Option<String>,
    /// The key of hashes of sensitive fields; random if there is none.
    hash_key: Option<[u64; 2]>,
}

impl Default for Config {
    fn default() -> Config {
        Config::new()
    }
}

impl Config {
    /// Returns the settings of the environment.
    pub fn new() -> Config {
        // A variable that makes no sense counts as unset: an operator's typing error must not stop a program.
        // Only budgets and the names of carriers are checked, at the start.
        Config {
            process: variable("PIVOT_PROCESS").unwrap_or_else(executable),
            host: variable("PIVOT_HOST").unwrap_or_else(host_name),
            frontend: variable("PIVOT_FRONTEND")
                .unwrap_or_else(|| format!("http://127.0.0.1:{}", pivot_protocol::DEFAULT_PORT)),
            labels: BTreeMap::new(),

            disabled: variable("PIVOT_DISABLE").is_some_and(|value| value != "0"),
            lease: lease(variable("PIVOT_LEASE").as_deref()),
            build: variable("PIVOT_BUILD").unwrap_or_else(crate::build_id::build_id),
            disable_file: variable("PIVOT_DISABLE_FILE").map(PathBuf::from),
            flush_on_panic: cfg!(panic = "abort"),
            end_signals: match variable("PIVOT_SIGNALS").as_deref() {
                Some("0") => EndSignals::LeftAlone,
                _ => EndSignals::Handled,
            },
            fences: variable("PIVOT_FENCES").is_some_and(|value| value != "0"),
            budget: budget(percent("PIVOT_CPU_BUDGET"), percent("PIVOT_CPU_BUDGET_ALL")),
            baggage_bytes: variable("PIVOT_BAGGAGE_BYTES"),
            within_max: variable("PIVOT_WITHIN_MAX"),
            carriers: variable(pivot_agent::CARRIERS_VARIABLE),
            hash_key: variable("PIVOT_HASH_KEY").as_deref().and_then(hash_key),
        }
    }

    /// Sets the process name that queries see; the name of the executable unless set.
    pub fn process(mut self, name: impl Into<String>) -> Config {
        self.process = name.into();
        self
    }

    /// Sets the host that queries see; the machine's name unless set.
    pub fn host(mut self, name: impl Into<String>) -> Config {
        self.host = name.into();
        self
    }

    /// Sets the frontend's URL, `http://127.0.0.1:7468` unless set.
    pub fn frontend(mut self, url: impl Into<String>) -> Config {
        self.frontend = url.into();
        self
    }

    /// Adds a label that describes this process to operators.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Config {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Sets how long queries stay woven while no frontend is heard from; ten minutes unless set.
    ///
    /// It is looked at when a window ends. What queries miss once it has expired is reported, when a frontend
    /// is back, as time in which they did not run.
    pub fn lease(mut self, lease: Duration) -> Config {
        self.lease = lease;
        self
    }

    /// Sets what tells this build of the program from others; a fingerprint of the executable unless set.
    pub fn build(mut self, id: impl Into<String>) -> Config {
        self.build = id.into();
        self
    }

    /// Sets a file that switches weaving off while it exists.
    pub fn disable_file(mut self, path: impl Into<PathBuf>) -> Config {
        self.disable_file = Some(path.into());
        self
    }

    /// Sets what queries may use of the processor.
    pub fn cpu_budget(mut self, budget: CpuBudget) -> Config {
        self.budget = budget;
        self
    }

    /// Sets the most bytes of baggage that travel from this process with one message; 1,024 unless set, and
    /// [`HARD_LIMIT`](pivot_baggage::HARD_LIMIT), which is 4,096, at most.
    ///
    /// What does not fit is left behind, newest query first, and results that lack it say so; ids always travel.
    pub fn baggage_bytes(mut self, bytes: usize) -> Config {
        self.baggage_bytes = Some(bytes.to_string());
        self
    }

    /// Sets the most that a query may ask for with `WITHIN` in this process. Where the ceiling is silent, a query may
    /// ask for less than the process's default and not for more.
    pub fn within_max(mut self, ceiling: QueryBudget) -> Config {
        self.within_max = Some(ceiling.to_string());
        self
    }

    /// Sets which `tracing` spans carry a request, by globs over `target::name` that are separated by commas, such as
    /// `app::*::http_request, tower_http::**`. They add to the spans that carry one anyway.
    pub fn carriers(mut self, globs: impl Into<String>) -> Config {
        self.carriers = Some(globs.into());
        self
    }

    /// Sets the key under which sensitive fields are hashed: processes with the same key give the same
    /// hashes.
    pub fn hash_key(mut self, key: [u64; 2]) -> Config {
        self.hash_key = Some(key);
        self
    }

    /// Has every event execute a memory fence of its own, some nanoseconds, instead of calling `membarrier`
    /// when advice is woven: for sandboxes that kill a process over that system call. Without effect if an
    /// agent was started in this process before.
    pub fn fences(mut self) -> Config {
        self.fences = true;
        self
    }

    /// Makes every panic report what was gathered, before the thread unwinds. Programs that abort on panic
    /// always do, because they have no other end.
    pub fn flush_on_panic(mut self) -> Config {
        self.flush_on_panic = true;
        self
    }

    /// Installs no handlers of signals.
    ///
    /// Otherwise SIGTERM, SIGINT and SIGHUP, where they would end the process by default, first have what was gathered
    /// reported, for half a second at most; then the process ends by the signal. Handlers of the application, earlier and later
    /// ones, stay in charge.
    pub fn leave_signals_alone(mut self) -> Config {
        self.end_signals = EndSignals::LeftAlone;
        self
    }

    /// Hands the settings to the agent and to baggage that concern them: budgets, identity, fences and the key of
    /// hashes. Fails, with nothing changed, if a setting makes no sense.
    pub(crate) fn apply(&self) -> Result<(), UplinkError> {
        // All are read before any is set, so that a mistake changes nothing.
        let ceiling = within_max(self.within_max.as_deref().unwrap_or_default())?;
        let carriers = self.carriers.as_deref().map(CarrierGlob::list).transpose()?;
        if let Some(given) = &self.baggage_bytes {
            pivot_baggage::set_budget_bytes(baggage_bytes(given)?);
        }
        pivot_agent::set_budget_ceiling(ceiling);

        if let Some(carriers) = carriers {
            pivot_agent::set_carriers(carriers);
        }
        pivot_agent::set_identity(ProcessIdentity::new(&self.host, &self.process));
        pivot_agent::set_cpu_budget(self.budget);
        if self.fences {
            pivot_agent::use_fences();
        }
        if let Some(key) = self.hash_key {
            // The first key of a process stays; an agent that was started before has set it.
            let _ = pivot_agent::set_hash_key(key);
        }
        Ok(())
    }
}

/// Returns an environment variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns an environment variable that is a number.
fn percent(name: &str) -> Option<f64> {
    variable(name)?.parse().ok()
}

/// Returns a lease of so many seconds, or the default of ten minutes.
fn lease(seconds: Option<&str>) -> Duration {
    let given = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.parse().ok()?).ok());
    given.unwrap_or(Duration::from_secs(600))
}

/// Returns the budget for percents of a core, each of which may be unset or make no sense.
fn budget(query: Option<f64>, all: Option<f64>) -> CpuBudget {
    let default = CpuBudget::default();
    CpuBudget { query: fraction(query, default.query), all: fraction(all, default.all) }
}

fn fraction(percent: Option<f64>, default: f64) -> f64 {
    percent.filter(|percent| *percent > 0.0).map_or(default, |percent| percent / 100.0)
}

/// Returns a budget of baggage in bytes; one beyond the hard limit is refused.
fn baggage_bytes(given: &str) -> Result<usize, UplinkError> {
    let bytes = given.parse().ok().filter(|bytes| *bytes <= pivot_baggage::HARD_LIMIT);
    bytes.ok_or_else(|| UplinkError::BaggageBytes { given: given.to_owned() })
}

/// Returns the ceiling of budgets that a text says.
fn within_max(given: &str) -> Result<QueryBudget, UplinkError> {
    given.parse().map_err(|reason| UplinkError::WithinMax { given: given.to_owned(), reason })
}

/// Returns the key that 32 hexadecimal digits stand for.
fn hash_key(digits: &str) -> Option<[u64; 2]> {
    let key = u128::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 32)?;
    Some([(key >> 64) as u64, key as u64])
}

fn executable() -> String {
    let path = std::env::current_exe().ok();
    let name = path.as_deref().and_then(|path| path.file_stem()).and_then(|name| name.to_str());
    name.unwrap_or("unknown").to_owned()
}

fn host_name() -> String {
    let name =
        std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    name.map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_key_is_32_hexadecimal_digits() {
        assert_eq!(hash_key("0000000000000001000000000000000f"), Some([1, 15]));
        assert_eq!(hash_key("1f"), None);
        assert_eq!(hash_key("x000000000000001000000000000000f"), None);
    }

    #[test]
    fn a_baggage_budget_is_a_number_of_bytes_up_to_the_hard_limit() {
        for given in ["0", "1024", "4096"] {
            assert_eq!(baggage_bytes(given).ok().map(|bytes| bytes.to_string()).as_deref(), Some(given));
        }
        for given in ["4097", "-1", "1 KiB", "1e3"] {
            let wrong = baggage_bytes(given).err().map(|error| error.to_string()).unwrap_or_default();
            let due = "is not a number of bytes from 0 to 4096, as PIVOT_BAGGAGE_BYTES has to be";
            assert_eq!(wrong, format!("baggage budget `{given}` {due}"));
        }
    }

    #[test]
    fn a_ceiling_of_budgets_is_written_as_in_a_query() {
        let read = |given: &str| {
            within_max(given).map_or_else(|error| error.to_string(), |ceiling| ceiling.to_string())
        };
        assert_eq!(read("groups 5000, cpu 5%"), "groups 5000, cpu 5%");
        assert_eq!(read(""), "");
        assert_eq!(
            read("group 5"),
            "ceiling `group 5` of budgets: unknown budget `group`: budgets are bytes, groups and cpu; \
             PIVOT_WITHIN_MAX is written as `bytes 4KiB, groups 10000, cpu 5%`"
        );
    }

    #[test]
    fn names_of_carriers_that_cannot_be_read_are_an_error_at_the_start() {
        let wrong = Config::new().carriers("app::{a}").apply().err().map(|error| error.to_string());
        assert_eq!(
            wrong.as_deref(),
            Some(
                "`app::{a}` is no glob over `target::name`: `{` has no meaning in it; one is \
                 `app::*::http_request`, or `app::**`, and PIVOT_CARRIERS is a list of such, separated by commas"
            )
        );
    }

    #[test]
    fn a_lease_is_in_seconds_and_nonsense_is_the_default() {
        assert_eq!(lease(Some("2.5")), Duration::from_millis(2_500));
        assert_eq!([Some("-1"), Some("NaN"), Some("long"), None].map(lease), [Duration::from_secs(600); 4]);
    }

    #[test]
    fn budgets_are_percents_and_nonsense_is_the_default() {
        assert_eq!(budget(Some(1.0), Some(-5.0)), CpuBudget { query: 0.01, all: 0.02 });
        assert_eq!(budget(None, Some(f64::NAN)), CpuBudget::default());
    }
}
