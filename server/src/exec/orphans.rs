//! The last resort: processes whose supervisor and spawner were both killed.
//!
//! They have left no trace but their environment, which names the run and the worker (a job that
//! wipes it cannot be found). A supervisor above a process means that somebody looks after it: it
//! is being ended in order, or may stay.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use super::supervisor::SUPERVISOR_NAME;
use super::tree;

/// How long they may resist SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);

/// Kills every process that has this variable in its environment and no supervisor above it, until
/// there is none.
///
/// A worker calls it with `SANDCLOCK_WORKER` and its own name before it opens a session, so that
/// nothing of its former life runs beside the new one. Returns how many were ended and how many are
/// left (another user's, or in an uninterruptible call).
pub async fn end_unsupervised(variable: &str, value: &str) -> (usize, usize) {
    let wanted = format!("{variable}={value}");
    let give_up_at = Instant::now() + PATIENCE;
    let mut ended = 0;
    loop {
        let found = unsupervised(&wanted);
        if found.is_empty() || Instant::now() >= give_up_at {
            return (ended, found.len());
        }
        for pid in &found {
            ended += usize::from(kill(*pid, Signal::SIGKILL).is_ok());
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// Living processes with this entry in their environment and no supervisor above them.
fn unsupervised(wanted: &str) -> Vec<Pid> {
    let has_entry = |pid: &Pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == wanted.as_bytes())
    };
    let own = nix::unistd::getpid();
    tree::all_processes()
        .filter(|pid| *pid != own && has_entry(pid) && !is_supervised(*pid))
        .collect()
}

fn is_supervised(pid: Pid) -> bool {
    let mut above = tree::parent(pid);
    while let Some(pid) = above {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        // One that was killed closes its descriptors, which is how its worker knows, before its
        // children get another parent.
        if name.trim_end() == SUPERVISOR_NAME && !tree::is_exiting(pid) {
            return true;
        }
        above = tree::parent(pid);
    }
    false
}
