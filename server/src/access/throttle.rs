//! How often a wrong token may be tried: a few times a minute for each token and address. Who goes on is told to wait; who
//! has the right one is let in all the same.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// How many wrong tokens of one [`SPAN`] are just refused.
const TRIES: u32 = 10;

/// What tries are counted over.
const SPAN: Duration = Duration::from_secs(60);

/// How many ids and addresses are remembered; with more, those whose span is over are forgotten, and then all.
const REMEMBERED: usize = 10_000;

/// Wrong tries by id and address: since when, and how many.
#[derive(Debug, Default)]
pub(super) struct Throttle(HashMap<(String, IpAddr), (Instant, u32)>);

impl Throttle {
    /// Remembers that a try was wrong; how long to wait if there were too many.
    pub(super) fn wrong(&mut self, id: &str, from: IpAddr, now: Instant) -> Option<Duration> {
        if self.0.len() >= REMEMBERED {
            self.0
                .retain(|_, (since, _)| now.duration_since(*since) < SPAN);
        }
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        let counted = self.0.entry((id.to_owned(), from)).or_insert((now, 0));
        if now.duration_since(counted.0) >= SPAN {
            *counted = (now, 0);
        }
        let (since, tries) = counted;
        *tries = tries.saturating_add(1);
        let left = SPAN.saturating_sub(now.duration_since(*since));
        (*tries > TRIES).then_some(left)
    }

    /// How long to wait after the tries that there were, if they were too many.
    pub(super) fn left(&self, id: &str, from: IpAddr, now: Instant) -> Option<Duration> {
        let (since, tries) = self.0.get(&(id.to_owned(), from))?;
        let left = SPAN.checked_sub(now.duration_since(*since))?;
        (*tries > TRIES && !left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_eleventh_wrong_try_of_a_minute_waits() {
        let mut throttle = Throttle::default();
        let (here, there) = (
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V4(Ipv4Addr::BROADCAST),
        );
        let start = Instant::now();
        for second in 0..10 {
            let now = start + Duration::from_secs(second);
            assert_eq!(throttle.wrong("a", here, now), None);
        }
        let now = start + Duration::from_secs(10);
        let wait = Some(Duration::from_secs(50));
        assert_eq!(throttle.wrong("a", here, now), wait);
        assert_eq!(throttle.wrong("a", there, now), None);
        assert_eq!(throttle.wrong("b", here, now), None);
        assert_eq!(throttle.wrong("a", here, start + SPAN), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        for id in 0..=REMEMBERED {
            throttle.wrong(&id.to_string(), IpAddr::V4(Ipv4Addr::LOCALHOST), now);
        }
        assert!(throttle.0.len() <= REMEMBERED);
    }
}
