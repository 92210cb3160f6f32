//! Which addresses a plugin's request may reach.
//!
//! Public ones; private ones if the operator says so for the target; and some never: those of link-local networks,
//! where clouds hand out credentials to whoever asks, and those that are no single host's. An address of version 4
//! inside of one of version 6 is what it is inside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address that a request may not reach.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the target is at {what}{}", remedy(*is_private))]
pub struct Refused {
    /// The address, for the operator.
    pub address: IpAddr,
    what: &'static str,
    is_private: bool,
}

fn remedy(is_private: bool) -> &'static str {
    match is_private {
        true => ", which the operator has not allowed for it (allow_private)",
        false => ", to which no plugin may send anything",
    }
}

/// What an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Public,
    Private(&'static str),
    Never(&'static str),
}

/// Whether a request may reach the address.
///
/// # Errors
/// What it is that it may not.
pub fn check(address: IpAddr, allow_private: bool) -> Result<(), Refused> {
    let refused = |what, is_private| {
        Err(Refused {
            address,
            what,
            is_private,
        })
    };
    match kind(address) {
        Kind::Public => Ok(()),
        Kind::Private(_) if allow_private => Ok(()),
        Kind::Private(what) => refused(what, true),
        Kind::Never(what) => refused(what, false),
    }
}

fn kind(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(v4) => of_v4(v4),
        IpAddr::V6(v6) => of_v6(v6),
    }
}

/// By IANA's registry of special addresses, and the addresses of clouds' metadata that are in none of its networks.
fn of_v4(address: Ipv4Addr) -> Kind {
    use Kind::{Never, Private, Public};
    match address.octets() {
        [168, 63, 129, 16] | [169, 254, ..] => {
            Never("an address of the host's own network (link-local, metadata)")
        }
        [100, 100, 100, 200] => Never("an address of a cloud's metadata"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Private("a private address"),
        [127, ..] => Private("a loopback address"),
        [100, 64..=127, ..] => Private("a carrier's private address"),
        [198, 18 | 19, ..] => Private("an address for benchmarks"),
        [224..=239, ..] => Never("a multicast address"),
        [0 | 240..=255, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Never("an address of no host (reserved)"),
        _ => Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Kind {
    use Kind::{Never, Private, Public};
    let [first, .., g, h] = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        of_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Private("a loopback address"),
        [0, 0, 0, 0, 0, 0, 0, 0] => Never("an address of no host (reserved)"),
        // Mapped, compatible, translated by NAT64, and 6to4.
        [0, 0, 0, 0, 0, 0 | 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..] => v4(g, h),
        [0x2002, high, low, ..] => v4(high, low),
        [0xfd00, 0xec2 | 0xc1, ..] | [0xfd20, 0xce, ..] => {
            Never("an address of a cloud's metadata")
        }
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Private("a private address"),
        [0xfe80..=0xfebf, ..] => {
            Never("an address of the host's own network (link-local, metadata)")
        }
        [0xff00..=0xffff, ..] => Never("a multicast address"),
        // Teredo and its neighbours, and documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => {
            Never("an address of no host (reserved)")
        }
        _ if (0x2000..0x4000).contains(&first) => Public,
        _ => Never("an address of no host (reserved)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(address: &str, allow_private: bool) -> String {
        let address = address.parse().unwrap();
        match check(address, allow_private) {
            Ok(()) => "allowed".to_owned(),
            Err(refused) => refused.to_string(),
        }
    }

    #[test]
    fn public_addresses_are_allowed() {
        for address in [
            "1.1.1.1",
            "93.184.215.14",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert_eq!(what(address, false), "allowed", "{address}");
        }
    }

    #[test]
    fn private_addresses_are_allowed_where_the_operator_says_so() {
        for address in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "127.0.0.1",
            "127.255.255.254",
            "100.64.0.1",
            "100.127.0.1",
            "198.18.0.1",
            "::1",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::1",
            "2002:7f00:1::",
        ] {
            let refused = what(address, false);
            assert!(refused.contains("allow_private"), "{address}: {refused}");
            assert_eq!(what(address, true), "allowed", "{address}");
        }
    }

    #[test]
    fn some_addresses_are_never_allowed() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "168.63.129.16",
            "100.100.100.200",
            "0.0.0.0",
            "0.1.2.3",
            "192.0.0.192",
            "192.0.2.1",
            "224.0.0.1",
            "239.255.255.255",
            "255.255.255.255",
            "240.0.0.1",
            "203.0.113.9",
            "::",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "fd00:ec2::254",
            "2001:db8::1",
            "2001::1",
            "100::1",
            "5f00::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "64:ff9b:1::1",
            "4000::1",
        ] {
            let refused = what(address, true);
            assert!(refused.contains("no plugin may"), "{address}: {refused}");
        }
    }
}
