//! What the fleet's operators decided on plugins, taken into service by this process: which releases serve
//! ([`plugins`]), and which jobs they are bound to ([`bindings`]).
//!
//! Every process asks the stores now and then, fetches what it lacks and swaps when that is ready. While a store is away,
//! everything stays as it is, over restarts too ([`kept`]). A run that needs a plugin which this process lacks asks at
//! once: it may have come a moment ago.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use sandclock_core::backend::{Docs, DoneRecord, PluginStore, Result};
use sandclock_core::error::WithSources;
use sandclock_core::ports::{AlertDraft, Channel, History, Hooks, Redactor, RunPolicy};
use sandclock_core::run::RunContext;
use sandclock_hooks::PluginHost;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

mod bindings;
mod kept;
mod plugins;
mod refused;
mod shadows;
mod standard;

use self::bindings::Bindings;
use self::plugins::Plugins;
pub use self::standard::{is_standard, module as standard_module};

/// How often the stores are asked.
const POLL: Duration = Duration::from_secs(2);

/// How long a run waits for a plugin that this process lacks.
const FETCH_PATIENCE: Duration = Duration::from_secs(5);

/// Keeps this process's plugins and bindings as the fleet has them.
#[derive(Debug)]
pub struct Rollout {
    host: Arc<PluginHost>,
    plugins: Plugins,
    bindings: Bindings,
    /// Whether the plugin store did not answer the last time, and whether the store of bindings did not.
    away: [AtomicBool; 2],
    /// Held by whoever follows the stores.
    following: Mutex<()>,
}

impl Rollout {
    /// With nothing installed yet. `folder` is for what shall be there at the next start.
    pub fn new(
        store: Arc<dyn PluginStore>,
        docs: Arc<dyn Docs>,
        host: Arc<PluginHost>,
        folder: PathBuf,
    ) -> Self {
        Self {
            plugins: Plugins::new(store, Arc::clone(&host), folder),
            bindings: Bindings::new(docs, Arc::clone(&host)),
            host,
            away: Default::default(),
            following: Mutex::default(),
        }
    }

    /// Installs the standard plugins, those of the store or, if it does not answer, those that it had, and the bindings.
    /// No run may start before: what is bound to it may hide something.
    ///
    /// # Errors
    /// If a standard plugin does not load, or the bindings cannot be asked for.
    pub async fn begin(&self) -> anyhow::Result<()> {
        self.plugins.begin().await?;
        self.bindings.follow().await.context("read the bindings")?;
        let followed = self.plugins.follow().await;
        let is_away = followed.is_err();
        let [away, _] = &self.away;
        tell(away, "plugins", followed);
        if is_away {
            self.plugins.as_last().await;
        }
        Ok(())
    }

    /// Follows the stores for ever, and has those asked that are only asked.
    pub async fn run(&self) {
        let follow = async {
            loop {
                self.follow().await;
                sleep(POLL).await;
            }
        };
        tokio::join!(follow, self.host.ask_shadows());
    }

    /// Does now what the stores ask for. Plugins first: what is bound is there then.
    pub async fn follow(&self) {
        let _one = self.following.lock().await;
        let [plugins, bindings] = &self.away;
        tell(plugins, "plugins", self.plugins.follow().await);
        tell(bindings, "bindings", self.bindings.follow().await);
    }

    /// Asks the stores now if something is lacking, as long as they answer in time.
    pub async fn fetch_if(&self, lacking: bool) {
        let away = self.away.iter().any(|away| away.load(Ordering::Relaxed));
        if lacking && !away && timeout(FETCH_PATIENCE, self.follow()).await.is_err() {
            tracing::warn!("a plugin that is needed now could not be fetched in time");
        }
    }

    /// Comes back when no shadow has a question left. They are asked while [`Rollout::run`] runs.
    pub async fn settled(&self) {
        self.host.shadows_settled().await;
    }

    /// Why the release of the plugin that should serve does not, if that is so.
    pub fn refusal(&self, plugin: &str) -> Option<String> {
        self.plugins.refusal(plugin)
    }

    /// Why the release of the plugin that should be asked beside it is not, if that is so.
    pub fn shadow_refusal(&self, plugin: &str) -> Option<String> {
        self.plugins.shadow_refusal(plugin)
    }
}

/// Says it once when a store goes away, and when it is back.
fn tell(away: &AtomicBool, what: &str, followed: Result<()>) {
    let was_away = away.swap(followed.is_err(), Ordering::Relaxed);
    match followed {
        Ok(()) if was_away => tracing::info!("the store of {what} answers again"),
        Err(error) if !was_away => {
            let error = WithSources(&error);
            tracing::warn!(%error, "the store of {what} does not answer; they stay as they are");
        }
        Ok(()) | Err(_) => {}
    }
}

/// The plugins of this process, the latest of them fetched when a run needs them.
#[async_trait]
impl Hooks for Rollout {
    async fn before_run(
        &self,
        run: &RunContext,
        history: &History,
        default_limit: Option<Duration>,
    ) -> RunPolicy {
        self.fetch_if(self.host.lacks_plugin_of(&run.job)).await;
        self.host.before_run(run, history, default_limit).await
    }

    async fn redactor(&self, run: &RunContext, channel: Channel) -> Box<dyn Redactor> {
        self.host.redactor(run, channel).await
    }

    async fn after_run(&self, done: &DoneRecord, tail: &Bytes) -> Vec<AlertDraft> {
        if let Some(pinned) = &done.pinned {
            self.fetch_if(self.host.lacks_plugin_of(&pinned.job)).await;
        }
        self.host.after_run(done, tail).await
    }
}
