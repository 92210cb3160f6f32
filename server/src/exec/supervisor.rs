//! The supervisor: a small process that starts a command and outlives everything that it started.
//!
//! ```text
//!             request            first process ends
//!   (forked) ────────► running ─────────────────────► leftovers? ──none──► Ended, free
//!      ▲                 │                              │  keep: Ended, then wait for them, deaf
//!      │ free    order, deadline,                       │  kill: as below
//!      └──────── worker │gone  ▼                        ▼
//!                   SIGTERM to all ──grace──► SIGKILL to all, until no child is left ──► Ended
//! ```
//! It ends the tree on an order, when the worker has not extended its deadline, and when the
//! worker's end of the control socket is closed. So a killed worker, and a stopped one, leave
//! nothing running.
//!
//! One whose run ended by itself and left nothing serves the next: making a supervisor, and taking
//! it away, costs as much as the command's own start. One that had to end anything goes away.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use super::cgroup::Group;
use super::desk::Desk;
use super::fork::SingleThreaded;
use super::keep;
use super::launch::launch;
use super::mutant::Mutant;
use super::reap::{Reaped, reap};
use super::tree;
use super::wire::{BootMillis, Deadline, EndedBy, Order, Report, Request, RunNumber, Usage};

/// What a supervisor is called in the process table; at most 15 bytes.
pub(super) const SUPERVISOR_NAME: &str = "sandclock-run";

/// How long processes may resist SIGKILL (uninterruptible I/O, another user's) before the run ends
/// without them.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// What the spawner hands a new supervisor.
#[derive(Debug)]
pub(super) struct Inheritance<'a> {
    /// The control socket.
    pub(super) control: UnixStream,
    /// Where a supervisor that stays for kept processes says so.
    pub(super) kept: UnixDatagram,
    /// The empty group for its commands.
    pub(super) group: Option<&'a Group>,
}

/// Runs commands, one after another, until the worker lets go of the control socket or a run has to
/// be ended. Returns the process's exit code: 0 unless the supervisor itself failed.
pub(super) fn supervise(inheritance: Inheritance<'_>, single: &SingleThreaded) -> i32 {
    match try_supervise(inheritance, single) {
        Ok(()) => 0,
        // The spawner takes any other code as a loss: it ends what is left and tells the worker.
        Err(_) => 1,
    }
}

fn try_supervise(from: Inheritance<'_>, single: &SingleThreaded) -> io::Result<()> {
    prctl::set_child_subreaper(!Mutant::NoSubreaper.is_on())?;
    prctl::set_name(&CString::new(SUPERVISOR_NAME)?)?;
    let mut desk = Desk::new(from.control, from.group)?;
    desk.say(&Report::Ready)?;
    desk.flush();
    while let Some((request, pipes)) = desk.next_request()? {
        if !supervise_run(&mut desk, &request, pipes, &from.kept, single)? {
            break;
        }
    }
    Ok(())
}

/// Runs one command until nothing of it is left. Returns whether this process may run another.
fn supervise_run(
    desk: &mut Desk<'_>,
    request: &Request,
    mut pipes: Vec<OwnedFd>,
    kept: &UnixDatagram,
    single: &SingleThreaded,
) -> io::Result<bool> {
    let drains = pipes.split_off(if request.split { 2 } else { 1 }.min(pipes.len()));
    let main = match launch(request, &pipes, desk.group, single) {
        Ok(pid) => pid,
        Err(failure) => {
            desk.say(&Report::Refused {
                step: failure.step,
                subject: failure.subject,
                errno: failure.errno,
            })?;
            desk.flush();
            // There is a child to wait for unless it was the fork that failed.
            let _ = nix::sys::wait::wait();
            return Ok(false);
        }
    };
    drop(pipes);
    if Mutant::DieUnheard.is_on() {
        kill(getpid(), Signal::SIGKILL)?;
    }
    desk.say(&Report::Started {
        supervisor: getpid().as_raw(),
        pid: main.as_raw(),
        grouped: desk.group.is_some(),
    })?;
    let mut run = Supervision::new(desk, main, request);
    let left = run.watch()?;
    if left == Left::Kept {
        // Said before the worker hears of the end, and before this process can be lost.
        // A spawner that is gone asks no questions.
        let _ = kept.send(&getpid().as_raw().to_le_bytes());
        let kept = tree::descendants(getpid()).len();
        run.report_end(EndedBy::Command, 0, kept)?;
        desk.flush();
        keep::outlast(&desk.control, drains)?;
        return Ok(false);
    }
    desk.flush();
    Ok(left == Left::NothingFromTheStart)
}

