//! Decides to which hosts baggage may leave.
//!
//! Baggage holds values from inside the applications. By default it goes to hosts that are inside by their form:
//!
//! | host | examples |
//! |---|---|
//! | loopback, private and link-local addresses | `127.0.0.1`, `10.1.2.3`, `[fd00::7]`, `[::ffff:192.168.0.9]` |
//! | names of one label, as in compose files | `db`, `localhost` |
//! | names below [domains that no public name is in](INTERNAL_DOMAINS) | `store.prod.svc.cluster.local`, `nas.home.arpa` |
//!
//! and to hosts that an operator has listed. From calls to other hosts it is withheld: such a call forks no branch, and
//! it is counted with the host's name. Names are not resolved: whoever answers DNS would decide.

use crate::punycode;
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

/// The environment variable that lists hosts to which baggage may leave, besides internal ones.
pub const EGRESS_VARIABLE: &str = "PIVOT_EGRESS";

/// Domains whose names are never public: by RFC 6761, 6762, 8375, by ICANN's reservation, or as clusters use them.
pub const INTERNAL_DOMAINS: [&str; 8] =
    [".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test", ".svc", ".cluster.local"];

/// The set of hosts to which baggage may leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Egress {
    scope: UnlistedHosts,
    listed: Vec<ListedHosts>,
}

/// The hosts that are allowed without being listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UnlistedHosts {
    ListedOnly,
    /// Hosts that are inside by their form.
    Internal,
    All,
}

/// Hosts of one entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ListedHosts {
    /// A name, in which `*` stands for any characters, at least one.
    Names(String),
    Addresses(RangeInclusive<IpAddr>),
}

/// A host of a call, or of the list, in its plain form.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Host<'a> {
    Address(IpAddr),
    /// In lower case and ASCII, without a dot at its end.
    Name(Cow<'a, str>),
}

impl Egress {
    /// Allows only the hosts that are listed.
    pub fn listed() -> Egress {
        Egress { scope: UnlistedHosts::ListedOnly, listed: Vec::new() }
    }

    /// Allows hosts that are inside by their form (see [the module](self)), and the hosts that are listed.
    pub fn private() -> Egress {
        Egress { scope: UnlistedHosts::Internal, ..Egress::listed() }
    }

    /// Allows every host.
    pub fn everywhere() -> Egress {
        Egress { scope: UnlistedHosts::All, ..Egress::listed() }
    }

    /// Lists hosts. A port, a user, a scheme or a path around a host is left out.
    ///
    /// | form | example |
    /// |---|---|
    /// | a name, or an address | `api.example.com`, `203.0.113.9`, `[2001:db8::1]` |
    /// | names | `*.example.com` for every name below it, `api-*.example.com` |
    /// | addresses | `203.0.113.0/24`, `2001:db8::/32`, `203.0.113.1-203.0.113.9` |
    pub fn allow(mut self, hosts: &str) -> Egress {
        self.listed.push(ListedHosts::parse(hosts));
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

    /// Returns whether baggage may leave to a host, which may stand in an authority: `user@host:80`.
    pub fn allows(&self, host: &str) -> bool {
        if self.scope == UnlistedHosts::All {
            return true;
        }
        let Some(host) = Host::parse(host) else { return false };
        self.scope == UnlistedHosts::Internal && host.is_internal()
            || self.listed.iter().any(|listed| listed.has(&host))
    }
}

impl ListedHosts {
    fn parse(entry: &str) -> ListedHosts {
        if let Some(range) = range_of(entry.trim()) {
            return ListedHosts::Addresses(range);
        }
        match Host::parse(entry) {
            Some(Host::Address(address)) => ListedHosts::Addresses(address..=address),
            Some(Host::Name(name)) => ListedHosts::Names(name.into_owned()),
            // No host is empty, so this one is never called.
            None => ListedHosts::Names(String::new()),
        }
    }

