//! The wasm plugin host, and the masking of known secrets that does not depend on any plugin.
//!
//! [`PluginHost`] implements [`Hooks`](sandclock_core::ports::Hooks): it asks the plugins of a job before, during and after each
//! run. A plugin only ever returns values, and whatever it does wrong ends in the verdict that its
//! hook has for that case (S11): the job goes on.
//!
//! | file | subject |
//! |---|---|
//! | `secrets` | what is known to be secret, and the mask over streams and texts |
//! | `registry`, `entry`, `binding`, `install`, `componentize`, `manifest`, `schema`, `signature`, `outline`, `cache`, `plugin` | from artifacts to plugins |
//! | `engine`, `threads`, `instance`, `meter`, `limits` | how and where a call runs, and what it may use |
//! | `host`, `log` | what a plugin may import; the only file that sees generated bindings |
//! | `capabilities`, `effects`, `effect_counts` | who may have effects, and how they are had |
//! | `calls`, `timeout`, `redaction`, `alerts`, `monitored` | the three hooks, and whose answers do not count |
//! | `subject`, `recording` | what calls are about, and what is kept of them |
//! | `failure`, `counters`, `breaker` | how calls fail, how often, and when that is too often |
//! | `text`, `joined` | what may be shown, and bytes behind one another |
//! | `workbench` | the host as authors try their plugins on it |

mod alerts;
mod binding;
mod breaker;
mod cache;
mod calls;
mod capabilities;
mod componentize;
mod counters;
mod effect_counts;
mod effects;
mod engine;
mod entry;
mod failure;
mod host;
mod install;
mod instance;
mod joined;
pub mod limits;
mod log;
pub mod manifest;
mod meter;
mod monitored;
pub mod mutants;
mod outline;
mod plugin;
pub mod recording;
mod redaction;
mod registry;
pub mod schema;
pub mod secrets;
pub mod signature;
mod subject;
mod text;
mod threads;
mod timeout;
pub mod workbench;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};

use sandclock_core::binding::{Binding, hooks_of};
use sandclock_core::job::Job;
use sandclock_core::time::Clock;
use serde_json::Value;
use tokio::sync::Semaphore;

pub use self::alerts::BUILT_IN;
pub use self::binding::BindingError;
pub use self::breaker::{BreakerRule, BreakerRules};
pub use self::cache::CompileCache;
pub use self::capabilities::{Capability, Grant, Grants};
pub use self::componentize::{WORLDS, componentize, describe};
pub use self::counters::{CallCount, LATENCY_BOUNDS, Latency, PluginCounters};
pub use self::effect_counts::EffectCount;
pub use self::effects::Effects;
pub use self::failure::{Failure, FailureCode};
pub use self::install::InstallError;
pub use self::limits::{CallLimits, HookLimits};
pub use self::log::{Level, LogLine};
pub use self::manifest::Manifest;
pub use self::meter::{FUEL_PER_MS, Meter};
pub use self::outline::Outline;
pub use self::plugin::{FailurePolicy, Hook, OnAlertFailure, OnRedactionFailure, OnTimeoutFailure};
pub use self::recording::{RecordedCall, Recorder};
pub use self::registry::{Artifact, PluginInfo, PluginStatus};
pub use self::schema::ConfigSchema;
pub use self::secrets::KnownSecrets;
pub use self::signature::{PublicKey, Trust};
pub use self::timeout::LimitBounds;

use self::engine::Ticker;
use self::entry::Origin;
use self::monitored::Monitored;
use self::mutants::Mutation;
use self::plugin::Runtime;
use self::recording::Journal;
use self::registry::Registry;
use self::threads::CallThreads;

/// Instances that streams may keep between their calls. Further streams get one for each call.
const KEPT_INSTANCES: usize = 64;

/// Threads for the calls of plugins that have effects: they wait for stores and targets, and nobody may wait for them.
const WAITING_THREADS: usize = 5;

