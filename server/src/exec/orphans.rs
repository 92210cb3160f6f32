//! The last resort: processes that nobody looks after any more.
//!
//! Supervisor and spawner were both killed, or stopped before their worker was. What they leave has
//! left no trace but its environment, which names the run and the worker (a job that wipes it cannot
//! be found). Who looks after a process is the nearest of ours above it: a supervisor whose worker
//! lives, or one that stays for what may be kept, is left alone. One whose worker is gone ends its
//! run by itself, and soon. One that is stopped will never, nor will a stopped spawner: those without
//! a worker, whichever it was, are made to go on, and then end in order.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use super::keep::KEEPER_NAME;
use super::spawner::PROCESS_NAME;
use super::start::CONTACT_GRACE;
use super::supervisor::SUPERVISOR_NAME;
use super::tree;

/// How long they may resist SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);

/// The variable by which a spawner, and each supervisor it forks, names its worker.
const WORKER_MARK: &str = "SANDCLOCK_SPAWNER_OF";

/// This process, as its spawner names it.
pub(super) fn mark_of_worker() -> Option<(&'static str, String)> {
    let own = tree::incarnation(nix::unistd::getpid())?;
    Some((WORKER_MARK, own))
}

/// Kills every process that has this variable in its environment and that nobody looks after, until
/// there is none.
///
/// A worker calls it with `SANDCLOCK_WORKER` and its own name before it opens a session, so that
/// nothing of its former life runs beside the new one. Returns how many were ended and how many are
/// left (another user's, or in an uninterruptible call).
///
/// Stopped spawners and supervisors of workers that are gone go on, so that they end.
pub async fn end_unsupervised(variable: &str, value: &str) -> (usize, usize) {
    let wanted = format!("{variable}={value}");
    continue_bereft();
    let began = Instant::now();
    // One may be seen again until the kernel has ended it.
    let mut ended = BTreeSet::new();
    loop {
        let found = unsupervised(&wanted);
        if found.is_empty() || began.elapsed() >= PATIENCE {
            return (ended.len(), found.len());
        }
        for (pid, care) in found {
            if let Care::Stopped(supervisor) = care {
                let _ = kill(supervisor, Signal::SIGKILL);
            }
            let is_due = care != Care::Ending || began.elapsed() >= CONTACT_GRACE;
            if is_due && kill(pid, Signal::SIGKILL).is_ok() {
                ended.insert(pid);
            }
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// Makes every spawner and supervisor go on that is stopped and whose worker is gone: it learns of
/// that, ends what it looks after, and then itself.
fn continue_bereft() {
    for pid in tree::all_processes() {
        let is_ours = || matches!(name(pid).as_str(), PROCESS_NAME | SUPERVISOR_NAME);
        if tree::is_stopped(pid) && is_ours() && !has_worker(pid) {
            let _ = kill(pid, Signal::SIGCONT);
        }
    }
}

/// Who looks after a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    Nobody,
    /// This supervisor, which is stopped.
    Stopped(Pid),
    /// A supervisor whose worker is gone, and which is ending its run.
    Ending,
    /// Whoever should.
    InOrder,
}

/// Living processes with this entry in their environment that will not be ended in order.
fn unsupervised(wanted: &str) -> Vec<(Pid, Care)> {
    let own = nix::unistd::getpid();
    tree::all_processes()
        .filter(|pid| *pid != own && has_entry(*pid, wanted))
        .map(|pid| (pid, care(pid, wanted)))
        .filter(|(_, care)| *care != Care::InOrder)
        .collect()
}

fn care(pid: Pid, wanted: &str) -> Care {
    let mut above = tree::parent(pid);
    while let Some(pid) = above {
        // One that was killed closes its descriptors, which is how its worker knows, before its
        // children get another parent. And a job may call itself anything, but has the entry.
        if !tree::is_exiting(pid) && !has_entry(pid, wanted) {
            match name(pid).as_str() {
                KEEPER_NAME => return Care::InOrder,
                SUPERVISOR_NAME if tree::is_stopped(pid) => return Care::Stopped(pid),
                SUPERVISOR_NAME if has_worker(pid) => return Care::InOrder,
                SUPERVISOR_NAME => return Care::Ending,
                _ => {}
            }
        }
        above = tree::parent(pid);
    }
    Care::Nobody
}

/// Whether the worker that this spawner or supervisor belongs to is alive.
fn has_worker(of: Pid) -> bool {
    let environment = environment(of);
    let mut entries = environment.split(|byte| *byte == 0);
    let worker = entries.find_map(|entry| {
        let (name, worker) = std::str::from_utf8(entry).ok()?.split_once('=')?;
        (name == WORKER_MARK).then_some(worker)
    });
    let pid = |worker: &str| worker.split('-').next()?.parse().ok();
    let incarnation = |worker| tree::incarnation(Pid::from_raw(pid(worker)?));
    worker.is_some_and(|worker| incarnation(worker).as_deref() == Some(worker))
}

/// What a process is called in the process table.
fn name(of: Pid) -> String {
    let name = fs::read_to_string(format!("/proc/{of}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}

fn has_entry(pid: Pid, wanted: &str) -> bool {
    let environment = environment(pid);
    let mut entries = environment.split(|byte| *byte == 0);
    entries.any(|entry| entry == wanted.as_bytes())
}

/// What a process was started with; nothing for a zombie.
fn environment(pid: Pid) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
}
