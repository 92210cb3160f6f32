//! The supervisor: one small process per run, which starts the command and outlives everything that
//! it started.
//!
//! ```text
//!             request            first process ends
//!   (forked) ────────► running ─────────────────────► leftovers? ──none──► Ended
//!                        │                              │  keep: Ended, then wait for them, deaf
//!        order, deadline,│                              │  kill: as below
//!        worker gone     ▼                              ▼
//!                   SIGTERM to all ──grace──► SIGKILL to all, until no child is left ──► Ended
//! ```
//! It ends the tree on an order, when the worker has not extended its deadline, and when the
//! worker's end of the control socket is closed. So a killed worker, and a stopped one, leave
//! nothing running.

use std::ffi::CString;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::sys::wait::WaitStatus;
use nix::unistd::{Pid, getpid};

use super::cgroup::Group;
use super::fork::SingleThreaded;
use super::launch::launch;
use super::mutant::Mutant;
use super::spawner::sigchld;
use super::timer::Alarm;
use super::tree::{self, Reaped};
use super::wire::{
    self, BootMillis, Deadline, EndedBy, Exit, Frames, Order, Report, Request, Usage,
};

/// What a supervisor is called in the process table; at most 15 bytes.
pub(super) const SUPERVISOR_NAME: &str = "sandclock-run";

/// How long processes may resist SIGKILL (uninterruptible I/O, another user's) before the run ends
/// without them.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// What the spawner hands a new supervisor.
#[derive(Debug)]
pub(super) struct Inheritance<'a> {
    /// The run's control socket.
    pub(super) control: UnixStream,
    /// Write ends of the run's pipes; behind them, if leftovers are to be kept, the read ends.
    pub(super) pipes: Vec<OwnedFd>,
    /// Where a supervisor that stays for kept processes says so.
    pub(super) kept: UnixDatagram,
    /// The empty group for the command.
    pub(super) group: Option<&'a Group>,
}

/// Runs one command to its end. Returns the process's exit code: 0 unless the supervisor itself
/// failed.
pub(super) fn supervise(inheritance: Inheritance<'_>, single: &SingleThreaded) -> i32 {
    match try_supervise(inheritance, single) {
        Ok(()) => 0,
        // The spawner takes any other code as a loss: it ends what is left and tells the worker.
        Err(_) => 1,
    }
}

fn try_supervise(from: Inheritance<'_>, single: &SingleThreaded) -> io::Result<()> {
    let Inheritance {
        control,
        mut pipes,
        kept,
        group,
    } = from;
    prctl::set_child_subreaper(!Mutant::NoSubreaper.is_on())?;
    prctl::set_name(&CString::new(SUPERVISOR_NAME)?)?;
    let mut frames = Frames::default();
    let Some(request) = read_request(&control, &mut frames)? else {
        return Ok(());
    };
    let drains = pipes.split_off(if request.split { 2 } else { 1 }.min(pipes.len()));
    let main = match launch(&request, &pipes, group, single) {
        Ok(pid) => pid,
        Err(failure) => {
            let refused = Report::Refused {
                step: failure.step,
                subject: failure.subject,
                errno: failure.errno,
            };
            // There is a child to wait for unless it was the fork that failed.
            let _ = nix::sys::wait::wait();
            return wire::send(&control, &refused);
        }
    };
    drop(pipes);
    // A worker that is gone is noticed below, by the end of its stream.
    let _ = wire::send(
        &control,
        &Report::Started {
            supervisor: getpid().as_raw(),
            pid: main.as_raw(),
            grouped: group.is_some(),
        },
    );
    control.set_nonblocking(true)?;
    let mut run = Supervision::new(control, frames, main, group, &request);
    if run.watch()? == Verdict::Gone {
        return Ok(());
    }
    // Said before the worker hears of the end, and before this process can be lost.
    // A spawner that is gone asks no questions.
    let _ = kept.send(&getpid().as_raw().to_le_bytes());
    let left = tree::descendants(getpid()).len();
    run.report_end(EndedBy::Command, 0, left);
    super::keep::outlast(run.control, drains)
}

