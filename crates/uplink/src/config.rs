//! Who this process is and where its frontend listens.

use crate::error::UplinkError;
use crate::thread::Uplink;
use pivot_agent::Identity;
use std::collections::BTreeMap;
use std::time::Duration;

/// Settings of an agent. What is not set comes from the environment: `PIVOT_FRONTEND`, `PIVOT_PROCESS`,
/// `PIVOT_HOST`, and `PIVOT_DISABLE=1`, which leaves everything idle.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) process: String,
    pub(crate) host: String,
    pub(crate) frontend: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) disabled: bool,
    pub(crate) lease: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config::new()
    }
}

impl Config {
    /// The settings of the environment.
    pub fn new() -> Config {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Config {
            process: variable("PIVOT_PROCESS").unwrap_or_else(executable),
            host: variable("PIVOT_HOST").unwrap_or_else(host_name),
            frontend: variable("PIVOT_FRONTEND")
                .unwrap_or_else(|| format!("http://127.0.0.1:{}", pivot_protocol::DEFAULT_PORT)),
            labels: BTreeMap::new(),
            disabled: variable("PIVOT_DISABLE").is_some_and(|value| value != "0"),
            lease: Duration::from_secs(600),
        }
    }

    /// The process name that queries see; the name of the executable unless set.
    pub fn process(mut self, name: impl Into<String>) -> Config {
        self.process = name.into();
        self
    }

    /// The host that queries see; the machine's name unless set.
    pub fn host(mut self, name: impl Into<String>) -> Config {
        self.host = name.into();
        self
    }

    /// The frontend's URL, `http://127.0.0.1:7468` unless set.
    pub fn frontend(mut self, url: impl Into<String>) -> Config {
        self.frontend = url.into();
        self
    }

    /// A label that describes this process to operators.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Config {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// How long queries stay woven while no frontend is heard from; ten minutes unless set.
    pub fn lease(mut self, lease: Duration) -> Config {
        self.lease = lease;
        self
    }

    /// Starts the agent. There is one in a process: the last one to start decides what is woven.
    pub fn start(self) -> Result<Uplink, UplinkError> {
        pivot_agent::set_identity(Identity::new(&self.host, &self.process));
        Uplink::start(self)
    }

    /// [`Config::start`], as the façade's builder calls it.
    pub fn init(self) -> Result<Uplink, UplinkError> {
        self.start()
    }
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
