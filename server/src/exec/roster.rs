//! Who the spawner's children are: supervisors of runs, parents of kept processes, and the orphans
//! of supervisors that were killed.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use super::cgroup::{Group, Groups};
use super::frames;
use super::mutant::Mutant;
use super::reap::{Reaped, reap};
use super::tree;
use super::wire::{BootMillis, Exit, Report};

/// How long orphans may resist SIGKILL before their run is given up.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(5);

/// What is known of a supervisor, and so of the run that it may have.
#[derive(Debug)]
pub(super) struct Run {
    /// The spawner's copy of the control socket, to tell the worker if the supervisor cannot.
    pub(super) control: UnixStream,
    /// Where its processes are, if control groups are to be had.
    pub(super) group: Option<Group>,
}

/// All children.
#[derive(Debug)]
pub(super) struct Roster {
    /// Runs by their supervisor.
    runs: BTreeMap<Pid, Run>,
    /// Supervisors whose run is over and which stay as parents.
    keepers: BTreeMap<Pid, Run>,
    /// Processes without a supervisor that may stay.
    adopted: BTreeSet<Pid>,
    /// Runs whose supervisor was killed, until nothing of theirs is left.
    lost: Vec<Run>,
    lost_since: Option<BootMillis>,
    /// What they left and was killed, each once: one may be seen again until the kernel has ended it.
    orphans: BTreeSet<Pid>,
    groups: Option<Groups>,
}

impl Roster {
    pub(super) fn new(groups: Option<Groups>) -> Roster {
        Roster {
            runs: BTreeMap::new(),
            keepers: BTreeMap::new(),
            adopted: BTreeSet::new(),
            lost: Vec::new(),
            lost_since: None,
            orphans: BTreeSet::new(),
            groups,
        }
    }

    /// A group for a new run.
    pub(super) fn group(&mut self) -> Option<Group> {
        self.groups.as_mut()?.take()
    }

    pub(super) fn add(&mut self, supervisor: Pid, run: Run) {
        self.runs.insert(supervisor, run);
    }

    /// Whether there is any run left to watch over.
    pub(super) fn is_busy(&self) -> bool {
        !self.runs.is_empty() || self.has_orphans()
    }

    /// Whether orphans are being ended, so that somebody should look again soon.
    pub(super) fn has_orphans(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Lets go of everything in a child: copies of other runs' sockets would hide the end of this
    /// process from the worker, and the groups are not the child's to remove.
    pub(super) fn abandon(&mut self) {
        self.runs.clear();
        self.keepers.clear();
        self.lost.clear();
        std::mem::forget(self.groups.take());
    }

    /// Takes ended children off the kernel's hands, and notices which of them were supervisors that
    /// failed or were stopped.
    pub(super) fn reap(&mut self, kept: &UnixDatagram, has_worker: bool) {
        loop {
            match reap() {
                Reaped::Ended(pid, exit, _) => self.on_end(pid, exit, kept),
                Reaped::Stopped(pid) if self.runs.contains_key(&pid) => go_on(pid, has_worker),
                Reaped::Stopped(_) => {}
                Reaped::NoneYet | Reaped::Childless => return,
            }
        }
    }

    fn on_end(&mut self, pid: Pid, exit: Exit, kept: &UnixDatagram) {
        self.read_kept(kept);
        self.adopted.remove(&pid);
        let in_order = exit == Exit::Code(0);
        match (self.keepers.remove(&pid), self.runs.remove(&pid)) {
            (Some(run), _) | (None, Some(run)) if in_order => self.reuse(run.group),
            (Some(_), _) => self.adopted.extend(self.strangers()),
            (None, Some(run)) => self.lost.push(run),
            (None, None) => {}
        }
    }

    /// Takes back an empty group.
    pub(super) fn reuse(&mut self, group: Option<Group>) {
        if let (Some(groups), Some(group)) = (&mut self.groups, group) {
            groups.give_back(group);
        }
    }

    /// A supervisor says that it stays before it can be lost, so reading this first tells the two
    /// apart.
    pub(super) fn read_kept(&mut self, kept: &UnixDatagram) {
        let mut pid = [0; 4];
        while let Ok(4) = kept.recv(&mut pid) {
            let pid = Pid::from_raw(i32::from_le_bytes(pid));
            if let Some(run) = self.runs.remove(&pid) {
                self.keepers.insert(pid, run);
            }
        }
    }

    /// Children that are no supervisor and were not adopted.
    fn strangers(&self) -> Vec<Pid> {
        let mut children = tree::children(getpid());
        children.retain(|pid| {
            !self.runs.contains_key(pid)
                && !self.keepers.contains_key(pid)
                && !self.adopted.contains(pid)
        });
        children
    }

    /// Kills what lost supervisors left, and reports each loss when nothing is left. To be called
    /// again until then.
    pub(super) fn end_orphans(&mut self) {
        if self.lost.is_empty() {
            return;
        }
        let since = *self.lost_since.get_or_insert_with(BootMillis::now);
        let strangers = self.strangers();
        for orphan in &strangers {
            self.orphans.extend(tree::kill_from(*orphan));
        }
        self.lost
            .iter()
            .filter_map(|run| run.group.as_ref())
            .for_each(Group::kill);
        let given_up = BootMillis::now() >= since.after(ORPHAN_PATIENCE);
        if !strangers.is_empty() && !given_up {
            return;
        }
        let survivors = tree::count(strangers.len());
        self.adopted.extend(strangers);
        self.lost_since = None;
        let orphans = tree::count(std::mem::take(&mut self.orphans).len());
        for run in std::mem::take(&mut self.lost) {
            // The worker may be gone too.
            let _ = frames::send(&run.control, &Report::Lost { orphans, survivors });
            if !given_up {
                self.reuse(run.group);
            }
        }
    }
}

/// A stopped supervisor would miss its deadlines, so it is made to go on. Once no worker watches
/// over it any more it is not trusted with that: it is killed, and what it leaves is ended here.
fn go_on(supervisor: Pid, has_worker: bool) {
    if Mutant::LeaveStopped.is_on() {
        return;
    }
    let signal = if has_worker {
        Signal::SIGCONT
    } else {
        Signal::SIGKILL
    };
    let _ = kill(supervisor, signal);
}
