//! How fast each caller may ask: so that one that asks without a pause leaves room for the others.
//!
//! A caller is a token or a session, or without one an address. Health and what this process itself asks are not counted, nor are
//! streams: each is one request however long it lasts, and one that is cut off has to begin again.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::http::request::Parts;
use governor::clock::{Clock as _, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::PREFIX;
use crate::config::ApiSection;

/// After so many requests callers are forgotten that have asked nothing for a while.
const SWEEP: u32 = 4_096;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Asker {
    /// A token, by its id.
    Token(String),
    /// A session, by its id.
    Session(String),
    /// An address; of IPv6 the network, because a host may have all of its addresses.
    Address(IpAddr),
}

impl Asker {
    /// Somebody at this address.
    pub fn at(address: IpAddr) -> Self {
        Self::Address(match address {
            IpAddr::V6(address) => {
                let network = address.to_bits() & (u128::MAX << 64);
                Ipv6Addr::from_bits(network).into()
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

type Limiter = RateLimiter<Asker, HashMapStateStore<Asker>, MonotonicClock>;

/// Counts what callers ask.
#[derive(Debug)]
pub struct Pace {
    /// `None` is no limit.
    limiter: Option<Limiter>,
    asked: AtomicU32,
}

impl Pace {
    /// With the limits of the configuration.
    pub fn new(section: ApiSection) -> Self {
        let rate = NonZeroU32::new(section.requests_per_s);
        let burst = NonZeroU32::new(section.burst).unwrap_or(NonZeroU32::MIN);
        let limiter = rate.map(|rate| {
            let quota = Quota::per_second(rate).allow_burst(burst);
            RateLimiter::new(quota, HashMapStateStore::default(), MonotonicClock)
        });
        Self {
            limiter,
            asked: AtomicU32::new(0),
        }
    }

    /// Counts a request, and refuses one that comes too early.
    ///
    /// # Errors
    /// How long to wait.
    pub fn count(&self, asker: &Asker) -> Result<(), Duration> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            limiter.retain_recent();
        }
        let early = |not: governor::NotUntil<_>| not.wait_time_from(limiter.clock().now());
        limiter.check_key(asker).map_err(early)
    }
}

/// Whether a request asks for a stream.
pub(super) fn is_stream(parts: &Parts) -> bool {
    let path = parts.uri.path();
    let path = path.strip_prefix(PREFIX).unwrap_or(path);
    path == "/events" || path.starts_with("/runs/") && path.ends_with("/stream")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(requests_per_s: u32, burst: u32) -> Pace {
        Pace::new(ApiSection {
            requests_per_s,
            burst,
        })
    }

    #[test]
    fn each_caller_has_its_own_burst() {
        let pace = pace(1, 3);
        let (one, other) = (Asker::Token("a".into()), Asker::Token("b".into()));
        for _ in 0..3 {
            assert_eq!(pace.count(&one), Ok(()));
        }
        assert!(pace.count(&one).unwrap_err() <= Duration::from_secs(1));
        assert_eq!(pace.count(&other), Ok(()));
    }

    #[test]
    fn zero_is_no_limit() {
        let pace = pace(0, 1);
        for _ in 0..100 {
            assert_eq!(pace.count(&Asker::Token("a".into())), Ok(()));
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_caller() {
        let at = |address: &str| Asker::at(address.parse().unwrap());
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
    }
}
