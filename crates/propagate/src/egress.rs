//! To whom baggage may leave.
//!
//! What it holds came from inside the applications, so by default it goes to loopback and private
//! addresses and to hosts that somebody has listed. The rest is held back: such a call is not a
//! branch at all, and it is counted.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, OnceLock};

/// The environment variable with hosts to which baggage may leave, besides the private ones.
pub const EGRESS_VARIABLE: &str = "PIVOT_EGRESS";

/// A set of hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Egress {
    scope: HostScope,
    /// Lower case; `*.` in front means every name below.
    listed: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HostScope {
    ListedOnly,
    Private,
    All,
}

impl Egress {
    /// Only the hosts that are listed.
    pub fn listed() -> Egress {
        Egress { scope: HostScope::ListedOnly, listed: Vec::new() }
    }

    /// Loopback, private and link-local addresses, and the hosts that are listed.
    pub fn private() -> Egress {
        Egress { scope: HostScope::Private, ..Egress::listed() }
    }

    /// Every host.
    pub fn everywhere() -> Egress {
        Egress { scope: HostScope::All, ..Egress::listed() }
    }

    /// Lists a host: a name, an address, or `*.example.com` for every name below.
    pub fn allow(mut self, host: &str) -> Egress {
        self.listed.push(bare(host).to_ascii_lowercase());
        self
    }

    /// [`Egress::private`] and the hosts that `PIVOT_EGRESS` lists, separated by commas, as it was
    /// when it was first asked for; `*` among them means every host.
    pub fn from_env() -> Arc<Egress> {
        static SET: OnceLock<Arc<Egress>> = OnceLock::new();
        let read = || Arc::new(Egress::parse(&std::env::var(EGRESS_VARIABLE).unwrap_or_default()));
        SET.get_or_init(read).clone()
    }

    fn parse(hosts: &str) -> Egress {
        let hosts = hosts.split(',').map(str::trim).filter(|host| !host.is_empty());
        hosts.fold(Egress::private(), |egress, host| match host {
            "*" => Egress { scope: HostScope::All, ..egress },
            _ => egress.allow(host),
        })
    }

    /// Whether baggage may leave to a host.
    pub fn allows(&self, host: &str) -> bool {
        let host = bare(host);
        self.scope == HostScope::All
            || self.scope == HostScope::Private && is_private(host)
            || self.listed.iter().any(|listed| matches(listed, &host.to_ascii_lowercase()))
    }
}

/// Without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn matches(listed: &str, host: &str) -> bool {
    match listed.strip_prefix('*') {
        Some(below) => host.ends_with(below) && host.len() > below.len(),
        None => host == listed,
    }
}

fn is_private(host: &str) -> bool {
    match host.parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => is_private_v6(ip),
        Err(_) => matches("localhost", &host.to_ascii_lowercase()),
    }
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    let mapped = ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback() || ip.is_private());
    mapped || ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(egress: &Egress, allowed: &[&str], held_back: &[&str]) {
        allowed.iter().for_each(|host| assert!(egress.allows(host), "{host}"));
        held_back.iter().for_each(|host| assert!(!egress.allows(host), "{host}"));
    }

    #[test]
    fn by_default_baggage_stays_among_private_addresses() {
        let inside = ["127.0.0.1", "localhost", "10.1.2.3", "172.16.0.1", "192.168.0.9", "169.254.1.1"];
        let inside_v6 = ["[::1]", "::1", "fd00::7", "fe80::1", "[::ffff:10.0.0.1]"];
        let outside = ["8.8.8.8", "172.32.0.1", "example.com", "2606:4700::1", "localhost.example.com", ""];
        check(&Egress::parse(""), &[&inside[..], &inside_v6[..]].concat(), &outside);
    }

    #[test]
    fn listed_hosts_are_allowed_and_names_below_where_it_says_so() {
        let egress = Egress::parse("Store.internal, *.svc.local,[2001:db8::1]");
        let outside = ["svc.local", "xsvc.local", "a.store.internal"];
        check(&egress, &["store.internal", "a.svc.LOCAL", "[2001:db8::1]", "127.0.0.1"], &outside);
        check(&Egress::listed().allow("a"), &["a"], &["127.0.0.1", "b"]);
        check(&Egress::parse("*"), &["example.com"], &[]);
    }
}
