//! Addresses that a start would refuse, or that nobody could ever reach: told by the check of a configuration, not by
//! the first night in service.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// What is listened on, by port.
#[derive(Default)]
pub(super) struct Taken(BTreeMap<u16, Vec<SocketAddr>>);

impl Taken {
    /// Takes an address; the one in its way, if there is one.
    pub(super) fn take(&mut self, address: SocketAddr) -> Option<SocketAddr> {
        let beside = self.0.entry(address.port()).or_default();
        let other = beside.iter().copied().find(|other| clash(*other, address));
        beside.push(address);
        other
    }
}

/// Whether only one of the two can be listened on: one port, and one address or all of a family. Port 0 is another one
/// each time.
pub(super) fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() != 0 && one.port() == other.port() && (covers(one, other) || covers(other, one))
}

/// Whether who listens on `wide` is met at `narrow`. All of IPv6 is all of IPv4 as well (ipv6(7), IPV6_V6ONLY).
fn covers(wide: SocketAddr, narrow: SocketAddr) -> bool {
    match (wide.ip().to_canonical(), narrow.ip().to_canonical()) {
        (IpAddr::V6(all), _) if all.is_unspecified() => true,
        (IpAddr::V4(all), IpAddr::V4(_)) if all.is_unspecified() => true,
        (one, other) => one == other && scope(wide) == scope(narrow),
    }
}

fn scope(address: SocketAddr) -> u32 {
    if let SocketAddr::V6(address) = address { address.scope_id() } else { 0 }
}

/// Whether connecting to `address` ends at what `listener` listens on in this machine.
pub(super) fn reaches(address: SocketAddr, listener: SocketAddr) -> bool {
    let local = address.ip().to_canonical().is_loopback() || address.ip().is_unspecified();
    listener.port() != 0
        && address.port() == listener.port()
        && (address == listener || local && covers(listener, address))
}

/// Why nobody can listen on it or connect to it.
pub(super) fn unusable(address: SocketAddr) -> Option<&'static str> {
    match address.ip().to_canonical() {
        ip if ip.is_multicast() => Some("is a multicast address, which TCP does not know"),
        IpAddr::V4(ip) if ip.is_broadcast() => Some("is the broadcast address, which TCP does not know"),
        IpAddr::V6(ip) if ip.is_unicast_link_local() && scope(address) == 0 => {
            Some("is a link-local address and needs its interface, as in [fe80::1%2]:7100")
        }
        _ => None,
    }
}

/// Why nobody can connect to it.
pub(super) fn unreachable(address: SocketAddr) -> Option<&'static str> {
    if address.port() == 0 {
        return Some("has port 0, on which nobody listens");
    }
    if address.ip().to_canonical().is_unspecified() {
        return Some("names no machine: it stands for all addresses of this one");
    }
    unusable(address)
}
