//! A release that could not be taken into service here, and whether another try may end otherwise.

use std::time::Duration;

use sandclock_hooks::InstallError;
use tokio::time::Instant;

/// When a release is tried again that this host, and not the release, was to blame for.
const AGAIN: Duration = Duration::from_secs(300);

/// Why it is not in service.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) why: String,
    /// When it is worth another try; never for what is wrong with the release itself.
    again: Option<Instant>,
}

impl Refused {
    /// For a reason of the release's own.
    pub(super) fn for_good(why: String) -> Self {
        Self { why, again: None }
    }

    /// For this reason.
    pub(super) fn because(error: &InstallError) -> Self {
        let may_pass = matches!(
            error,
            InstallError::TooSlow { .. } | InstallError::Host { .. }
        );
        Self {
            why: error.to_string(),
            again: may_pass.then(|| Instant::now() + AGAIN),
        }
    }

    /// Whether another try is due.
    pub(super) fn is_past(&self) -> bool {
        self.again.is_some_and(|again| again <= Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_a_host_was_to_blame_for_is_tried_again() {
        let busy = Refused::because(&InstallError::TooSlow { seconds: 30 });
        let why = "no threads".to_owned();
        let crowded = Refused::because(&InstallError::Host { why });
        let why = "no wasm".to_owned();
        let broken = Refused::because(&InstallError::Malformed { why });
        let lost = Refused::for_good("its module is gone".to_owned());
        let past = || [&busy, &crowded, &broken, &lost].map(Refused::is_past);
        assert_eq!(past(), [false; 4]);
        tokio::time::advance(AGAIN).await;
        assert_eq!(past(), [true, true, false, false]);
    }
}
