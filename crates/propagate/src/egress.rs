//! Decides to which hosts baggage may leave.
//!
//! Baggage holds values from inside the applications. By default it goes to loopback and private
//! addresses, and to hosts that an operator has listed. From calls to other hosts it is withheld: such
//! a call forks no branch, and it is counted with the host's name.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, OnceLock};

/// The environment variable that lists hosts to which baggage may leave, besides the private ones.
pub const EGRESS_VARIABLE: &str = "PIVOT_EGRESS";

/// The set of hosts to which baggage may leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Egress {
    scope: UnlistedHosts,
    /// Hosts in lower case; a name that begins with `*.` stands for every name below it.
    listed: Vec<String>,
}

/// The hosts that are allowed without being listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UnlistedHosts {
    ListedOnly,
    /// Loopback, private and link-local addresses.
    Private,
    All,
}

impl Egress {
    /// Allows only the hosts that are listed.
    pub fn listed() -> Egress {
        Egress { scope: UnlistedHosts::ListedOnly, listed: Vec::new() }
    }

    /// Allows loopback, private and link-local addresses, and the hosts that are listed.
    pub fn private() -> Egress {
        Egress { scope: UnlistedHosts::Private, ..Egress::listed() }
    }

    /// Allows every host.
    pub fn everywhere() -> Egress {
        Egress { scope: UnlistedHosts::All, ..Egress::listed() }
    }

    /// Lists a host: a name, an address, or `*.example.com` for every name below it.
    pub fn allow(mut self, host: &str) -> Egress {
        self.listed.push(bare(host).to_ascii_lowercase());
        self
    }

    /// Returns [`Egress::private`] with the hosts that `PIVOT_EGRESS` lists, separated by commas; `*`
    /// among them allows every host. The variable is read once per process.
    pub fn from_env() -> Arc<Egress> {
        static SET: OnceLock<Arc<Egress>> = OnceLock::new();
        SET.get_or_init(|| Arc::new(Egress::parse(&std::env::var(EGRESS_VARIABLE).unwrap_or_default())))
            .clone()
    }

    fn parse(hosts: &str) -> Egress {
        let hosts = hosts.split(',').map(str::trim).filter(|host| !host.is_empty());
        hosts.fold(Egress::private(), |egress, host| match host {
            "*" => Egress { scope: UnlistedHosts::All, ..egress },
            _ => egress.allow(host),
        })
    }

    /// Returns whether baggage may leave to a host.
    pub fn allows(&self, host: &str) -> bool {
        let host = bare(host);
        self.scope == UnlistedHosts::All
            || self.scope == UnlistedHosts::Private && is_private(host)
            || self.listed.iter().any(|listed| matches(listed, &host.to_ascii_lowercase()))
    }
}

/// Removes the brackets around an IPv6 address.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Returns whether a host is the listed one, or a name below it if that begins with `*`.
fn matches(listed: &str, host: &str) -> bool {
    match listed.strip_prefix('*') {
        Some(below) => host.ends_with(below) && host.len() > below.len(),
        None => host == listed,
    }
}

/// Returns whether a host is a loopback, private or link-local address, or `localhost`. Other names are
/// not resolved: whoever answers DNS would decide.
fn is_private(host: &str) -> bool {
    match host.parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => is_private_v6(ip),
        Err(_) => matches("localhost", &host.to_ascii_lowercase()),
    }
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    // `::ffff:10.0.0.1` reaches what `10.0.0.1` does.
    let mapped = ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback() || ip.is_private());
    mapped || ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks which hosts an egress allows, and from which it withholds baggage.
    fn check(egress: &Egress, allowed: &[&str], held_back: &[&str]) {
        allowed.iter().for_each(|host| assert!(egress.allows(host), "{host}"));
        held_back.iter().for_each(|host| assert!(!egress.allows(host), "{host}"));
    }

    #[test]
    fn by_default_baggage_stays_among_private_addresses() {
        let inside_v4 = ["127.0.0.1", "localhost", "10.1.2.3", "172.16.0.1", "192.168.0.9", "169.254.1.1"];
        let inside_v6 = ["[::1]", "::1", "fd00::7", "fe80::1", "[::ffff:10.0.0.1]"];
        let outside = ["8.8.8.8", "172.32.0.1", "example.com", "2606:4700::1", "localhost.example.com", ""];
        check(&Egress::parse(""), &[&inside_v4[..], &inside_v6[..]].concat(), &outside);
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