/// What a host is made of.
#[derive(Clone, Debug)]
pub struct HooksConfig {
    /// What is masked everywhere; shared with whoever resolves secrets.
    pub secrets: KnownSecrets,
    /// The time that plugins see.
    pub clock: Arc<dyn Clock>,
    /// What plugins may decide on a run's limits.
    pub bounds: LimitBounds,
    /// Where plain alerts go; default `default`.
    pub default_target: String,
    /// Threads for plugin calls; default one per core, at least two.
    pub threads: usize,
    /// What calls may use.
    pub limits: HookLimits,
    /// Whose signatures of artifacts count.
    pub trust: Trust,
    /// Whom calls are told to; `None` records nothing, and asks no shadow.
    pub recorder: Option<Arc<dyn Recorder>>,
    /// Where compiled plugins are kept; `None` compiles each at every start.
    pub cache: Option<CompileCache>,
    /// What plugins may do beside answering.
    pub grants: Grants,
    /// How they do it; `None` refuses each time.
    pub effects: Option<Effects>,
    /// When plugins fail too often to be asked.
    pub breakers: BreakerRules,
    /// A mistake to make on purpose.
    #[cfg(feature = "mutants")]
    pub mutant: Option<mutants::Mutant>,
}

impl HooksConfig {
    /// The defaults.
    pub fn new(secrets: KnownSecrets, clock: Arc<dyn Clock>) -> Self {
        Self {
            secrets,
            clock,
            bounds: LimitBounds::default(),
            default_target: "default".to_owned(),
            threads: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            limits: HookLimits::default(),
            trust: Trust::default(),
            recorder: None,
            cache: None,
            grants: Grants::default(),
            effects: None,
            breakers: BreakerRules::default(),
            #[cfg(feature = "mutants")]
            mutant: None,
        }
    }

    fn mutation(&self) -> Mutation {
        #[cfg(feature = "mutants")]
        {
            self.mutant.map(Mutation::of).unwrap_or_default()
        }
        #[cfg(not(feature = "mutants"))]
        {
            Mutation::default()
        }
    }
}

/// This machine cannot run plugins.
#[derive(Debug, thiserror::Error)]
#[error("the plugin host cannot start: {why}")]
pub struct HostError {
    why: String,
}

/// The plugins of this process. See the crate's documentation.
#[derive(Debug)]
pub struct PluginHost {
    registry: Registry,
    config: HooksConfig,
    bindings: RwLock<Arc<[Binding]>>,
    monitored: Monitored,
    kept: Arc<Semaphore>,
    journal: Journal,
}

impl PluginHost {
    /// A host without plugins: known secrets are masked, and nothing else happens.
    ///
    /// # Errors
    /// If there is no wasm compiler for this machine, or no thread left.
    pub fn new(config: HooksConfig) -> Result<Self, HostError> {
        Ok(Self {
            registry: Self::registry(&config, Meter::Time)?,
            journal: Journal::new(config.recorder.clone(), config.secrets.clone()),
            config,
            bindings: RwLock::new(Arc::from([])),
            monitored: Monitored::default(),
            kept: Arc::new(Semaphore::new(KEPT_INSTANCES)),
        })
    }

    /// A place for plugins, with an engine and threads of its own.
    fn registry(config: &HooksConfig, meter: Meter) -> Result<Registry, HostError> {
        let failed = |why: String| HostError { why };
        let engine = engine::open(meter).map_err(|error| failed(format!("{error:#}")))?;
        let ticker = Ticker::start(&engine).map_err(|error| failed(error.to_string()))?;
        let start =
            |threads| CallThreads::start(threads).map_err(|error| failed(error.to_string()));
        let threads = start(config.threads)?;
        let waiting_threads = start(WAITING_THREADS)?;
        let runtime = Runtime {
            engine,
            meter,
            ticker,
            threads,
            waiting_threads,
            secrets: config.secrets.clone(),
            clock: Arc::clone(&config.clock),
            limits: config.limits,
            trust: config.trust.clone(),
            cache: config.cache.clone(),
            grants: config.grants.clone(),
            effects: config.effects.clone(),
            breakers: config.breakers.clone(),
            mutation: config.mutation(),
            compilations: AtomicU64::new(0),
        };
        Registry::new(Arc::new(runtime)).map_err(|error| failed(format!("{error:#}")))
    }

