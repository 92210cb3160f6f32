//! The plugins that the fleet serves, taken into service by this process.
//!
//! Every process asks the plugin store now and then which releases serve, fetches the modules it lacks, and installs
//! them; the version before goes on serving until the new one is ready, and if it never is. A release may have the name of
//! a standard plugin and then takes its place; the standard one is back when none serves. While the store is away,
//! everything stays as it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sandclock_core::backend::{ModuleDigest, PluginStore, Release, StoredPlugin};
use sandclock_core::error::WithSources;
use sandclock_hooks::{Artifact, FailurePolicy, PluginHost};
use tokio::sync::Mutex;
use tokio::time::sleep;

/// How often the store is asked.
const POLL: Duration = Duration::from_secs(2);

/// The plugins that come with the program, by name.
pub const STANDARD: [(&str, &[u8]); 3] = [
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

/// Keeps this process's plugins as the store has them.
#[derive(Debug)]
pub struct Rollout {
    store: Arc<dyn PluginStore>,
    host: Arc<PluginHost>,
    state: Mutex<State>,
}

/// What has become of the store's releases here, by plugin.
#[derive(Debug, Default)]
struct State {
    /// Installed.
    installed: BTreeMap<String, ModuleDigest>,
    /// Could not be installed, and would not the next time either.
    refused: BTreeMap<String, ModuleDigest>,
    /// Whether the store answered the last time.
    away: bool,
}

/// A standard plugin as an artifact.
fn standard(name: &str) -> Option<Artifact> {
    let (name, bytes) = STANDARD.into_iter().find(|(known, _)| *known == name)?;
    Some(Artifact {
        name: name.to_owned(),
        version: Some(crate::VERSION.to_owned()),
        bytes: bytes.to_vec(),
        policy: FailurePolicy::default(),
    })
}

impl Rollout {
    /// With nothing installed yet.
    pub fn new(store: Arc<dyn PluginStore>, host: Arc<PluginHost>) -> Self {
        Self {
            store,
            host,
            state: Mutex::default(),
        }
    }

    /// Installs the standard plugins, and what the store has if it answers.
    ///
    /// # Errors
    /// If a standard plugin does not load.
    pub async fn begin(&self) -> anyhow::Result<()> {
        for artifact in STANDARD.iter().filter_map(|(name, _)| standard(name)) {
            let name = artifact.name.clone();
            let installed = self.host.install(artifact).await;
            installed.with_context(|| format!("plugin {name}"))?;
        }
        self.follow().await;
        Ok(())
    }

    /// Follows the store for ever.
    pub async fn run(&self) {
        loop {
            self.follow().await;
            sleep(POLL).await;
        }
    }

    /// Does now what the store asks for.
    pub async fn follow(&self) {
        let mut state = self.state.lock().await;
        match self.store.list().await {
            Ok(plugins) => {
                if std::mem::take(&mut state.away) {
                    tracing::info!("the plugin store answers again");
                }
                self.take_over(&mut state, &plugins).await;
            }
            Err(error) => {
                if !std::mem::replace(&mut state.away, true) {
                    let error = WithSources(&error);
                    tracing::warn!(%error, "the plugin store does not answer; plugins stay as they are");
                }
            }
        }
    }

    async fn take_over(&self, state: &mut State, plugins: &[StoredPlugin]) {
        let serving: BTreeMap<&str, &Release> = plugins
            .iter()
            .filter_map(|plugin| Some((plugin.name.as_str(), plugin.serving_release()?)))
            .collect();
        for (name, release) in &serving {
            let is = |known: Option<&ModuleDigest>| known == Some(&release.digest);
            if !is(state.installed.get(*name)) && !is(state.refused.get(*name)) {
                self.install(state, release).await;
            }
        }
        let named =
            |plugin: &StoredPlugin, name: &str| plugin.name == name && plugin.serving.is_some();
        let gone: Vec<String> = (state.installed.keys())
            .filter(|name| !plugins.iter().any(|plugin| named(plugin, name)))
            .cloned()
            .collect();
        for name in gone {
            self.retire(state, &name).await;
        }
        state
            .refused
            .retain(|name, _| serving.contains_key(name.as_str()));
    }

    async fn install(&self, state: &mut State, release: &Release) {
        let name = &release.plugin;
        let version = &release.version;
        let bytes = match self.store.module(&release.digest).await {
            Ok(bytes) => bytes,
            Err(error) => {
                let again = error.is_transient();
                let error = WithSources(&error);
                tracing::error!(plugin = name, version, %error, again, "the module cannot be read");
                if !again {
                    state.refused.insert(name.clone(), release.digest.clone());
                }
                return;
            }
        };
        let artifact = Artifact {
            name: name.clone(),
            version: Some(version.clone()),
            bytes: bytes.to_vec(),
            policy: FailurePolicy::default(),
        };
        match self.host.install(artifact).await {
            Ok(_) => {
                tracing::info!(plugin = name, version, "the plugin serves");
                state.refused.remove(name);
                state.installed.insert(name.clone(), release.digest.clone());
            }
            Err(error) => {
                tracing::error!(plugin = name, version, %error, "the plugin cannot serve; what was there before does");
                state.refused.insert(name.clone(), release.digest.clone());
            }
        }
    }

    /// No release of the plugin serves any more.
    async fn retire(&self, state: &mut State, name: &str) {
        match standard(name) {
            None => {
                self.host.remove(name);
                tracing::info!(plugin = name, "the plugin serves no more");
            }
            Some(artifact) => match self.host.install(artifact).await {
                Ok(_) => tracing::info!(plugin = name, "the standard plugin serves again"),
                Err(error) => {
                    tracing::error!(plugin = name, %error, "the standard plugin cannot serve");
                    return;
                }
            },
        }
        state.installed.remove(name);
    }
}
