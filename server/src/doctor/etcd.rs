//! The cluster: who of it answers, its alarms, and the room in its database.

use super::Check;
use crate::config::{Config, EtcdSection};
use crate::wire::checkup::{self, Alarm, EtcdCheckup, Refused};

/// The check.
pub(super) const NAME: &str = "etcd";

/// The check of alarms.
const ALARMS: &str = "etcd alarms";

/// The check of the database's size.
const ROOM: &str = "etcd database";

/// The quota of a server that does not say it: etcd's default, in bytes.
const QUOTA: u64 = 2 << 30;

/// How full the database may be, in percent of its quota.
const FULL: u64 = 80;

type Members = [(String, Result<EtcdCheckup, Refused>)];

/// Asks every endpoint.
pub(super) async fn examine(section: &EtcdSection, config: &Config) -> Vec<Check> {
    match checkup::members(section, config).await {
        Ok(members) => judge(&members),
        Err(error) => vec![Check::failed(
            NAME,
            format!("{error:#}"),
            "mend [coordination]",
        )],
    }
}

fn judge(members: &Members) -> Vec<Check> {
    let answered: Vec<_> = (members.iter())
        .filter_map(|(_, asked)| asked.as_ref().ok())
        .collect();
    let mut checks = vec![judge_members(members)];
    if answered.is_empty() {
        return checks;
    }
    let has = |alarm| answered.iter().any(|said| said.alarms.contains(&alarm));
    checks.push(if has(Alarm::Corrupt) {
        let finding = "CORRUPT: the data of its members differ; it answers nothing";
        let remedy = "replace the member that differs (etcdctl endpoint hashkv --cluster tells which), then etcdctl \
                      alarm disarm";
        Check::failed(ALARMS, finding, remedy)
    } else if has(Alarm::NoSpace) {
        let finding = "NOSPACE: its database has reached its quota, and nothing can be written";
        let remedy = "compact and defragment it (etcdctl compact REVISION, etcdctl defrag --cluster) or raise \
                      --quota-backend-bytes, then etcdctl alarm disarm";
        Check::failed(ALARMS, finding, remedy)
    } else {
        Check::ok(ALARMS, "none")
    });
    // Each member has its own file; the fullest raises the alarm.
    let fullest = (answered.iter()).max_by_key(|said| said.db_bytes);
    checks.extend(fullest.map(|said| judge_room(said)));
    checks
}

fn judge_members(members: &Members) -> Check {
    let (mut versions, mut silent) = (Vec::new(), Vec::new());
    for (endpoint, asked) in members {
        match asked {
            Ok(said) => versions.push(said.version.as_str()),
            Err(refused) => silent.push((endpoint, refused)),
        }
    }
    versions.sort_unstable();
    versions.dedup();
    let Some((endpoint, refused)) = silent.first() else {
        let finding = format!(
            "{}, version {}; reading and writing is allowed",
            endpoints(members.len()),
            versions.join(" and ")
        );
        return Check::ok(NAME, finding);
    };
    let finding = format!("{endpoint}: {}", refused.said);
    match silent.len() == members.len() {
        true => Check::failed(NAME, finding, refused.remedy.clone()),
        false => {
            let finding = format!(
                "{} of {} do not answer; {finding}",
                silent.len(),
                members.len()
            );
            Check::warning(NAME, finding, refused.remedy.clone())
        }
    }
}

fn endpoints(count: usize) -> String {
    match count {
        1 => "1 endpoint answers".to_owned(),
        count => format!("{count} endpoints answer"),
    }
}

fn judge_room(said: &EtcdCheckup) -> Check {
    let (quota, whose) = match said.quota_bytes {
        Some(quota) => (quota, "quota"),
        None => (QUOTA, "default quota"),
    };
    let mib = |bytes: u64| bytes >> 20;
    let finding = format!(
        "{} MiB of a {whose} of {} MiB, {} MiB of it in use",
        mib(said.db_bytes),
        mib(quota),
        mib(said.used_bytes)
    );
    match said.db_bytes >= quota / 100 * FULL {
        false => Check::ok(ROOM, finding),
        true => {
            let remedy = "set --auto-compaction-retention, defragment it (etcdctl defrag --cluster), or raise \
                          --quota-backend-bytes";
            Check::warning(ROOM, finding, remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    fn said() -> EtcdCheckup {
        EtcdCheckup {
            version: "3.5.16".to_owned(),
            db_bytes: 20 << 20,
            used_bytes: 1 << 20,
            quota_bytes: None,
            alarms: Vec::new(),
        }
    }

    fn silent() -> Result<EtcdCheckup, Refused> {
        let (said, remedy) = ("no answer".to_owned(), "start it".to_owned());
        Err(Refused { said, remedy })
    }

    fn states(members: Vec<Result<EtcdCheckup, Refused>>) -> Vec<State> {
        let members: Vec<_> = (members.into_iter().enumerate())
            .map(|(at, asked)| (format!("e{at}:2379"), asked))
            .collect();
        judge(&members).iter().map(|check| check.state).collect()
    }

    #[test]
    fn one_silent_member_is_a_warning_and_all_are_a_failure() {
        use State::{Failed, Ok as Fine, Warning};
        assert_eq!(states(vec![Ok(said())]), [Fine, Fine, Fine]);
        assert_eq!(states(vec![Ok(said()), silent()]), [Warning, Fine, Fine]);
        assert_eq!(states(vec![silent(), silent()]), [Failed]);
    }

    #[test]
    fn alarms_and_a_full_database_are_told() {
        use State::{Failed, Ok as Fine, Warning};
        for alarm in [Alarm::NoSpace, Alarm::Corrupt] {
            let alarmed = EtcdCheckup {
                alarms: vec![alarm],
                ..said()
            };
            assert_eq!(states(vec![Ok(said()), Ok(alarmed)]), [Fine, Failed, Fine]);
        }
        let full = |quota_bytes, db_bytes| {
            let full = EtcdCheckup {
                quota_bytes,
                db_bytes,
                ..said()
            };
            states(vec![Ok(full)])
        };
        assert_eq!(full(None, 1800 << 20), [Fine, Fine, Warning]);
        assert_eq!(full(Some(8 << 30), 1800 << 20), [Fine, Fine, Fine]);
        assert_eq!(full(Some(100 << 20), 81 << 20), [Fine, Fine, Warning]);
    }
}