    fn has(&self, host: &Host<'_>) -> bool {
        match (self, host) {
            (ListedHosts::Names(pattern), Host::Name(name)) => matches(pattern.as_bytes(), name.as_bytes()),
            (ListedHosts::Addresses(range), Host::Address(address)) => {
                // Addresses of both kinds are ordered, the older ones first.
                range.start().is_ipv4() == address.is_ipv4() && range.contains(address)
            }
            _ => false,
        }
    }
}

/// Returns the addresses of `10.0.0.0/8` or `10.0.0.1-10.0.0.9`, or `None` if it is no range.
fn range_of(entry: &str) -> Option<RangeInclusive<IpAddr>> {
    if let Some((first, last)) = entry.split_once('-') {
        let (first, last) = (address_of(first.trim())?, address_of(last.trim())?);
        return (first.is_ipv4() == last.is_ipv4()).then_some(first..=last);
    }

    let (address, bits) = entry.split_once('/')?;
    let bits: u32 = bits.trim().parse().ok()?;
    match address_of(address.trim())? {
        IpAddr::V4(ip) => {
            let below = u32::MAX.checked_shr(bits).unwrap_or(0);
            let first = ip.to_bits() & !below;
            (bits <= 32).then(|| Ipv4Addr::from(first).into()..=Ipv4Addr::from(first | below).into())
        }
        IpAddr::V6(ip) => {
            let below = u128::MAX.checked_shr(bits).unwrap_or(0);
            let first = ip.to_bits() & !below;
            (bits <= 128).then(|| Ipv6Addr::from(first).into()..=Ipv6Addr::from(first | below).into())
        }
    }
}

/// Returns the address of a text, with or without brackets and a zone. `::ffff:10.0.0.1` is `10.0.0.1`, since it reaches
/// the same host.
fn address_of(text: &str) -> Option<IpAddr> {
    let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let without_zone = inside.split_once('%').map_or(inside, |(address, _)| address);
    match without_zone.parse().ok()? {
        IpAddr::V6(ip) => Some(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)),
        // Only addresses of the newer kind have zones.
        IpAddr::V4(ip) => (without_zone.len() == inside.len()).then_some(IpAddr::V4(ip)),
    }
}

impl Host<'_> {
    /// Returns the host of a text, or `None` if it names none.
    fn parse(text: &str) -> Option<Host<'_>> {
        let text = text.trim();
        // Clients differ in what they make of these, and so in the host that they call.
        if text.bytes().any(|byte| byte <= b' ' || byte == b'\\') {
            return None;
        }
        let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        // A user may hold anything but `@`.
        let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);

        if let Some(address) = address_of(without_port(place)).or_else(|| address_of(place)) {
            return Some(Host::Address(address));
        }
        let name = punycode::to_ascii(without_port(place))?;
        let name = match name {
            Cow::Borrowed(name) => Cow::Borrowed(name.strip_suffix('.').unwrap_or(name)),
            Cow::Owned(name) => Cow::Owned(name.strip_suffix('.').unwrap_or(&name).to_owned()),
        };

        // Two dots in a row, or a character that no name has, may mean another host to whoever resolves it.
        name.split('.').all(is_label).then_some(Host::Name(name))
    }

    /// Returns whether the host is inside by its form.
    fn is_internal(&self) -> bool {
        match self {
            Host::Address(IpAddr::V4(ip)) => {
                // `0.0.0.0` reaches this host.
                ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()
            }
            Host::Address(IpAddr::V6(ip)) => {
                ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified()
            }
            Host::Name(name) => {
                // Resolvers read `134744072` and `0x8.8` as addresses.
                let last = name.rsplit('.').next().unwrap_or_default();
                let is_number = last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit());
                let is_below_internal = INTERNAL_DOMAINS
                    .iter()
                    .any(|domain| name.ends_with(*domain) && name.len() > domain.len());
                !is_number && (!name.contains('.') || is_below_internal)
            }
        }
    }
}

/// Returns whether a text may stand between the dots of a host's name.
fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_*".contains(&byte))
}

/// Removes a port. An address of the newer kind without brackets has none.
fn without_port(place: &str) -> &str {
    match place.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            let is_bracketed = host.ends_with(']');
            if is_bracketed || !host.contains(':') { host } else { place }
        }
        _ => place,
    }
}

