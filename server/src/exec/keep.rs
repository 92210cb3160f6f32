//! After a run whose leftovers may stay: the supervisor remains as their parent and reads what they
//! still print.
//!
//! If it went away, the spawner could not tell them from the orphans of a lost run; and if nobody
//! read the run's pipes, a kept daemon that prints a line would be ended by SIGPIPE or block for
//! ever.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::tree::{Reaped, reap};

/// Returns when the last child has ended.
pub(super) fn outlast(mut pipes: Vec<OwnedFd>) -> io::Result<()> {
    let mut sigchld = SigSet::empty();
    sigchld.add(Signal::SIGCHLD);
    let signals = SignalFd::with_flags(&sigchld, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let mut discarded = [0; 4096];
    loop {
        loop {
            match reap() {
                Reaped::Ended(_) => {}
                Reaped::NoneYet => break,
                Reaped::Childless => return Ok(()),
            }
        }
        let mut events = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        events.extend(
            pipes
                .iter()
                .map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)),
        );
        match poll(&mut events, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        while let Ok(Some(_)) = signals.read_signal() {}
        // The read ends are non-blocking: the worker, who shares them, made them so.
        pipes.retain(|pipe| match nix::unistd::read(pipe, &mut discarded) {
            Ok(n) => n > 0,
            Err(errno) => matches!(errno, Errno::EAGAIN | Errno::EINTR),
        });
    }
}
