//! A wake-up at a point of `CLOCK_BOOTTIME`: it fires at once after a suspension that went past it,
//! which the timeout of `poll` (monotonic, stands still meanwhile) does not.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::wire::BootMillis;

/// One timer, readable when its point has come.
#[derive(Debug)]
pub(super) struct Alarm(TimerFd);

impl Alarm {
    pub(super) fn new() -> io::Result<Alarm> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        Ok(Alarm(TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?))
    }

    /// Moves the wake-up; setting it also takes back an earlier one that has fired.
    pub(super) fn set(&self, at: BootMillis) -> io::Result<()> {
        // The kernel keeps seconds as i64; "never" is as far as that, and zero would disarm.
        let at = Duration::from_millis(at.0.clamp(1, i64::MAX.unsigned_abs() / 1_000_000));
        Ok(self.0.set(
            Expiration::OneShot(TimeSpec::from_duration(at)),
            TimerSetTimeFlags::TFD_TIMER_ABSTIME,
        )?)
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
