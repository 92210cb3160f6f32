//! A control group per run, where a version 2 hierarchy is writable (cgroups(7)).
//!
//! Membership is inherited and cannot be forked away from, and `cgroup.kill` reaches every member
//! at once: what the subreaper ends in rounds, the group ends in one write. Where there is no such
//! hierarchy the subreaper does it alone.
//!
//! Making a group takes longer than a fork, so groups are kept and used again: a run whose
//! supervisor ended in order has left its group empty.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// What a spawner's group is called, before its process id.
const PREFIX: &str = "sandclock-";

/// The groups below the spawner's own.
#[derive(Debug)]
pub(super) struct Groups {
    base: PathBuf,
    made: u32,
    free: Vec<Group>,
}

/// One group.
#[derive(Debug)]
pub(super) struct Group(PathBuf);

impl Groups {
    /// Makes a group for this spawner inside the one it runs in; `None` where that is impossible.
    pub(super) fn open() -> Option<Groups> {
        let parent = own_group()?;
        remove_abandoned(&parent);
        let base = parent.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&base).ok()?;
        let mut groups = Groups {
            base,
            made: 0,
            free: Vec::new(),
        };
        let probe = groups.take()?;
        // Linux 5.14 has `cgroup.kill`; a group without it is of no use.
        let usable = fs::exists(probe.0.join("cgroup.kill")).unwrap_or(false);
        groups.give_back(probe);
        usable.then_some(groups)
    }

    /// An empty group.
    pub(super) fn take(&mut self) -> Option<Group> {
        if let Some(group) = self.free.pop() {
            return Some(group);
        }
        let path = self.base.join(format!("run-{}", self.made));
        fs::create_dir(&path).ok()?;
        self.made += 1;
        Some(Group(path))
    }

    /// Takes back a group that is empty.
    pub(super) fn give_back(&mut self, group: Group) {
        self.free.push(group);
    }
}

/// The directory below which a process like this one makes a group per run, and whether it can: the same is tried as when a
/// worker starts, and taken back.
pub fn usable() -> (Option<PathBuf>, bool) {
    (own_group(), Groups::open().is_some())
}

impl Drop for Groups {
    fn drop(&mut self) {
        // A directory with members in it stays: what was kept may be there.
        for number in 0..self.made {
            let _ = fs::remove_dir(self.base.join(format!("run-{number}")));
        }
        let _ = fs::remove_dir(&self.base);
    }
}

impl Group {
    /// Makes the calling process a member, and so whatever it starts from then on.
    pub(super) fn join(&self) -> io::Result<()> {
        fs::write(self.0.join("cgroup.procs"), "0")
    }

    /// Kills every member at once.
    pub(super) fn kill(&self) {
        // Whatever the reason for a failure, the subreaper goes on.
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
    }
}

/// Removes what spawners left that were killed, as far as nothing is in it.
fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let of = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let is_dead = |pid: u32| !fs::exists(format!("/proc/{pid}")).unwrap_or(true);
        if of.and_then(|pid| pid.parse().ok()).is_some_and(is_dead) {
            for inner in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
                // Fails for the group's own files, and for groups with members.
                let _ = fs::remove_dir(inner.path());
            }
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The directory of this process's own group in the version 2 hierarchy.
fn own_group() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
    group_directory(&mounts, &membership)
}

/// Puts together where the hierarchy is mounted (field 5 of the line of type `cgroup2`, proc(5))
/// and which group of it is meant (the line of hierarchy 0).
fn group_directory(mounts: &str, membership: &str) -> Option<PathBuf> {
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    let mut fields = mount.split(' ').skip(3);
    let (root, point) = (fields.next()?, fields.next()?);
    let group = membership
        .lines()
        .find_map(|line| line.strip_prefix("0::"))?;
    // In a container the mount shows only a part of the hierarchy.
    let below = group.strip_prefix(root.trim_end_matches('/'))?;
    Some(PathBuf::from(point).join(below.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_found_below_the_mount() {
        let mounts = "24 1 0:22 / /sys rw - sysfs sysfs rw\n\
                      31 24 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        let of = |membership| group_directory(mounts, membership).map(|p| p.display().to_string());
        assert_eq!(
            of("0::/system.slice/a b.service\n").unwrap(),
            "/sys/fs/cgroup/system.slice/a b.service"
        );
        assert_eq!(of("9:pids:/x\n0::/\n").unwrap(), "/sys/fs/cgroup/");
        assert_eq!(of("9:pids:/x\n"), None);
    }

    #[test]
    fn a_containers_part_of_the_hierarchy_is_cut_off() {
        let mounts = "31 24 0:28 /box/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let found = group_directory(mounts, "0::/box/1/init\n").unwrap();
        assert_eq!(found.display().to_string(), "/sys/fs/cgroup/init");
        assert_eq!(group_directory(mounts, "0::/elsewhere\n"), None);
    }

    #[test]
    fn only_the_groups_of_dead_spawners_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        // No process id is that large (PID_MAX_LIMIT is 4,194,304).
        let dead = parent.path().join("sandclock-4200000");
        let alive = parent
            .path()
            .join(format!("sandclock-{}", std::process::id()));
        for group in [&dead, &alive] {
            fs::create_dir_all(group.join("run-0")).unwrap();
        }
        remove_abandoned(parent.path());
        assert!(!dead.exists());
        assert!(alive.join("run-0").exists());
    }
}
