//! After a run whose leftovers may stay: the supervisor remains as their parent and reads what they
//! still print.
//!
//! If it went away, the spawner could not tell them from the orphans of a lost run; and if nobody
//! read the run's pipes, a kept daemon that prints a line would be ended by SIGPIPE or block for
//! ever.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;

use super::reap::{Reaped, reap};
use super::spawner::sigchld;

/// What a supervisor is called that stays for kept processes; at most 15 bytes.
pub(super) const KEEPER_NAME: &str = "sandclock-keep";

/// Returns when the last child has ended. Whoever looks for what a dead worker left sees by the name
/// that these processes may stay.
///
/// What the pipes held when the run ended is still the worker's to read; so they are left alone
/// until it has let go of the run's control socket.
pub(super) fn outlast(control: &UnixStream, mut pipes: Vec<OwnedFd>) -> io::Result<()> {
    prctl::set_name(&CString::new(KEEPER_NAME)?)?;
    let signals = sigchld()?;
    let mut worker = Some(control);
    let mut discarded = [0; 4096];
    loop {
        loop {
            match reap() {
                Reaped::Ended(..) | Reaped::Stopped(_) => {}
                Reaped::NoneYet => break,
                Reaped::Childless => return Ok(()),
            }
        }
        let mut events = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match &worker {
            Some(socket) => events.push(PollFd::new(socket.as_fd(), PollFlags::POLLIN)),
            None => {
                let readable = |pipe| PollFd::new(pipe, PollFlags::POLLIN);
                events.extend(pipes.iter().map(|pipe| readable(pipe.as_fd())));
            }
        }
        match poll(&mut events, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        while let Ok(Some(_)) = signals.read_signal() {}
        match &worker {
            // Orders come too late now; only the end of them matters.
            Some(socket) if is_open(socket, &mut discarded) => {}
            Some(_) => worker = None,
            None => pipes.retain(|pipe| is_open(pipe, &mut discarded)),
        }
    }
}

/// Reads and forgets; false at the end. The descriptors are non-blocking: the worker, who shares
/// the pipes, made them so.
fn is_open(from: impl AsFd, discarded: &mut [u8]) -> bool {
    match nix::unistd::read(from, discarded) {
        Ok(n) => n > 0,
        Err(errno) => matches!(errno, Errno::EAGAIN | Errno::EINTR),
    }
}
