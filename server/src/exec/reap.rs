//! Taking ended children off the kernel's hands, together with what they used.
#![expect(unsafe_code, reason = "wait4(2) has no safe interface")]

use std::ops::AddAssign;

use nix::errno::Errno;
use nix::libc::{self, rusage, timeval};
use nix::unistd::Pid;

use super::wire::{Exit, Usage};

/// A child that ended, or why there is none.
#[derive(Debug)]
pub(super) enum Reaped {
    /// This one ended so; it and the children it waited for used this.
    Ended(Pid, Exit, Usage),
    /// This one was stopped (SIGSTOP and the like).
    Stopped(Pid),
    /// Children live, and none has ended.
    NoneYet,
    /// There is no child.
    Childless,
}

/// Takes one ended child off the kernel's hands, without waiting. A stop is told once, too.
pub(super) fn reap() -> Reaped {
    let mut status = 0;
    // SAFETY: all members of the structure are numbers, for which zero is a value.
    let mut used: rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both places are valid for writes, for as long as the call.
    let answer =
        unsafe { libc::wait4(-1, &mut status, libc::WNOHANG | libc::WUNTRACED, &mut used) };
    match Errno::result(answer) {
        Ok(0) | Err(Errno::EINTR) => Reaped::NoneYet,
        Ok(pid) if libc::WIFSTOPPED(status) => Reaped::Stopped(Pid::from_raw(pid)),
        Ok(pid) => Reaped::Ended(Pid::from_raw(pid), exit(status), usage(&used)),
        Err(_) => Reaped::Childless,
    }
}

/// Any signal's number is told as it is; the library's own type knows no real-time signals.
fn exit(status: i32) -> Exit {
    if libc::WIFSIGNALED(status) {
        return Exit::Signal {
            signal: libc::WTERMSIG(status),
            core_dumped: libc::WCOREDUMP(status),
        };
    }
    // A stop was told apart, and without WCONTINUED there is nothing else to be told of.
    Exit::Code(libc::WEXITSTATUS(status))
}

fn usage(used: &rusage) -> Usage {
    let millis = |time: timeval| {
        u64::try_from(time.tv_sec).unwrap_or(0) * 1000
            + u64::try_from(time.tv_usec).unwrap_or(0) / 1000
    };
    Usage {
        user_ms: millis(used.ru_utime),
        system_ms: millis(used.ru_stime),
        // Counted in KiB (getrusage(2)).
        max_rss_bytes: u64::try_from(used.ru_maxrss).unwrap_or(0) * 1024,
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Usage) {
        self.user_ms += other.user_ms;
        self.system_ms += other.system_ms;
        self.max_rss_bytes = self.max_rss_bytes.max(other.max_rss_bytes);
    }
}
