//! By which names requests of HTTP may call a frontend: a page in somebody's browser must not reach one on the same machine.

use std::net::IpAddr;

/// The hosts by which requests may call a frontend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AllowedHosts {
    /// Names of this machine for itself: the frontend listens on loopback.
    Local,
    Any,
}

impl AllowedHosts {
    /// Returns the hosts for a frontend that listens at an address.
    pub(crate) fn at(address: IpAddr) -> AllowedHosts {
        if address.to_canonical().is_loopback() { AllowedHosts::Local } else { AllowedHosts::Any }
    }

    /// Whether a request with this host is served. Probes of old send none, and browsers always do.
    pub(crate) fn allow(self, host: Option<&str>) -> bool {
        self == AllowedHosts::Any || host.is_none_or(is_local)
    }
}

/// Whether a host, with a port or without, is a name of this machine for itself.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']').map_or(bracketed, |(name, _)| name),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_loopback_a_host_has_to_be_local() {
        let local =
            ["localhost", "LOCALHOST:7468", "localhost.", "a.localhost:1", "127.0.0.1", "127.3.2.1:7468"];
        for host in local.into_iter().chain(["[::1]", "[::1]:7468"]) {
            assert!(AllowedHosts::Local.allow(Some(host)), "{host}");
        }
        let foreign =
            ["", "evil.example", "evil.example:7468", "localhost.evil.example", "127.0.0.1.evil.example"];
        for host in
            foreign.into_iter().chain(["10.0.0.1", "[::2]", "[", ":7468", "evil-localhost", "0.0.0.0"])
        {
            assert!(!AllowedHosts::Local.allow(Some(host)), "{host}");
            assert!(AllowedHosts::Any.allow(Some(host)), "{host}");
        }
        assert!(AllowedHosts::Local.allow(None));
    }
}
