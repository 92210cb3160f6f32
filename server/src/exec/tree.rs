//! Finding and signalling every process below this one.
//!
//! A supervisor is a subreaper (`prctl(2)`, PR_SET_CHILD_SUBREAPER): a process whose parent ends
//! becomes its child, however often the job forked or called `setsid`. So everything of the run is
//! below the supervisor, and it has no children exactly when nothing of the run is left.
//!
//! A look at the tree is old the moment it is taken. Signals therefore also go to every process
//! group seen (atomic against `fork`, kill(2)); and killing is repeated until `waitpid` knows of no
//! child.

use std::collections::BTreeSet;
use std::fs;
use std::sync::OnceLock;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpid};

use super::mutant::Mutant;

/// All living processes below `root`, parents before children. Zombies are left out: they are
/// waiting for their parent.
pub(super) fn descendants(root: Pid) -> Vec<Process> {
    let mut found = Vec::new();
    let mut pending = children(root);
    while let Some(pid) = pending.pop() {
        if let Some(process) = Process::look(pid) {
            found.push(process);
        }
        pending.extend(children(pid));
    }
    found
}

/// A process as it was seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    pub(super) pid: Pid,
    pub(super) group: Pid,
}

impl Process {
    /// Reads `/proc/<pid>/stat`; `None` if the process is gone or a zombie.
    fn look(pid: Pid) -> Option<Process> {
        let stat = Stat::of(pid)?;
        (!stat.zombie).then_some(Process {
            pid,
            group: stat.group,
        })
    }
}

/// What is used of a `/proc/<pid>/stat` line (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    zombie: bool,
    parent: Pid,
    group: Pid,
    exiting: bool,
    stopped: bool,
    /// When it started, in clock ticks since the machine did.
    started: u64,
}

/// `PF_EXITING` of the kernel's `sched.h`: on its way out, but perhaps still a parent.
const EXITING: u32 = 4;

impl Stat {
    fn of(pid: Pid) -> Option<Stat> {
        Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name before the fields may hold anything, `)` too.
    fn parse(line: &str) -> Option<Stat> {
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let [
            state,
            parent,
            group,
            _session,
            _terminal,
            _foreground,
            flags,
            ..,
        ] = fields[..]
        else {
            return None;
        };
        Some(Stat {
            zombie: state == "Z",
            parent: Pid::from_raw(parent.parse().ok()?),
            group: Pid::from_raw(group.parse().ok()?),
            exiting: flags.parse::<u32>().ok()? & EXITING != 0,
            stopped: matches!(state, "T" | "t"),
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

/// The children of all threads of a process.
pub(super) fn children(of: Pid) -> Vec<Pid> {
    let Ok(threads) = fs::read_dir(format!("/proc/{of}/task")) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(list) => found.extend(pids(&list)),
            // The thread ended, or the kernel was built without CONFIG_PROC_CHILDREN.
            Err(_) if fs::exists("/proc/thread-self/children").unwrap_or(false) => {}
            Err(_) => return children_by_scan(of),
        }
    }
    found
}

fn pids(list: &str) -> impl Iterator<Item = Pid> + '_ {
    list.split_ascii_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .map(Pid::from_raw)
}

/// The children of a process by asking every process for its parent.
fn children_by_scan(of: Pid) -> Vec<Pid> {
    all_processes()
        .filter(|pid| parent(*pid) == Some(of))
        .collect()
}

/// Every process of this machine (or of this container).
pub(super) fn all_processes() -> impl Iterator<Item = Pid> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
}

/// The parent of a process; `None` if that is not a process of this machine or container.
pub(super) fn parent(of: Pid) -> Option<Pid> {
    let parent = Stat::of(of)?.parent;
    (parent.as_raw() > 0).then_some(parent)
}

/// Whether a process has begun to end, by its own will or not.
pub(super) fn is_exiting(pid: Pid) -> bool {
    Stat::of(pid).is_none_or(|stat| stat.exiting)
}

/// Whether a process stands still, by SIGSTOP or a tracer.
pub(super) fn is_stopped(pid: Pid) -> bool {
    Stat::of(pid).is_some_and(|stat| stat.stopped)
}

/// A process, as nothing else that bears its number was or will be called: `<pid>-<start>`. `None`
/// if it has ended.
pub(super) fn incarnation(pid: Pid) -> Option<String> {
    let stat = Stat::of(pid).filter(|stat| !stat.zombie && !stat.exiting)?;
    Some(format!("{pid}-{}", stat.started))
}

/// Sends a signal to the given processes and to their groups, never to this process's own group.
fn signal_all(processes: &[Process], signal: Signal) {
    let own = nix::unistd::getpgrp();
    let groups: BTreeSet<Pid> = processes
        .iter()
        .map(|p| p.group)
        .filter(|g| *g != own && g.as_raw() > 1)
        .collect();
    for group in &groups {
        // Gone or not ours to signal: the processes themselves are tried below, and looked at again
        // by the caller.
        let _ = killpg(*group, signal);
    }
    for process in processes.iter().filter(|p| !groups.contains(&p.group)) {
        let _ = kill(process.pid, signal);
    }
}

/// Every process below this one.
fn seen() -> Vec<Process> {
    let mut processes = descendants(getpid());
    if Mutant::GroupOnly.is_on() {
        static FIRST: OnceLock<Option<Pid>> = OnceLock::new();
        let first = FIRST.get_or_init(|| processes.iter().map(|process| process.group).min());
        processes.retain(|process| Some(process.group) == *first);
    }
    processes
}

/// How many there are, for a report.
pub(super) fn count(processes: usize) -> u32 {
    u32::try_from(processes).unwrap_or(u32::MAX)
}

/// Asks every process below this one to end. Stopped ones are continued, for a stopped process
/// handles no signal.
pub(super) fn terminate() {
    let processes = seen();
    signal_all(&processes, Signal::SIGTERM);
    signal_all(&processes, Signal::SIGCONT);
}

/// Kills every process below this one that is seen now.
pub(super) fn kill_seen() {
    signal_all(&seen(), Signal::SIGKILL);
}

/// Kills a process and every process below it that is seen now, and says which they were.
pub(super) fn kill_from(top: Pid) -> impl Iterator<Item = Pid> {
    let mut processes = descendants(top);
    processes.extend(Process::look(top));
    signal_all(&processes, Signal::SIGKILL);
    processes.into_iter().map(|process| process.pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_any_name() {
        let line = "42 (a) Z 7) S 41 40 39 0 -1 4194564 110 0 0 0 1 2 0 0 20 0 1 0 5678 99";
        let (parent, group) = (Pid::from_raw(41), Pid::from_raw(40));
        let expected = Stat {
            zombie: false,
            parent,
            group,
            exiting: true,
            stopped: false,
            started: 5678,
        };
        assert_eq!(Stat::parse(line), Some(expected));
        assert_eq!(Stat::parse("42 (cut"), None);
    }

    #[test]
    fn both_ways_to_find_children_agree() {
        let parent = Pid::parent();
        let mut quick = children(parent);
        let mut slow = children_by_scan(parent);
        quick.sort_unstable();
        slow.sort_unstable();
        assert!(quick.contains(&getpid()), "{quick:?}");
        assert_eq!(slow.contains(&getpid()), quick.contains(&getpid()));
    }
}