/// Reads the first frame; `None` if the worker went away before it was complete.
fn read_request(control: &UnixStream, frames: &mut Frames) -> io::Result<Option<Request>> {
    loop {
        if let Some(request) = frames.next()? {
            return Ok(Some(request));
        }
        if !frames.read_from(control)? {
            return Ok(None);
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing is left, and the worker was told.
    Gone,
    /// The command ended by itself, and left processes that are to be kept.
    Keep,
}

/// A run in progress.
#[derive(Debug)]
struct Supervision<'a> {
    control: UnixStream,
    group: Option<&'a Group>,
    frames: Frames,
    main: Pid,
    grace: Duration,
    keep: bool,
    exited: bool,
    /// The dead man's deadline, moved by the worker.
    contact: Deadline,
    /// Why and when the tree ends; the sooner of all orders.
    end: Option<(EndedBy, Deadline)>,
    terminated: bool,
    leftovers: usize,
    reported: bool,
}

impl<'a> Supervision<'a> {
    fn new(
        control: UnixStream,
        frames: Frames,
        main: Pid,
        group: Option<&'a Group>,
        request: &Request,
    ) -> Supervision<'a> {
        Supervision {
            control,
            group,
            frames,
            main,
            grace: Duration::from_millis(request.grace_ms),
            keep: request.keep_leftovers,
            exited: false,
            contact: request.contact,
            end: None,
            terminated: false,
            leftovers: 0,
            reported: false,
        }
    }

    /// Waits for whatever comes first, again and again, until nothing of the run is left or what is
    /// left may stay.
    fn watch(&mut self) -> io::Result<Verdict> {
        let signals = sigchld()?;
        let alarm = Alarm::new()?;
        let mut worker_is_there = true;
        loop {
            let childless = self.reap();
            if worker_is_there && !self.read_orders()? {
                worker_is_there = false;
                self.end_at(
                    EndedBy::WorkerGone,
                    Deadline::from_now(Duration::ZERO, self.grace),
                );
            }
            if childless {
                self.report_end(EndedBy::Command, 0, 0);
                return Ok(Verdict::Gone);
            }
            if self.exited && self.end.is_none() {
                if self.keep {
                    return Ok(Verdict::Keep);
                }
                self.leftovers = tree::descendants(getpid()).len();
                self.end_at(
                    EndedBy::Command,
                    Deadline::from_now(Duration::ZERO, self.grace),
                );
            }
            alarm.set(self.act())?;
            let mut events = vec![
                PollFd::new(signals.as_fd(), PollFlags::POLLIN),
                PollFd::new(alarm.as_fd(), PollFlags::POLLIN),
            ];
            if worker_is_there {
                events.push(PollFd::new(self.control.as_fd(), PollFlags::POLLIN));
            }
            match poll(&mut events, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            while let Ok(Some(_)) = signals.read_signal() {}
        }
    }

    /// Takes ended children; true when there is none left. Tells the worker of the first process's
    /// end.
    fn reap(&mut self) -> bool {
        loop {
            let exit = match tree::reap() {
                Reaped::NoneYet => return false,
                Reaped::Childless => return true,
                Reaped::Ended(WaitStatus::Exited(pid, code)) if pid == self.main => {
                    Exit::Code(code)
                }
                Reaped::Ended(WaitStatus::Signaled(pid, signal, core_dumped))
                    if pid == self.main =>
                {
                    Exit::Signal {
                        signal: signal as i32,
                        core_dumped,
                    }
                }
                Reaped::Ended(_) => continue,
            };
            self.exited = true;
            let _ = wire::send(&self.control, &Report::Exited { exit });
        }
    }

    /// Reads what the worker sent; false when its end is closed.
    fn read_orders(&mut self) -> io::Result<bool> {
        loop {
            match self.frames.read_from(&self.control) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Ok(false),
            }
            while let Some(order) = self.frames.next()? {
                match order {
                    Order::Contact(deadline) => self.contact = deadline,
                    Order::End(deadline) => self.end_at(EndedBy::Order, deadline),
                }
            }
        }
    }

    /// The tree ends at the sooner of this deadline and what was known; the first to ask is
    /// remembered as the reason.
    fn end_at(&mut self, by: EndedBy, deadline: Deadline) {
        self.end = Some(match self.end {
            Some((first, known)) => (first, known.sooner(deadline)),
            None => (by, deadline),
        });
    }

    /// Does what is due, and says when to come back.
    fn act(&mut self) -> BootMillis {
        let now = BootMillis::now();
        if Mutant::NoDeadline.is_on() {
            self.contact = Deadline::from_now(KILL_PATIENCE, KILL_PATIENCE);
        }
        if self.end.is_none() && now >= self.contact.terminate_at {
            self.end = Some((EndedBy::NoContact, self.contact));
        }
        let due = self
            .end
            .map_or(self.contact, |(_, deadline)| deadline.sooner(self.contact));
        if now >= due.kill_at {
            if let Some(group) = self.group {
                group.kill();
            }
            tree::kill_seen();
            if now >= due.kill_at.after(KILL_PATIENCE) {
                let survivors = tree::descendants(getpid()).len();
                self.report_end(EndedBy::Command, survivors, 0);
                return now.after(Duration::from_millis(200));
            }
            // The kernel needs a moment to end them; SIGCHLD comes first, as a rule.
            return now.after(Duration::from_millis(1));
        }
        if now < due.terminate_at {
            return due.terminate_at;
        }
        if !self.terminated {
            self.terminated = true;
            tree::terminate();
        }
        due.kill_at
    }

    /// Tells the worker, once, that the run is over.
    fn report_end(&mut self, otherwise: EndedBy, survivors: usize, kept: usize) {
        if std::mem::replace(&mut self.reported, true) {
            return;
        }
        let report = Report::Ended {
            by: self.end.map_or(otherwise, |(by, _)| by),
            leftovers: tree::count(self.leftovers),
            survivors: tree::count(survivors),
            kept: tree::count(kept),
            usage: usage(),
        };
        let _ = wire::send(&self.control, &report);
    }
}

/// What all processes used that this one, or one below it, has waited for.
fn usage() -> Usage {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return Usage::default();
    };
    let millis = |time: TimeVal| {
        u64::try_from(time.tv_sec()).unwrap_or(0) * 1000
            + u64::try_from(time.tv_usec()).unwrap_or(0) / 1000
    };
    Usage {
        user_ms: millis(usage.user_time()),
        system_ms: millis(usage.system_time()),
        max_rss_bytes: u64::try_from(usage.max_rss()).unwrap_or(0) * 1024,
    }
}