/// Returns whether a name fits a pattern, in which each `*` stands for at least one character.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut pattern_at) = (0, 0);
    // Where the last star was, and behind how many characters it is tried next.
    let mut retry: Option<(usize, usize)> = None;

    while at < name.len() {
        if pattern.get(pattern_at) == Some(&b'*') {
            retry = Some((pattern_at, at + 1));
            (pattern_at, at) = (pattern_at + 1, at + 1);
        } else if pattern.get(pattern_at) == Some(&name[at]) {
            (pattern_at, at) = (pattern_at + 1, at + 1);
        } else if let Some((star, until)) = retry {
            retry = Some((star, until + 1));
            (pattern_at, at) = (star + 1, until + 1);
        } else {
            return false;
        }
    }
    at == name.len() && pattern_at == pattern.len()
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
        let inside_v4 = ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.9", "169.254.1.1", "0.0.0.0"];
        let inside_v6 = [
            "[::1]",
            "::1",
            "fd00::7",
            "[FD12:3456::1]:8080",
            "fe80::1",
            "[fe80::1%eth0]",
            "[fe80::1%25eth0]:80",
            "[::ffff:10.0.0.1]",
            "::ffff:a00:1",
            "[::ffff:169.254.0.1]",
        ];
        let outside = [
            "8.8.8.8",
            "172.32.0.1",
            "8.8.8.8:80",
            "2606:4700::1",
            "[2606:4700::1]:443",
            "[::ffff:8.8.8.8]",
            "::8.8.8.8",
            "100.64.0.1",
            "",
            "[]",
            "[::1",
            "10.0.0.1%eth0",
        ];
        check(&Egress::parse(""), &[&inside_v4[..], &inside_v6[..]].concat(), &outside);
    }

    #[test]
    fn names_that_are_internal_by_their_form_are_allowed() {
        let inside = [
            "localhost",
            "db",
            "DB",
            "name-node-0",
            "data_node",
            "db:5432",
            "db.",
            "a.localhost",
            "printer.local",
            "store.internal",
            "STORE.Internal.",
            "nas.lan",
            "nas.home.arpa",
            "shop.test",
            "store.prod.svc",
            "store.prod.svc.cluster.local:7000",
            "user:secret@db",
            "bücher",
            "xn--bcher-kva",
        ];
        let outside = [
            "example.com",
            "localhost.example.com",
            "local.example.com",
            "internal.com",
            "svc.example.com",
            "a.notlocal",
            "home.arpa.example.org",
            "a.arpa",
            ".local",
            "a..local",
            "db@example.com",
            "10.0.0.1@example.com",
            "example.com\\@10.0.0.1",
            "134744072",
            "0x08080808",
            "010.0.0.1",
            "8.8.8.8.",
            "a%2eexample%2ecom",
            "ａｐｉ．ｅｘａｍｐｌｅ．ｃｏｍ",
            "x.local.example.com.",
            "db..",
        ];
        check(&Egress::private(), &inside, &outside);
    }

    #[test]
    fn listed_hosts_are_allowed_and_names_below_where_it_says_so() {
        let egress =
            Egress::parse("Store.Example, *.svc.example,[2001:db8::1], https://api.example.org:443/v1");
        let outside = ["svc.example", "xsvc.example", "a.store.example", "2001:db8::2", "www.example.org"];
        let inside = ["store.example", "STORE.example.:80", "a.b.svc.EXAMPLE", "[2001:db8::1]", "127.0.0.1"];
        check(&egress, &[&inside[..], &["api.example.org", "u:p@api.example.org:8443"]].concat(), &outside);
        check(&Egress::listed().allow("a"), &["a"], &["127.0.0.1", "b"]);
        check(&Egress::parse("*"), &["example.com", "8.8.8.8", ""], &[]);
    }

    #[test]
    fn globs_and_ranges_are_allowed() {
        let egress =
            Egress::parse("api-*.example.com, 203.0.113.0/24, 2001:db8::/32, 198.51.100.7-198.51.100.9");
        let inside = [
            "api-1.example.com",
            "api-eu-2.example.com",
            "203.0.113.255",
            "[2001:db8:ffff::1]:80",
            "198.51.100.8",
            "[::ffff:203.0.113.7]",
        ];
        let outside = ["api-.example.com", "api-1.example.org", "203.0.114.0", "2001:db9::", "198.51.100.10"];
        check(&egress, &inside, &outside);
        check(&Egress::parse("0.0.0.0/0"), &["8.8.8.8"], &["2606:4700::1", "example.com"]);
        check(
            &Egress::parse("203.0.113.0/33, 1.2.3.9-::1, /8, -"),
            &[],
            &["203.0.113.1", "1.2.3.9", "8.8.8.8"],
        );
    }

    #[test]
    fn names_in_other_alphabets_are_the_same_in_punycode() {
        let egress = Egress::parse("bücher.example, xn--mnchen-3ya.example");
        check(
            &egress,
            &["xn--bcher-kva.example", "BÜCHER.example", "XN--BCHER-KVA.example", "münchen.example"],
            &["bucher.example", "xn--bcher-kva.example.org"],
        );
    }
}
