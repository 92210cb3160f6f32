//! The spawner: a small process with one thread, which forks one supervisor per run.
//!
//! Forking the worker itself would copy its page tables (a worker of 1 GiB was measured at 21 forks
//! a second) and is not safe beside threads. So the worker starts, once and before its runtime, its
//! own program under the name [`SPAWNER_NAME`]: a fresh process that holds nothing. It can start
//! another the same way should this one be killed.
//!
//! The spawner is a subreaper too. If a supervisor is killed, what it leaves behind becomes the
//! spawner's children: they are ended, and the worker is told on the run's own control socket, of
//! which the spawner keeps a copy for that purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::ExitCode;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::WaitStatus;
use nix::unistd::{Pid, getpid, setsid};

use super::fork::{SingleThreaded, reset_and_block_signals};
use super::passing;
use super::supervisor::{Inheritance, supervise};
use super::tree::{self, Reaped};
use super::wire::{self, Report};

/// The program name (`argv[0]`) under which the `sandclock` binary is a spawner.
pub const SPAWNER_NAME: &str = "sandclock-spawner";

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
            tracing::error!(%error, "spawner cannot go on");
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
    /// The spawner's copy of the control socket of each run, by supervisor.
    runs: BTreeMap<Pid, UnixStream>,
    /// Supervisors whose run is over and which stay as parents.
    keepers: BTreeSet<Pid>,
    /// Processes that a killed keeper left: innocent.
    adopted: BTreeSet<Pid>,
    /// Control sockets of runs whose supervisor was killed, until nothing of theirs is left.
    lost: Vec<UnixStream>,
    orphans: usize,
}

impl Spawner {
    fn new() -> io::Result<Spawner> {
        close_all_but_standard()?;
        reset_and_block_signals()?;
        // Away from the worker's terminal; fails only where it is already so.
        let _ = setsid();
        prctl::set_child_subreaper(true)?;
        prctl::set_name(c"sandclock-spawn")?;
        let worker = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        worker.set_nonblocking(true)?;
        let null = std::fs::File::open("/dev/null")?;
        nix::unistd::dup2_stdin(&null)?;
        let mut sigchld = SigSet::empty();
        sigchld.add(Signal::SIGCHLD);
        let kept = UnixDatagram::pair()?;
        kept.0.set_nonblocking(true)?;
        Ok(Spawner {
            single: SingleThreaded::check()?,
            worker: Some(worker),
            signals: SignalFd::with_flags(
                &sigchld,
                SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC,
            )?,
            kept,
            runs: BTreeMap::new(),
            keepers: BTreeSet::new(),
            adopted: BTreeSet::new(),
            lost: Vec::new(),
            orphans: 0,
        })
    }

    fn serve(mut self) -> io::Result<()> {
        while self.worker.is_some() || !self.runs.is_empty() || !self.lost.is_empty() {
            let mut events = vec![
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.kept.0.as_fd(), PollFlags::POLLIN),
            ];
            let worker = self.worker.iter();
            events.extend(worker.map(|worker| PollFd::new(worker.as_fd(), PollFlags::POLLIN)));
            // Orphans that fork while they are being killed are looked for again at once.
            let wait = if self.lost.is_empty() {
                PollTimeout::NONE
            } else {
                PollTimeout::from(1u8)
            };
            match poll(&mut events, wait) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            while let Ok(Some(_)) = self.signals.read_signal() {}
            self.read_kept();
            self.reap();
            self.end_orphans();
            while let Some(worker) = &self.worker {
                match passing::receive(worker) {
                    Ok(Some(descriptors)) => self.start_run(descriptors),
                    Ok(None) => self.worker = None,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Forks the supervisor of a run. If that fails, the worker reads the end of the control
    /// socket.
    fn start_run(&mut self, descriptors: Vec<std::os::fd::OwnedFd>) {
        let mut descriptors = descriptors.into_iter();
        let Some(control) = descriptors.next().map(UnixStream::from) else {
            return;
        };
        let Ok(copy) = control.try_clone() else {
            return;
        };
        let Ok(kept) = self.kept.1.try_clone() else {
            return;
        };
        let pipes = descriptors.collect();
        let inherited = std::cell::Cell::new(Some(Inheritance {
            control,
            pipes,
            kept,
        }));
        let child = self.single.fork(|single| {
            // Copies of these would hide the end of this spawner from the worker.
            self.worker = None;
            self.runs.clear();
            self.lost.clear();
            inherited
                .take()
                .map_or(1, |inheritance| supervise(inheritance, single))
        });
        match child {
            Ok(pid) => drop(self.runs.insert(pid, copy)),
            Err(errno) => {
                let report = Report::Refused {
                    step: wire::StartStep::Process,
                    subject: String::new(),
                    errno: errno as i32,
                };
                let _ = wire::send(&copy, &report);
            }
        }
    }

    /// Takes ended children off the kernel's hands, and notices which of them were supervisors that
    /// failed.
    fn reap(&mut self) {
        while let Reaped::Ended(status) = tree::reap() {
            let Some(pid) = status.pid() else { continue };
            self.read_kept();
            self.adopted.remove(&pid);
            if self.keepers.remove(&pid) {
                if !matches!(status, WaitStatus::Exited(..)) {
                    self.adopted.extend(self.strangers());
                }
            } else if let Some(control) = self.runs.remove(&pid)
                && !matches!(status, WaitStatus::Exited(_, 0))
            {
                self.lost.push(control);
            }
        }
    }

    /// A supervisor says that it stays before it can be lost, so reading this first tells the two
    /// apart.
    fn read_kept(&mut self) {
        let mut pid = [0; 4];
        while let Ok(4) = self.kept.0.recv(&mut pid) {
            let pid = Pid::from_raw(i32::from_le_bytes(pid));
            if self.runs.remove(&pid).is_some() {
                self.keepers.insert(pid);
            }
        }
    }

    /// Children that are no supervisor and were not adopted.
    fn strangers(&self) -> Vec<Pid> {
        let mut children = tree::children(getpid());
        children.retain(|pid| {
            !self.runs.contains_key(pid)
                && !self.keepers.contains(pid)
                && !self.adopted.contains(pid)
        });
        children
    }

    /// Kills what lost supervisors left, and reports each loss when nothing is left.
    fn end_orphans(&mut self) {
        if self.lost.is_empty() {
            return;
        }
        let strangers = self.strangers();
        for orphan in &strangers {
            self.orphans += tree::kill_from(*orphan);
        }
        if strangers.is_empty() {
            let orphans = u32::try_from(std::mem::take(&mut self.orphans)).unwrap_or(u32::MAX);
            for control in self.lost.drain(..) {
                let _ = wire::send(&control, &Report::Lost { orphans });
            }
        }
    }
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
