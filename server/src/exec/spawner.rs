//! The spawner: a small process with one thread, which forks a supervisor whenever none is free.
//!
//! Forking the worker itself would copy its page tables (a worker of 1 GiB was measured at 21 forks
//! a second) and is not safe beside threads. So the worker starts, once and before its runtime, its
//! own program under the name [`SPAWNER_NAME`]: a fresh process that holds nothing. It can start
//! another the same way should this one be killed.
//!
//! The spawner is a subreaper too. If a supervisor is killed, what it leaves behind becomes the
//! spawner's children: they are ended, and the worker is told on the run's own control socket, of
//! which the spawner keeps a copy for that purpose.

use std::ffi::CString;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::ExitCode;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::setsid;

use super::cgroup::Groups;
use super::fork::{SingleThreaded, reset_and_block_signals};
use super::frames;
use super::mutant::Mutant;
use super::passing;
use super::roster::{Roster, Run};
use super::supervisor::{Inheritance, supervise};
use super::wire::{Report, StartStep};

/// The program name (`argv[0]`) under which the `sandclock` binary is a spawner.
pub const SPAWNER_NAME: &str = "sandclock-spawner";

/// What a spawner is called in the process table; at most 15 bytes.
pub(super) const PROCESS_NAME: &str = "sandclock-spawn";

/// Whether this process was started to be a spawner. The first question of `main`.
pub fn is_spawner() -> bool {
    std::env::args_os()
        .next()
        .is_some_and(|name| name == SPAWNER_NAME)
}

/// The whole life of the spawner. Its standard input is the socket to the worker; it ends when that
/// is closed and the last run has ended.
pub fn main() -> ExitCode {
    // Standard error is the worker's; a spawner that cannot work says so there, and the worker sees
    // its end.
    match Spawner::new().and_then(Spawner::serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "spawner cannot go on: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Spawner {
    single: SingleThreaded,
    /// `None` once the worker is gone.
    worker: Option<UnixStream>,
    signals: SignalFd,
    /// Where supervisors announce that they stay for kept processes: the end to read and the end
    /// they inherit.
    kept: (UnixDatagram, UnixDatagram),
    roster: Roster,
}

impl Spawner {
    fn new() -> io::Result<Spawner> {
        close_all_but_standard()?;
        reset_and_block_signals()?;
        // Away from the worker's terminal; fails only where it is already so.
        let _ = setsid();
        prctl::set_child_subreaper(!Mutant::NoSubreaper.is_on())?;
        prctl::set_name(&CString::new(PROCESS_NAME)?)?;
        let worker = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        worker.set_nonblocking(true)?;
        let null = std::fs::File::open("/dev/null")?;
        nix::unistd::dup2_stdin(&null)?;
        let kept = UnixDatagram::pair()?;
        kept.0.set_nonblocking(true)?;
        let groups = if Mutant::NoGroups.is_on() {
            None
        } else {
            Groups::open()
        };
        Ok(Spawner {
            single: SingleThreaded::check()?,
            worker: Some(worker),
            signals: sigchld()?,
            kept,
            roster: Roster::new(groups),
        })
    }

    fn serve(mut self) -> io::Result<()> {
        while self.worker.is_some() || self.roster.is_busy() {
            self.wait()?;
            while let Ok(Some(_)) = self.signals.read_signal() {}
            self.roster.read_kept(&self.kept.0);
            self.roster.reap(&self.kept.0, self.worker.is_some());
            self.roster.end_orphans();
            while let Some(worker) = &self.worker {
                // One byte asked for is one message.
                match passing::receive(worker, &mut [0]) {
                    Ok((0, _)) => self.worker = None,
                    Ok((_, descriptors)) => self.add_supervisor(descriptors),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Until the worker wants a run, or a child ended or has something to say.
    fn wait(&self) -> io::Result<()> {
        let mut events = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.kept.0.as_fd(), PollFlags::POLLIN),
        ];
        let worker = self.worker.iter();
        events.extend(worker.map(|worker| PollFd::new(worker.as_fd(), PollFlags::POLLIN)));
        // Orphans that fork while they are being killed are looked for again at once.
        let soon = self.roster.has_orphans().then_some(PollTimeout::from(1_u8));
        match poll(&mut events, soon.unwrap_or(PollTimeout::NONE)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Forks a supervisor. Where there was no descriptor left for the control socket itself, the
    /// worker reads the end of it.
    fn add_supervisor(&mut self, descriptors: Vec<OwnedFd>) {
        let Some(control) = descriptors.into_iter().next().map(UnixStream::from) else {
            return;
        };
        let (copy, kept) = match (control.try_clone(), self.kept.1.try_clone()) {
            (Ok(copy), Ok(kept)) => (copy, kept),
            (Err(error), _) | (_, Err(error)) => return refuse(&control, &error),
        };
        let group = self.roster.group();
        let child = self.single.fork(|single| {
            // A copy of it would hide the end of this process from the worker.
            self.worker = None;
            self.roster.abandon();
            supervise(
                Inheritance {
                    control,
                    kept,
                    group: group.as_ref(),
                },
                single,
            )
        });
        match child {
            Ok(supervisor) => self.roster.add(
                supervisor,
                Run {
                    control: copy,
                    group,
                },
            ),
            Err(errno) => {
                refuse(&copy, &errno.into());
                self.roster.reuse(group);
            }
        }
    }
}

/// Tells the worker that there will be no supervisor on this line.
fn refuse(control: &UnixStream, error: &io::Error) {
    let refused = Report::Refused {
        step: StartStep::Process,
        subject: String::new(),
        errno: error.raw_os_error().unwrap_or_default(),
    };
    // The worker may be gone.
    let _ = frames::send(control, &refused);
}

/// A descriptor that is readable when a child has ended or was stopped.
pub(super) fn sigchld() -> io::Result<SignalFd> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    Ok(SignalFd::with_flags(
        &mask,
        SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC,
    )?)
}

/// Closes every descriptor but the standard three: what the worker had open is nobody's business.
fn close_all_but_standard() -> io::Result<()> {
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        // The directory's own descriptor is among them, and already closed.
        let _ = nix::unistd::close(fd);
    }
    Ok(())
}