    /// Checks, compiles and tries an artifact, and takes it into service. Until then, and if it
    /// fails, what was there before serves. May take seconds, on a thread of its own.
    ///
    /// # Errors
    /// Says what is wrong with the artifact.
    pub async fn install(&self, artifact: Artifact) -> Result<PluginInfo, InstallError> {
        self.registry.install(artifact, Origin::Elsewhere).await
    }

    /// Installs a plugin that comes with this program, which needs no signature of its own.
    ///
    /// # Errors
    /// As [`PluginHost::install`].
    pub async fn install_own(&self, artifact: Artifact) -> Result<PluginInfo, InstallError> {
        self.registry.install(artifact, Origin::Program).await
    }

    /// Checks, compiles and tries an artifact as [`PluginHost::install`] does, and leaves everything as it is.
    ///
    /// # Errors
    /// Says what is wrong with the artifact.
    pub async fn check(&self, artifact: Artifact) -> Result<PluginInfo, InstallError> {
        Ok(self.registry.check(artifact).await?.0)
    }

    /// As [`PluginHost::check`], and asks the plugin about each configuration that jobs would bind it with, up to the first
    /// that it refuses: that one's place, and why.
    ///
    /// # Errors
    /// As [`PluginHost::check`].
    pub async fn check_with(
        &self,
        artifact: Artifact,
        configs: impl Iterator<Item = &Value>,
    ) -> Result<(PluginInfo, Option<(usize, BindingError)>), InstallError> {
        let (info, plugin) = self.registry.check(artifact).await?;
        for (at, config) in configs.enumerate() {
            if let Err(error) = binding::accepts(&plugin, config).await {
                return Ok((info, Some((at, error))));
            }
        }
        Ok((info, None))
    }

    /// Asks this version beside the one that serves under its name, from now on, and records what it says. It decides
    /// nothing. Replaces an earlier shadow.
    ///
    /// # Errors
    /// As [`PluginHost::install`]; an earlier shadow stays.
    pub async fn shadow(&self, artifact: Artifact) -> Result<(), InstallError> {
        self.registry.shadow(artifact).await
    }

    /// Asks shadows what the plugins beside them were asked, for ever. Until it runs, none is asked.
    pub async fn ask_shadows(&self) {
        self.journal.ask_shadows().await;
    }

    /// Comes back when no shadow has a question left. They are answered while [`PluginHost::ask_shadows`] runs.
    pub async fn shadows_settled(&self) {
        self.journal.settled().await;
    }

    /// Asks nobody beside the plugin of this name any more.
    pub fn end_shadow(&self, name: &str) {
        self.registry.end_shadow(name);
    }

    /// Takes a plugin out of service. False if there is none of that name.
    pub fn remove(&self, name: &str) -> bool {
        self.registry.remove(name)
    }

    /// The installed plugins, by name.
    pub fn list(&self) -> Vec<PluginInfo> {
        self.registry.list()
    }

    /// Whether a job may bind `plugin` with `config`: it is installed, and does not object.
    ///
    /// # Errors
    /// Says what is wrong, in the plugin's words if they are its own.
    pub async fn check_binding(&self, plugin: &str, config: &Value) -> Result<(), BindingError> {
        self.registry.check_binding(plugin, config).await
    }

    /// From now on runs are asked about with these bindings, which are in their order.
    pub fn bind(&self, bindings: Vec<Binding>) {
        let mut bound = self
            .bindings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *bound = bindings.into();
    }

    /// The bindings that hold now, in their order.
    pub fn bindings(&self) -> Arc<[Binding]> {
        let bound = self.bindings.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&bound)
    }

    /// Whether a plugin of this name is installed.
    pub fn has(&self, plugin: &str) -> bool {
        self.registry.get(plugin).is_some()
    }

    /// Whether a plugin of the job, by itself or by a binding, is not installed.
    pub fn lacks_plugin_of(&self, job: &Job) -> bool {
        let bindings = self.bindings();
        let mut hooks = hooks_of(job, &bindings).into_iter();
        hooks.any(|hook| !self.has(&hook.plugin))
    }

    /// How many artifacts have been compiled so far, rather than found compiled.
    pub fn compilations(&self) -> u64 {
        self.registry.compilations()
    }

    /// What has been counted so far.
    pub fn counters(&self) -> Vec<PluginCounters> {
        self.registry.counters()
    }
}
