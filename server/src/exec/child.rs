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
use super::start::CONTACT_GRACE;
use super::wire::{Deadline, EndedBy, Exit, Order, Report, RunNumber, Usage};

/// How long after the SIGKILL of an order, or of the dead man's deadline, its supervisor may stay
/// silent: its own patience with unkillable processes, and some more. After that it counts as stuck
/// and is killed. The spawner has as long to report that.
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
    overdue: watch::Sender<Overdue>,
}

/// When a supervisor should have ended its run; `None` is never.
#[derive(Debug, Clone, Copy, Default)]
struct Overdue {
    /// By the orders it was given.
    ordered: Option<Instant>,
    /// By the dead man's deadline.
    contact: Option<Instant>,
}

impl Overdue {
    fn first(self) -> Option<Instant> {
        self.ordered.into_iter().chain(self.contact).min()
    }
}

/// When the silence of a supervisor is too long that sends SIGKILL after `wait`.
fn overdue_after(wait: Duration) -> Option<Instant> {
    Instant::now().checked_add(wait.saturating_add(SUPERVISOR_PATIENCE))
}

impl Control {
    /// SIGTERM to the whole tree now and SIGKILL after `grace`. Idempotent; a shorter grace wins.
    pub fn terminate(&self, grace: Duration) {
        let overdue = overdue_after(grace);
        self.overdue
            .send_modify(|known| known.ordered = known.ordered.into_iter().chain(overdue).min());
        if let Err(error) = self.send(&Order::End(
            self.run,
            Deadline::from_now(Duration::ZERO, grace),
        )) {
            // Broken pipe: the end is on its way already. Otherwise the supervisor has not read for
            // days.
            if error.kind() != io::ErrorKind::BrokenPipe {
                let now = Some(Instant::now());
                self.overdue.send_modify(|known| known.ordered = now);
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
        let overdue = overdue_after(alive_for.saturating_add(CONTACT_GRACE));
        self.overdue.send_modify(|known| known.contact = overdue);
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
    overdue: watch::Receiver<Overdue>,
    /// Its supervisor was killed for its silence; from then on the spawner should say so.
    given_up_at: Option<Instant>,
    exit: Exit,
    end: Option<TreeEnd>,
}

/// What the supervisor says of a command that runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Started {
    pub(super) supervisor: i32,
    pub(super) pid: i32,
    pub(super) grouped: bool,
    /// The first dead man's deadline.
    pub(super) alive_for: Duration,
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
            alive_for,
        } = started;
        let (sender, overdue) = watch::channel(Overdue {
            ordered: None,
            contact: overdue_after(alive_for.saturating_add(CONTACT_GRACE)),
        });
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
            given_up_at: None,
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
            let overdue = self.overdue.borrow_and_update().first();
            let due = self.given_up_at.or(overdue);
            let report = tokio::select! {
                biased;
                report = line.next_report() => report,
                _ = self.overdue.changed() => continue,
                // The spawner is stopped too.
                () = until(due) => if self.given_up_at.is_some() { Ok(None) } else {
                    // Its parent, the spawner, then ends what it held and reports.
                    let _ = kill(self.control.supervisor, Signal::SIGKILL);
                    self.given_up_at = overdue_after(Duration::ZERO);
                    continue;
                },
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
            Report::Ready | Report::Started { .. } | Report::Refused { .. } => {}
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
