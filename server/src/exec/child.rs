//! The worker's side of a run in progress: orders go out, reports come in.
//!
//! [`Control`] and [`Child`] share the socket, so that one task can wait while another gives
//! orders. When both are dropped the socket closes, and the supervisor ends the tree: forgetting a
//! run cannot leave it running.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use sandclock_core::ports::Channel;

use super::frames::frame;
use super::line::{IdleLines, Line};
use super::link::CONTACT_GRACE;
use super::wire::{Deadline, EndedBy, Exit, Order, Report, RunNumber, Usage};

/// How long after the SIGKILL of an order its supervisor may stay silent: its own patience with
/// unkillable processes, and some more. After that it counts as stuck.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(8);

/// How a run's processes ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEnd {
    /// The first process.
    pub exit: Exit,
    /// Who ended the tree.
    pub by: EndedBy,
    /// Processes that were alive after the command ended by itself, and were ended.
    pub leftovers: u32,
    /// Processes that could not be ended: SIGKILL had no effect in 5 s, or nobody was left to send
    /// it.
    pub survivors: u32,
    /// Processes that may stay.
    pub kept: u32,
    /// What the processes used.
    pub usage: Usage,
}

/// Gives orders to a run's supervisor.
#[derive(Debug, Clone)]
pub struct Control {
    socket: Arc<UnixStream>,
    /// Orders name it: when it is over, the supervisor may have another.
    run: RunNumber,
    supervisor: Pid,
    /// When the supervisor's silence is too long.
    overdue: watch::Sender<Option<Instant>>,
}

impl Control {
    /// SIGTERM to the whole tree now and SIGKILL after `grace`. Idempotent; a shorter grace wins.
    pub fn terminate(&self, grace: Duration) {
        let overdue = Instant::now() + grace + SUPERVISOR_PATIENCE;
        self.overdue
            .send_modify(|known| *known = Some(known.map_or(overdue, |k| k.min(overdue))));
        if let Err(error) = self.send(&Order::End(
            self.run,
            Deadline::from_now(Duration::ZERO, grace),
        )) {
            // Broken pipe: the end is on its way already. Otherwise the supervisor has not read for
            // days.
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.overdue.send_replace(Some(Instant::now()));
            }
        }
    }

    /// SIGKILL to the whole tree now.
    pub fn kill_now(&self) {
        self.terminate(Duration::ZERO);
    }

    /// Moves the dead man's deadline: without a further call, SIGTERM goes to the tree `alive_for`
    /// from now and SIGKILL 2 s later, even if this process is stopped or gone.
    pub fn extend(&self, alive_for: Duration) {
        // A failure means that the run has ended, or that its supervisor is stuck and the deadline
        // stays.
        let _ = self.send(&Order::Contact(
            self.run,
            Deadline::from_now(alive_for, CONTACT_GRACE),
        ));
    }

    fn send(&self, order: &Order) -> io::Result<()> {
        let bytes = frame(order)?;
        match self.socket.try_write(&bytes)? {
            n if n == bytes.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}

/// A command that was started.
#[derive(Debug)]
pub struct Child {
    /// The command's process id.
    pub pid: i32,
    /// The process id of its supervisor.
    pub supervisor: i32,
    /// Whether it is in a control group of its own.
    pub grouped: bool,
    /// Its pipes, to be read while waiting.
    pub outputs: Vec<(Channel, pipe::Receiver)>,
    /// `None` once it carries nothing more of this run.
    line: Option<Line>,
    idle: IdleLines,
    control: Control,
    overdue: watch::Receiver<Option<Instant>>,
    exit: Exit,
    end: Option<TreeEnd>,
}

/// What the supervisor says of a command that runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Started {
    pub(super) supervisor: i32,
    pub(super) pid: i32,
    pub(super) grouped: bool,
}

impl Child {
    /// A run on this line, which goes to `idle` when the run is over and its supervisor is free.
    pub(super) fn new(
        line: Line,
        idle: IdleLines,
        run: RunNumber,
        outputs: Vec<(Channel, pipe::Receiver)>,
        started: Started,
    ) -> Child {
        let Started {
            supervisor,
            pid,
            grouped,
        } = started;
        let (sender, overdue) = watch::channel(None);
        let control = Control {
            socket: line.socket(),
            run,
            supervisor: Pid::from_raw(supervisor),
            overdue: sender,
        };
        Child {
            pid,
            supervisor,
            grouped,
            outputs,
            line: Some(line),
            idle,
            control,
            overdue,
            exit: Exit::Unknown,
            end: None,
        }
    }

    /// What gives orders to this run, also while somebody waits for it.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Waits until nothing of the run is left but what may stay. Cancel-safe; later calls answer
    /// the same.
    ///
    /// Does not read the pipes: a command that prints much blocks until somebody does.
    pub async fn wait(&mut self) -> TreeEnd {
        loop {
            if let Some(end) = &self.end {
                return end.clone();
            }
            let Some(line) = &mut self.line else {
                return self.ended_by(EndedBy::SpawnerLost);
            };
            let overdue = *self.overdue.borrow_and_update();
            let report = tokio::select! {
                biased;
                report = line.next_report() => report,
                _ = self.overdue.changed() => continue,
                () = until(overdue) => {
                    // Its parent, the spawner, then ends what it held and reports.
                    let _ = kill(self.control.supervisor, Signal::SIGKILL);
                    self.control.overdue.send_replace(None);
                    continue;
                }
            };
            match report {
                Ok(Some(report)) => self.note(&report),
                Ok(None) | Err(_) => self.end = Some(self.ended_by(EndedBy::SpawnerLost)),
            }
        }
    }

    fn note(&mut self, report: &Report) {
        match *report {
            Report::Exited { exit } => self.exit = exit,
            Report::Ended {
                by,
                leftovers,
                survivors,
                kept,
                usage,
                free,
            } => {
                let exit = self.exit;
                self.end = Some(TreeEnd {
                    exit,
                    by,
                    leftovers,
                    survivors,
                    kept,
                    usage,
                });
                if let Some(line) = self.line.take().filter(|_| free) {
                    self.idle.keep(line);
                }
            }
            Report::Lost { orphans, survivors } => {
                let end = self.ended_by(EndedBy::SupervisorLost);
                self.end = Some(TreeEnd {
                    leftovers: orphans,
                    survivors,
                    ..end
                });
            }
            Report::Started { .. } | Report::Refused { .. } => {}
        }
    }

    fn ended_by(&self, by: EndedBy) -> TreeEnd {
        let (exit, usage) = (self.exit, Usage::default());
        TreeEnd {
            exit,
            by,
            leftovers: 0,
            survivors: 0,
            kept: 0,
            usage,
        }
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
