//! `sandclock dev`: everything in one process on one file, for a newcomer and for a single host.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::watch;

use crate::cli::DevArgs;
use crate::clock::SystemClock;
use crate::config::{Config, Environment};
use crate::exec::{Spawner, open_files};
use crate::face::Face;
use crate::folders::Folders;
use crate::lifecycle::{Front, Running, Signals};
use crate::wire::Parts;
use crate::{examples, roles, wire};

/// Runs until a signal asks for the end, then lets running jobs finish.
///
/// # Errors
/// If something that it needs is not there; the message says what.
pub fn main(args: &DevArgs) -> anyhow::Result<()> {
    open_files::raise();
    // Early, while the process is small: this is what starts jobs.
    let spawner = Spawner::start().context("start the spawner")?;
    let environment = Environment::of_process();
    let mut config = Config::load(args.config.as_deref(), &environment)?;
    if let Some(listen) = args.listen {
        config.listen = listen;
        config.check().context("--listen")?;
    }
    roles::check_dev(&config)?;
    let folders = Folders::of(args.data.as_deref(), &config)?;
    roles::run(run(args, &config, &environment, &folders, spawner))
}

async fn run(
    args: &DevArgs,
    config: &Config,
    environment: &Environment,
    folders: &Folders,
    spawner: Spawner,
) -> anyhow::Result<()> {
    let secrets = roles::log(environment, config);
    let stores = wire::open_stores(config, &folders.data).await?;
    let parts = Parts::new(
        stores,
        (environment, secrets.clone()),
        config,
        &folders.data,
    )
    .await?
    .with_spool(config, &folders.data)?
    .with_tls(config)?
    .with_telemetry(config, "dev")?;
    let worker = parts.worker(config, environment, secrets, spawner).await?;
    let listener = roles::listen(config.listen, roles::LISTEN).await?;
    let jobs = &*parts.stores.coordination.jobs;
    if !args.no_examples {
        let secret = examples::secret_file(&folders.config)?;
        examples::create(jobs, &SystemClock, &config.time_zone(), &secret).await?;
    }
    let parts = Arc::new(parts);
    let gate = Arc::new(parts.gate());
    let face = Face {
        parts: Arc::clone(&parts),
        gate: Arc::clone(&gate),
        address: listener.local_addr()?,
    };
    let (router, delivery) = face.of(config, Some(worker.handle()))?;
    let signals = Signals::new()?;
    let lost = format!(
        "stop this, then sandclock token create NAME --role admin --data {}",
        folders.data.display()
    );
    roles::greet(&listener, folders, &parts, &lost).await?;
    gate.read().await;
    let running = Running {
        signals,
        front: Some(Front {
            listener,
            tls: parts.tls.clone(),
            router: watch::channel(router).1,
        }),
        worker: Some(worker),
        chores: Some(parts.chores()),
        delivery: Some(watch::channel(delivery).1),
        spool: parts.spool.clone(),
        rollout: Arc::clone(&parts.rollout),
        recorder: parts.recorder.clone(),
        away: parts.stores.away.clone(),
        certificates: parts.stores.certificates.clone(),
        reload: None,
        telemetry: parts.telemetry.clone(),
    };
    running.serve().await
}