/// What is left of a run that is over.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    /// Nothing, and nothing had to be ended.
    NothingFromTheStart,
    /// Nothing, once something was ended.
    NothingAnyMore,
    /// Processes that are to be kept.
    Kept,
}

/// A run in progress.
#[derive(Debug)]
struct Supervision<'a, 'b> {
    desk: &'a mut Desk<'b>,
    run: RunNumber,
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
    used: Usage,
    reported: bool,
}

impl<'a, 'b> Supervision<'a, 'b> {
    fn new(desk: &'a mut Desk<'b>, main: Pid, request: &Request) -> Supervision<'a, 'b> {
        Supervision {
            desk,
            run: request.run,
            main,
            grace: Duration::from_millis(request.grace_ms),
            keep: request.keep_leftovers,
            exited: false,
            contact: request.contact,
            end: None,
            terminated: false,
            leftovers: 0,
            used: Usage::default(),
            reported: false,
        }
    }

    /// Waits for whatever comes first, again and again, until nothing of the run is left or what is
    /// left may stay.
    fn watch(&mut self) -> io::Result<Left> {
        let mut worker_is_there = true;
        loop {
            let childless = self.reap()?;
            if worker_is_there && !self.read_orders()? {
                worker_is_there = false;
                self.end_at(
                    EndedBy::WorkerGone,
                    Deadline::from_now(Duration::ZERO, self.grace),
                );
            }
            if childless {
                self.report_end(EndedBy::Command, 0, 0)?;
                return Ok(match self.end {
                    None => Left::NothingFromTheStart,
                    Some(_) => Left::NothingAnyMore,
                });
            }
            if self.exited && self.end.is_none() {
                if self.keep {
                    return Ok(Left::Kept);
                }
                self.leftovers = tree::descendants(getpid()).len();
                self.end_at(
                    EndedBy::Command,
                    Deadline::from_now(Duration::ZERO, self.grace),
                );
            }
            let until = self.act()?;
            self.desk.flush();
            self.desk.wait(until, worker_is_there)?;
        }
    }

    /// Takes ended children; true when there is none left. Tells the worker of the first process's
    /// end.
    fn reap(&mut self) -> io::Result<bool> {
        loop {
            match reap() {
                Reaped::NoneYet => return Ok(false),
                Reaped::Childless => return Ok(true),
                // The job may do that to itself.
                Reaped::Stopped(_) => {}
                Reaped::Ended(pid, exit, used) => {
                    self.used += used;
                    if pid == self.main {
                        self.exited = true;
                        self.desk.say(&Report::Exited { exit })?;
                    }
                }
            }
        }
    }

    /// Reads what the worker sent; false when its end is closed.
    fn read_orders(&mut self) -> io::Result<bool> {
        let mut end = None;
        let is_there = self.desk.read_orders(|order| match order {
            Order::Contact(run, deadline) if run == self.run => self.contact = deadline,
            Order::End(run, deadline) if run == self.run || Mutant::AnyRun.is_on() => {
                let known: &mut Deadline = end.get_or_insert(deadline);
                *known = known.sooner(deadline);
            }
            // For a run that is over. A request comes only once this run is.
            Order::Contact(..) | Order::End(..) | Order::Start(_) => {}
        })?;
        if let Some(deadline) = end {
            self.end_at(EndedBy::Order, deadline);
        }
        Ok(is_there)
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
    fn act(&mut self) -> io::Result<BootMillis> {
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
            if let Some(group) = self.desk.group {
                group.kill();
            }
            tree::kill_seen();
            if now >= due.kill_at.after(KILL_PATIENCE) {
                let survivors = tree::descendants(getpid()).len();
                self.report_end(EndedBy::Command, survivors, 0)?;
                return Ok(now.after(Duration::from_millis(200)));
            }
            // The kernel needs a moment to end them; SIGCHLD comes first, as a rule.
            return Ok(now.after(Duration::from_millis(1)));
        }
        if now < due.terminate_at {
            return Ok(due.terminate_at);
        }
        if !self.terminated {
            self.terminated = true;
            tree::terminate();
        }
        Ok(due.kill_at)
    }

    /// Tells the worker, once, that the run is over.
    fn report_end(&mut self, otherwise: EndedBy, survivors: usize, kept: usize) -> io::Result<()> {
        if std::mem::replace(&mut self.reported, true) {
            return Ok(());
        }
        self.desk.say(&Report::Ended {
            by: self.end.map_or(otherwise, |(by, _)| by),
            leftovers: tree::count(self.leftovers),
            survivors: tree::count(survivors),
            kept: tree::count(kept),
            usage: self.used,
            free: self.end.is_none() && kept == 0,
        })
    }
}
