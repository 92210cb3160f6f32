//! What the worker, the spawner and the supervisors say to each other.
//!
//! The worker hands the spawner nothing but a supervisor's control socket (one byte and
//! `SCM_RIGHTS`). Everything else travels on that socket between worker and supervisor ([`super::frames`]),
//! and the ends of a run's pipes with its request. So the spawner never parses or stores what a job
//! says, and a long environment cannot exceed the size of a datagram.
//!
//! A supervisor serves one run after another. Whoever gave orders to a run may do so once more when
//! it is over and the next has begun, so every order names its run.
//!
//! Deadlines are points of `CLOCK_BOOTTIME`, which is the same for all processes of a host and goes
//! on while the machine is suspended: a message that was read late does not stretch the time it
//! grants.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A point of `CLOCK_BOOTTIME`, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct BootMillis(pub(super) u64);

impl BootMillis {
    /// Now, by the kernel's clock.
    pub(super) fn now() -> BootMillis {
        // The clock exists on every kernel that has subreapers; 0 would end a run at once rather
        // than never.
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME)
            .map(Duration::from)
            .unwrap_or_default();
        BootMillis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    }

    /// This point moved into the future, saturating.
    pub(super) fn after(self, by: Duration) -> BootMillis {
        BootMillis(
            self.0
                .saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

/// When a process tree is asked to end, and when it is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Deadline {
    /// SIGTERM goes to every process of the tree.
    pub(super) terminate_at: BootMillis,
    /// SIGKILL goes to every process of the tree until none is left.
    pub(super) kill_at: BootMillis,
}

impl Deadline {
    /// SIGTERM `wait` from now and SIGKILL `grace` later.
    pub(super) fn from_now(wait: Duration, grace: Duration) -> Deadline {
        let terminate_at = BootMillis::now().after(wait);
        Deadline {
            terminate_at,
            kill_at: terminate_at.after(grace),
        }
    }

    /// Whichever comes first, for each of the two points.
    pub(super) fn sooner(self, other: Deadline) -> Deadline {
        Deadline {
            terminate_at: self.terminate_at.min(other.terminate_at),
            kill_at: self.kill_at.min(other.kill_at),
        }
    }
}

/// Limits of every process of a run (`setrlimit(2)`); `None` leaves the worker's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Address space of each process, in bytes (`RLIMIT_AS`).
    pub memory_bytes: Option<u64>,
    /// Processor time of each process, in seconds (`RLIMIT_CPU`).
    pub cpu_s: Option<u64>,
    /// Open descriptors of each process (`RLIMIT_NOFILE`).
    pub open_files: Option<u64>,
}

/// A run's number: told apart within one worker and its supervisors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct RunNumber(pub(super) u64);

/// Everything a supervisor needs to start a command. The write ends of its pipes (one, or two if
/// split) come with it; behind them, if leftovers are to be kept, the read ends.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) run: RunNumber,
    pub(super) argv: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub(super) env: Vec<(String, String)>,
    /// `None`: the home directory, or `/` if that cannot be entered.
    pub(super) workdir: Option<String>,
    /// `None`: the worker's own user. Otherwise HOME, USER, LOGNAME and SHELL follow from it where
    /// `env` lacks them.
    pub(super) user: Option<String>,
    pub(super) umask: u32,
    pub(super) limits: Limits,
    /// The soft limit of open descriptors where `limits` sets none; `None` leaves the worker's.
    pub(super) soft_open_files: Option<u64>,
    /// Two pipes rather than one.
    pub(super) split: bool,
    /// Processes that outlive the command may stay.
    pub(super) keep_leftovers: bool,
    /// Time between SIGTERM and SIGKILL where no order says otherwise, in milliseconds.
    pub(super) grace_ms: u64,
    /// The first dead man's deadline.
    pub(super) contact: Deadline,
}

/// Worker to supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Start a command; only to a supervisor that has none.
    Start(Box<Request>),
    /// The worker is there; without a further word the run's tree ends at this deadline.
    Contact(RunNumber, Deadline),
    /// The run's tree ends at this deadline. Later orders can only bring it forward.
    End(RunNumber, Deadline),
}

/// The step of a start that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartStep {
    /// The worker could not reach the spawner.
    Spawner,
    /// A variable, the directory or the user holds a NUL byte.
    Nul,
    /// The worker has no descriptor left for the run.
    Descriptors,
    /// The supervisor was given the command and ended or fell silent before it said what became of
    /// it. The command may have begun.
    Unknown,
    /// The program's name has no slash and no directory of `PATH` holds it.
    Lookup,
    /// There is no such user.
    NoUser,
    /// The user cannot be assumed.
    User,
    /// A limit cannot be set.
    Limit,
    /// The working directory cannot be entered.
    Workdir,
    /// A process could not be made, or its session, descriptors or control group.
    Process,
    /// The kernel refused to execute the program.
    Exec,
}

/// How the command's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// A signal ended it.
    Signal {
        /// The signal's number.
        signal: i32,
        /// Whether the kernel wrote a core file.
        core_dumped: bool,
    },
    /// Nobody saw its end: its supervisor was killed before it.
    Unknown,
}

/// Who ended a run's process tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndedBy {
    /// The command ended by itself.
    Command,
    /// The worker asked for it.
    Order,
    /// The worker did not extend the dead man's deadline in time.
    NoContact,
    /// The worker's end of the control socket was closed.
    WorkerGone,
    /// The run's supervisor was killed; the spawner ended the processes it left.
    SupervisorLost,
    /// Supervisor and spawner were both killed, and the worker has not looked for what they left.
    SpawnerLost,
}

/// What the processes of a run used, all that were waited for together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time in user mode, in milliseconds.
    pub user_ms: u64,
    /// Processor time in the kernel, in milliseconds.
    pub system_ms: u64,
    /// Resident memory of the largest process, in bytes.
    pub max_rss_bytes: u64,
}

/// Supervisor (or, for `Lost`, spawner) to worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Report {
    /// There is a supervisor, and it waits for its first request.
    Ready,
    /// The command runs.
    Started {
        supervisor: i32,
        pid: i32,
        grouped: bool,
    },
    /// It does not, and nothing of it is left.
    Refused {
        step: StartStep,
        subject: String,
        errno: i32,
    },
    /// The first process ended; others may live.
    Exited { exit: Exit },
    /// Nothing of the run is left but `survivors` (which could not be ended) or `kept` (which were
    /// to be kept).
    Ended {
        by: EndedBy,
        leftovers: u32,
        survivors: u32,
        kept: u32,
        usage: Usage,
        /// The supervisor waits for the next request. Otherwise it goes away, or stays for what is
        /// kept.
        free: bool,
    },
    /// The supervisor was killed, and the processes it left were.
    Lost { orphans: u32, survivors: u32 },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_deadlines_each_point_is_the_sooner() {
        let a = Deadline {
            terminate_at: BootMillis(1),
            kill_at: BootMillis(9),
        };
        let b = Deadline {
            terminate_at: BootMillis(3),
            kill_at: BootMillis(4),
        };
        assert_eq!(
            a.sooner(b),
            Deadline {
                terminate_at: BootMillis(1),
                kill_at: BootMillis(4)
            }
        );
    }
}
