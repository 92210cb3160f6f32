//! The composition root: from configuration to a product.
//!
//! Only here are backends and plugins named. Everything else sees contracts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sandclock_backend_embedded::{Embedded, EmbeddedConfig};
use sandclock_core::backend::{Coordination, Records};
use sandclock_core::fleet::{Worker, WorkerConfig};
use sandclock_core::ports::Hooks;
use sandclock_hooks::{Artifact, FailurePolicy, HooksConfig, KnownSecrets, PluginHost};

use crate::api::Api;
use crate::api::auth::Tokens;
use crate::clock::SystemClock;
use crate::config::{Config, Environment};
use crate::deliver::Delivery;
use crate::exec::{JobExecutor, Processes, Spawner, Surroundings, end_unsupervised};
use crate::random::SystemRandom;

/// The plugins that come with the program, by name.
const STANDARD_PLUGINS: [(&str, &[u8]); 3] = [
    (
        "redact-secrets",
        include_bytes!("../../examples/plugins/artifacts/redact-secrets.wasm"),
    ),
    (
        "timeout-ladder",
        include_bytes!("../../examples/plugins/artifacts/timeout-ladder.wasm"),
    ),
    (
        "webhook-alert",
        include_bytes!("../../examples/plugins/artifacts/webhook-alert.wasm"),
    ),
];

/// All parts, put together and not yet running.
#[derive(Debug)]
pub struct Product {
    /// Definitions and claims.
    pub coordination: Coordination,
    /// Run log and alerts.
    pub records: Records,
    /// Plugins.
    pub plugins: Arc<PluginHost>,
    /// What decides and runs.
    pub worker: Worker,
    /// What sends alerts.
    pub delivery: Delivery,
}

impl Product {
    /// What the API's handlers share.
    pub fn api(&self, tokens: Tokens, default_time_zone: String) -> Api {
        Api {
            coordination: self.coordination.clone(),
            records: self.records.clone(),
            plugins: Arc::clone(&self.plugins),
            worker: self.worker.handle(),
            clock: Arc::new(SystemClock),
            tokens: Arc::new(tokens),
            default_time_zone,
        }
    }
}

/// Everything on one file in `data`. What `secrets` knows leaves by no way.
///
/// # Errors
/// If the file belongs to another process or is damaged, or a standard plugin does not load.
pub async fn embedded(
    config: &Config,
    environment: &Environment,
    data: &Path,
    secrets: KnownSecrets,
    spawner: Spawner,
) -> anyhow::Result<Product> {
    let path = data.join("sandclock.db");
    let store = Embedded::open(EmbeddedConfig { path: path.clone() })
        .with_context(|| format!("open {}", path.display()))?;
    let (coordination, records) = (store.coordination(), store.records());
    let plugins = PluginHost::new(HooksConfig::new(secrets.clone(), Arc::new(SystemClock)))?;
    for (name, bytes) in STANDARD_PLUGINS {
        let artifact = Artifact {
            name: name.to_owned(),
            version: Some(crate::VERSION.to_owned()),
            bytes: bytes.to_vec(),
            policy: FailurePolicy::default(),
        };
        plugins
            .install(artifact)
            .await
            .with_context(|| format!("plugin {name}"))?;
    }
    let plugins = Arc::new(plugins);
    let hooks: Arc<dyn Hooks> = Arc::clone(&plugins) as _;
    let executor = JobExecutor {
        processes: Processes::new(spawner)?,
        surroundings: Arc::new(Surroundings::new(
            environment.variables().clone(),
            &config.worker.pass_env,
            secrets,
        )),
        hooks: Arc::clone(&hooks),
        sink: Arc::clone(&records.sink),
    };
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
        coordination.clone(),
        records.clone(),
        hooks,
        Arc::new(executor),
        Arc::new(SystemClock),
        Box::new(SystemRandom),
    );
    let delivery = Delivery::new(Arc::clone(&records.outbox), config.alerts.targets.clone())?;
    Ok(Product {
        coordination,
        records,
        plugins,
        worker,
        delivery,
    })
}

fn worker_config(config: &Config) -> WorkerConfig {
    let host = nix::unistd::gethostname().map_or_else(
        |_| "localhost".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    );
    let section = &config.worker;
    let mut worker = WorkerConfig::new(section.name.clone().unwrap_or_else(|| host.clone()));
    worker.host = host;
    worker.version = crate::VERSION.to_owned();
    worker.max_concurrent_runs = section.max_concurrent_runs;
    worker.default_limit = section.default_timeout_s.map(Duration::from_secs);
    worker.drain_timeout = Duration::from_secs(section.drain_s);
    let days = u64::from(config.retention.runs_days);
    worker.retention = (days > 0).then(|| Duration::from_secs(days * 86_400));
    worker
}
