//! This host: control groups for runs, other users for commands, and its time zone.

use std::fs;
use std::path::Path;

use nix::unistd::{User, geteuid};

use super::Check;
use crate::clock::host_zone;
use crate::config::Config;
use crate::exec;

/// The check of control groups.
pub(super) const GROUPS: &str = "control groups";

/// The check of users.
pub(super) const USERS: &str = "users";

/// The check of the time zone.
const ZONE: &str = "time zone";

/// What changing user and groups takes, as bits of a set of capabilities (capabilities(7)): `CAP_SETGID` and `CAP_SETUID`.
const SETTING_IDS: u64 = 1 << 6 | 1 << 7;

/// Whether each run can have a group of its own, as a worker that starts here would find it.
pub(super) fn groups() -> Check {
    let (own, usable) = exec::group_for_runs();
    judge_groups(own.as_deref(), usable)
}

fn judge_groups(own: Option<&Path>, usable: bool) -> Check {
    let alone = "process trees are ended by signals alone";
    match own {
        Some(own) if usable => {
            let finding = format!("each run can have its own, below {}", own.display());
            Check::ok(GROUPS, finding)
        }
        Some(own) => {
            let finding = format!("none can be made below {}; {alone}", own.display());
            let remedy = "set Delegate=yes in the worker's unit; for the doctor: systemd-run --pipe -p Delegate=yes \
                          sandclock doctor …";
            Check::warning(GROUPS, finding, remedy)
        }
        None => {
            let finding = format!("this host shows no hierarchy of version 2; {alone}");
            let remedy = "mount it: systemd does unless its boot parameters say otherwise";
            Check::warning(GROUPS, finding, remedy)
        }
    }
}

/// Whether commands of these jobs, each with the user that it asks for, can run as those users. `None` is jobs that nobody has
/// read.
pub(super) fn users(needing: Option<Vec<(String, String)>>) -> Check {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let user = geteuid();
    let own = User::from_uid(user).ok().flatten();
    let own = own.map_or_else(|| user.to_string(), |user| user.name);
    judge_users(may_change(&status), &own, needing)
}

/// Whether a process of this status (proc(5)) may change user and groups.
fn may_change(status: &str) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    effective.is_some_and(|set| set & SETTING_IDS == SETTING_IDS)
}

fn judge_users(may: bool, own: &str, needing: Option<Vec<(String, String)>>) -> Check {
    if may {
        return Check::ok(USERS, "commands can run as other users");
    }
    let Some(needing) = needing else {
        let finding = format!("commands run as {own} only; a job with another user does not start");
        return Check::ok(USERS, finding);
    };
    let others: Vec<_> = (needing.into_iter())
        .filter(|(_, user)| user != own)
        .collect();
    let Some((job, user)) = others.first() else {
        return Check::ok(
            USERS,
            format!("commands run as {own}; no job asks for another user"),
        );
    };
    let finding = format!(
        "commands run as {own} only, and {} ask for another user, such as {job} for {user}",
        match others.len() {
            1 => "1 job".to_owned(),
            count => format!("{count} jobs"),
        }
    );
    let remedy = "let the worker be root (deploy/systemd/worker-any-user.conf), or take user out of the job; if the \
                  worker has other rights than this user, run the doctor as the worker's";
    Check::warning(USERS, finding, remedy)
}

/// In which zone jobs are due that name none.
pub(super) fn zone(config: &Config) -> Check {
    let zone = config.time_zone();
    let is_given = config.default_time_zone.is_some();
    judge_zone(&zone, is_given, host_zone().as_deref())
}

fn judge_zone(zone: &str, is_given: bool, host: Option<&str>) -> Check {
    match (is_given, host) {
        (false, None) => {
            let finding = format!("{zone}, because the host does not say its own");
            Check::warning(ZONE, finding, "set default_time_zone")
        }
        _ => Check::ok(ZONE, format!("{zone}, by the program's own data")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn both_capabilities_are_needed() {
        let of = |set: &str| may_change(&format!("Name:\tx\nCapEff:\t{set}\n"));
        assert!(of("000001ffffffffff"));
        assert!(of("00000000000000c0"));
        assert!(!of("0000000000000040"));
        assert!(!of("0000000000000000"));
        assert!(!may_change(""));
    }

    #[test]
    fn users_count_where_a_job_needs_them() {
        let needing = |user: &str| vec![("job".to_owned(), user.to_owned())];
        let state = |may, needing| judge_users(may, "ann", needing).state;
        assert_eq!(state(true, Some(needing("bob"))), State::Ok);
        assert_eq!(state(false, Some(needing("ann"))), State::Ok);
        assert_eq!(state(false, Some(Vec::new())), State::Ok);
        assert_eq!(state(false, None), State::Ok);
        assert_eq!(state(false, Some(needing("bob"))), State::Warning);
    }

    #[test]
    fn groups_and_zones_are_told() {
        let own = Path::new("/sys/fs/cgroup/a");
        assert_eq!(judge_groups(Some(own), true).state, State::Ok);
        assert_eq!(judge_groups(Some(own), false).state, State::Warning);
        assert_eq!(judge_groups(None, false).state, State::Warning);
        assert_eq!(judge_zone("UTC", true, None).state, State::Ok);
        assert_eq!(judge_zone("UTC", false, Some("UTC")).state, State::Ok);
        assert_eq!(judge_zone("UTC", false, None).state, State::Warning);
    }
}
