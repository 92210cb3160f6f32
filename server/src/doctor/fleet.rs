//! What the fleet has written into etcd: workers that doubt their clocks or zones, and jobs that need another user.

use futures_util::StreamExt as _;
use sandclock_core::backend::{Events, Result, SessionEvent, WorkerInfo};
use sandclock_core::{BackendError, ErrorKind};

use super::{Check, host};
use crate::config::{Config, EtcdSection};
use crate::wire::checkup;

/// The check.
pub(super) const NAME: &str = "workers";

/// Reads it. What cannot be read fails: nothing is known of it then, whatever a member has answered the check of etcd.
pub(super) async fn examine(section: &EtcdSection, config: &Config) -> Vec<Check> {
    let coordination = match checkup::coordination(section, config).await {
        Ok(coordination) => coordination,
        Err(error) => {
            let error = format!("{error:#}");
            return vec![unread(NAME, &error), unread(host::USERS, &error)];
        }
    };
    let workers = match coordination.sessions.live().await {
        Ok(events) => listed(events).await,
        Err(error) => Err(error),
    };
    let workers = match workers {
        Ok(workers) => judge(&workers),
        Err(error) => unread(NAME, &checkup::said(&error)),
    };
    let users = match coordination.jobs.snapshot().await {
        Ok(jobs) => {
            let needing = jobs.jobs.iter().filter_map(|stored| {
                let user = stored.job.command.user.as_ref()?;
                Some((stored.job.name.to_string(), user.clone()))
            });
            host::users(Some(needing.collect()))
        }
        Err(error) => unread(host::USERS, &checkup::said(&error)),
    };
    vec![workers, users]
}

/// The workers that are connected now: all of them, or why not all are known.
async fn listed(mut events: Events<SessionEvent>) -> Result<Vec<WorkerInfo>> {
    let mut workers = Vec::new();
    while let Some(event) = events.next().await {
        match event? {
            SessionEvent::Live(_, info) => workers.push(info),
            SessionEvent::Synced => return Ok(workers),
            SessionEvent::Gone(_) | SessionEvent::DrainAsked(_) => {}
        }
    }
    let ended = BackendError::new("sessions.live", ErrorKind::Unavailable);
    Err(ended.context("the list ended before all were told"))
}

fn unread(name: &'static str, error: &str) -> Check {
    Check::failed(
        name,
        format!("cannot be read: {error}"),
        "see the check of etcd",
    )
}

fn judge(workers: &[WorkerInfo]) -> Check {
    let names = |is_so: fn(&WorkerInfo) -> bool| {
        let those = workers.iter().filter(|worker| is_so(worker));
        those
            .map(|worker| worker.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let doubted = names(|worker| worker.clock_doubted);
    if !doubted.is_empty() {
        let finding = format!("the clock of {doubted} is more than 2 s off from the others'");
        let remedy = "set it by NTP (chronyc tracking, timedatectl); it takes no ticks until then";
        return Check::warning(NAME, finding, remedy);
    }
    let elsewhere = names(|worker| worker.zone_differs);
    if !elsewhere.is_empty() {
        let finding = format!("{elsewhere} decides in another time zone than workers before it");
        let remedy = "set the same default_time_zone everywhere; it takes no ticks until then";
        return Check::warning(NAME, finding, remedy);
    }
    match workers.len() {
        0 => Check::ok(NAME, "none is connected now"),
        1 => Check::ok(NAME, "1 is connected; its clock and zone are in order"),
        count => Check::ok(
            NAME,
            format!("{count} are connected; their clocks and zones agree"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;
    use crate::doctor::State;

    #[tokio::test]
    async fn a_list_counts_if_it_was_read_to_its_end() {
        let read = |events: Vec<Result<SessionEvent>>| listed(Box::pin(stream::iter(events)));
        let read_whole = read(vec![Ok(SessionEvent::Synced)]).await;
        assert_eq!(judge(&read_whole.unwrap()).state, State::Ok);
        let broken = BackendError::new("sessions.live", ErrorKind::Unavailable);
        for events in [vec![Err(broken)], Vec::new()] {
            let error = read(events).await.unwrap_err();
            assert_eq!(unread(NAME, &checkup::said(&error)).state, State::Failed);
        }
    }
}
