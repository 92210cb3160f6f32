//! The worker of a process: what it decides and runs with, made of the configuration.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sandclock_core::fleet::{Limits, Worker, WorkerConfig};
use sandclock_core::ports::{Executor, Hooks};
use sandclock_hooks::KnownSecrets;

use super::{Parts, Stores, days_kept, host};
use crate::clock::SystemClock;
use crate::config::{Config, CoordinationSection, Environment};
use crate::exec::{JobExecutor, Processes, Spawner, Surroundings, end_unsupervised};
use crate::random::SystemRandom;
use crate::vault::Vault;

/// How long the end of a run waits for a run log in a file of this process. One that is elsewhere has a spool, and
/// no run waits for it.
const LOG_PATIENCE: Duration = Duration::from_secs(10);

impl Parts {
    /// What decides and runs. First ends what an earlier worker of this name left behind.
    ///
    /// # Errors
    /// If the runtime cannot watch the spawner's socket.
    pub async fn worker(
        &self,
        config: &Config,
        environment: &Environment,
        secrets: KnownSecrets,
        spawner: Spawner,
    ) -> anyhow::Result<Worker> {
        let hooks: Arc<dyn Hooks> = Arc::clone(&self.rollout) as _;
        let Stores {
            mut coordination,
            mut records,
            ..
        } = self.stores.clone();
        let mut patience = LOG_PATIENCE;
        if let Some(spool) = &self.spool {
            records.sink = Arc::clone(spool) as _;
            patience = Duration::ZERO;
        }
        let surroundings = Surroundings::new(
            environment.variables().clone(),
            &config.worker.pass_env,
            secrets,
        );
        let section = &config.worker;
        let docs = Arc::clone(&coordination.docs);
        let vault = Vault::new(section.secrets()?, section.secrets_key.clone(), docs)?;
        let surroundings = surroundings
            .with_names(Arc::new(vault))
            .traced(self.telemetry.is_some());
        let executor = JobExecutor {
            processes: Processes::new(spawner)?,
            surroundings: Arc::new(surroundings.starting_in(workdir(config)?)),
            hooks: Arc::clone(&hooks),
            sink: Arc::clone(&records.sink),
            patience,
        };
        let mut executor: Arc<dyn Executor> = Arc::new(executor);
        let mut hooks = hooks;
        if let Some(telemetry) = &self.telemetry {
            (hooks, executor) = telemetry.around(hooks, executor);
            telemetry.around_stores(&mut coordination, &mut records);
        }
        let worker = worker_config(config);
        // Nothing of this worker's former life may run beside what the store gives it now.
        let (ended, left) = end_unsupervised("SANDCLOCK_WORKER", &worker.name).await;
        if ended + left > 0 {
            tracing::warn!(
                ended,
                left,
                "found processes of an earlier worker that nobody looked after"
            );
        }
        let worker = Worker::new(
            worker,
            coordination,
            records,
            hooks,
            executor,
            Arc::new(SystemClock),
            Box::new(SystemRandom),
        );
        if let Some(spool) = &self.spool {
            let handle = worker.handle();
            let name = handle.status().name;
            spool.watch_ends(name, move || handle.status().done_waiting);
        }
        Ok(worker)
    }
}

/// Where commands start that name no folder, as a path from the root: supervisors stand elsewhere.
pub(super) fn workdir(config: &Config) -> anyhow::Result<Option<String>> {
    let Some(folder) = &config.worker.workdir else {
        return Ok(None);
    };
    let refused = || {
        format!(
            "worker.workdir: {} is no folder that can be used",
            folder.display()
        )
    };
    let path = folder.canonicalize().with_context(refused)?;
    Ok(Some(
        path.into_os_string()
            .into_string()
            .ok()
            .with_context(refused)?,
    ))
}

fn worker_config(config: &Config) -> WorkerConfig {
    let host = host();
    let section = &config.worker;
    let mut worker = WorkerConfig::new(section.name.clone().unwrap_or_else(|| host.clone()));
    worker.host = host;
    worker.labels = section.labels.clone();
    worker.version = crate::VERSION.to_owned();
    worker.time_zone = config.time_zone();
    worker.limits = limits(config);
    if let CoordinationSection::Etcd(etcd) = &config.coordination {
        worker.ttl = Duration::from_secs(etcd.session_ttl_s);
    }
    worker
}

/// What of a worker's configuration may change while it runs.
pub(crate) fn limits(config: &Config) -> Limits {
    let section = &config.worker;
    Limits {
        max_concurrent_runs: section.max_concurrent_runs,
        default_limit: section.default_timeout_s.map(Duration::from_secs),
        drain_timeout: Duration::from_secs(section.drain_s),
        retention: days_kept(config.retention.runs_days),
    }
}
