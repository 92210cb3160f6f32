//! What the fleet has written into etcd: workers that doubt their clocks or zones, and jobs that need another user.

use futures_util::StreamExt as _;
use sandclock_core::backend::{SessionEvent, WorkerInfo};

use super::{Check, host};
use crate::config::{Config, EtcdSection};
use crate::wire::checkup;

/// The check.
pub(super) const NAME: &str = "workers";

/// Reads it. Says nothing where etcd cannot be reached: its own check does.
pub(super) async fn examine(section: &EtcdSection, config: &Config) -> Vec<Check> {
    let Ok(coordination) = checkup::coordination(section, config).await else {
        return Vec::new();
    };
    let mut workers = Vec::new();
    if let Ok(mut live) = coordination.sessions.live().await {
        while let Some(event) = live.next().await {
            match event {
                Ok(SessionEvent::Live(_, info)) => workers.push(info),
                Ok(SessionEvent::Synced) | Err(_) => break,
                Ok(_) => {}
            }
        }
    }
    let mut checks = vec![judge(&workers)];
    if let Ok(jobs) = coordination.jobs.snapshot().await {
        let needing = jobs.jobs.iter().filter_map(|stored| {
            let user = stored.job.command.user.as_ref()?;
            Some((stored.job.name.to_string(), user.clone()))
        });
        checks.push(host::users(Some(needing.collect())));
    }
    checks
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
