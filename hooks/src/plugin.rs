//! An installed plugin: its compiled form, its hooks, and what is known of how it does.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sandclock_core::time::Clock;
use serde_json::Value;
use tokio::time::Instant;
use wasmtime::Engine;
use wasmtime::component::InstancePre;

use crate::breaker::{BreakerRules, Gates, Pass};
use crate::cache::CompileCache;
use crate::capabilities::{Given, Grants};
use crate::counters::Counters;
use crate::effects::Effects;
use crate::engine::Ticker;
use crate::failure::{Failure, FailureCode};
use crate::host::{HostState, lifecycle, output_redaction, run_end, timeout_policy};
use crate::instance::{Instance, Scope};
use crate::limits::{CallLimits, HookLimits, TEXT_BYTES};
use crate::log::PluginLog;
use crate::meter::Meter;
use crate::mutants::Mutation;
use crate::schema::ConfigSchema;
use crate::secrets::KnownSecrets;
use crate::signature::Trust;
use crate::text;
use crate::threads::{CallThreads, Lane};

/// An extension point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// Before a run: its time limits.
    TimeoutPolicy,
    /// During a run: what of its output must not be seen.
    OutputRedaction,
    /// After a run: whom to tell.
    RunEnd,
    /// At installation and binding: whether a configuration is right.
    Lifecycle,
}

impl Hook {
    /// Every hook.
    pub const ALL: [Self; 4] = [
        Self::TimeoutPolicy,
        Self::OutputRedaction,
        Self::RunEnd,
        Self::Lifecycle,
    ];

    /// The name of its interface, which is its name in notes and counters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TimeoutPolicy => "timeout-policy",
            Self::OutputRedaction => "output-redaction",
            Self::RunEnd => "run-end",
            Self::Lifecycle => "lifecycle",
        }
    }

    fn lane(self) -> Lane {
        match self {
            Self::TimeoutPolicy | Self::OutputRedaction => Lane::Urgent,
            Self::RunEnd | Self::Lifecycle => Lane::Patient,
        }
    }
}

/// What happens when a plugin fails, by hook; the operator says so when installing it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FailurePolicy {
    /// Before a run.
    pub timeout_policy: OnTimeoutFailure,
    /// During a run.
    pub output_redaction: OnRedactionFailure,
    /// After a run.
    pub run_end: OnAlertFailure,
}

/// When the limits of a run could not be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnTimeoutFailure {
    /// What the job declares holds, else the fleet's default.
    #[default]
    Fallback,
    /// The run does not start.
    FailRun,
}

/// When output could not be checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnRedactionFailure {
    /// It is withheld.
    #[default]
    Withhold,
    /// It is released with only the known secrets masked.
    HostRedacted,
}

/// When the alerts of a run could not be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnAlertFailure {
    /// A plain alert goes to the default target, if the run's end is worth one.
    #[default]
    PlainAlert,
    /// Nobody is told.
    Drop,
}

/// What all plugins share.
pub(crate) struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) meter: Meter,
    pub(crate) ticker: Ticker,
    pub(crate) threads: CallThreads,
    /// For plugins with effects, which wait.
    pub(crate) waiting_threads: CallThreads,
    pub(crate) secrets: KnownSecrets,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: HookLimits,
    pub(crate) trust: Trust,
    pub(crate) cache: Option<CompileCache>,
    pub(crate) grants: Grants,
    pub(crate) effects: Option<Effects>,
    pub(crate) breakers: BreakerRules,
    pub(crate) mutation: Mutation,
    /// How many artifacts were compiled.
    pub(crate) compilations: AtomicU64,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Where each hook is in the component; `None` if the plugin does not have it.
pub(crate) struct HookIndices {
    pub(crate) timeout_policy: Option<timeout_policy::GuestIndices>,
    pub(crate) output_redaction: Option<output_redaction::GuestIndices>,
    pub(crate) run_end: Option<run_end::GuestIndices>,
    pub(crate) lifecycle: Option<lifecycle::GuestIndices>,
}

impl HookIndices {
    pub(crate) fn probe(pre: &InstancePre<HostState>) -> Self {
        Self {
            timeout_policy: timeout_policy::GuestIndices::new(pre).ok(),
            output_redaction: output_redaction::GuestIndices::new(pre).ok(),
            run_end: run_end::GuestIndices::new(pre).ok(),
            lifecycle: lifecycle::GuestIndices::new(pre).ok(),
        }
    }

    pub(crate) fn has(&self, hook: Hook) -> bool {
        match hook {
            Hook::TimeoutPolicy => self.timeout_policy.is_some(),
            Hook::OutputRedaction => self.output_redaction.is_some(),
            Hook::RunEnd => self.run_end.is_some(),
            Hook::Lifecycle => self.lifecycle.is_some(),
        }
    }
}

/// A plugin that is ready to be called. A newer version of it is another value; this one stays until
/// its last stream has ended.
pub(crate) struct Plugin {
    pub(crate) name: Arc<str>,
    pub(crate) version: Option<String>,
    /// Of its artifact, in hexadecimal.
    pub(crate) sha256: String,
    pub(crate) pre: InstancePre<HostState>,
    pub(crate) hooks: HookIndices,
    pub(crate) policy: FailurePolicy,
    /// The operator's, or lower ones of its own.
    pub(crate) limits: HookLimits,
    /// What its author says of its configurations.
    pub(crate) schema: Option<ConfigSchema>,
    /// What it may do beside answering.
    pub(crate) given: Arc<Given>,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) log: Arc<PluginLog>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) last_failure: Mutex<Option<Failure>>,
    /// Whether it is called at all.
    pub(crate) gates: Gates,
    /// Nobody waits for what it says: it is asked beside the one that serves.
    pub(crate) is_shadow: AtomicBool,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plugin({})", self.name)
    }
}

impl Plugin {
    /// Does `work` on a plugin thread, counts it, and masks what it says if it fails.
    pub(crate) async fn call<T: Send + 'static>(
        self: &Arc<Self>,
        hook: Hook,
        wall: Duration,
        work: impl FnOnce(&Arc<Self>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.call_in(hook.lane(), hook, wall, work).await
    }

    /// The same for a call of this scope: one that is only monitored does not compete with those that count.
    pub(crate) async fn call_of<T: Send + 'static>(
        self: &Arc<Self>,
        scope: &Scope,
        hook: Hook,
        wall: Duration,
        work: impl FnOnce(&Arc<Self>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let lane = match scope.only_reads {
            true => Lane::Patient,
            false => hook.lane(),
        };
        self.call_in(lane, hook, wall, work).await
    }

    async fn call_in<T: Send + 'static>(
        self: &Arc<Self>,
        lane: Lane,
        hook: Hook,
        wall: Duration,
        work: impl FnOnce(&Arc<Self>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let started = Instant::now();
        let plugin = Arc::clone(self);
        let threads = match self.given.has_any() {
            true => &self.runtime.waiting_threads,
            false => &self.runtime.threads,
        };
        let lane = match self.is_shadow.load(Ordering::Relaxed) {
            true => Lane::Patient,
            false => lane,
        };
        let outcome = threads.call(lane, wall, move || work(&plugin)).await;
        let outcome = outcome
            .flatten()
            .map_err(|failure| self.presentable(failure));
        let code = outcome.as_ref().err().map(|failure| failure.code);
        // That a configuration is wrong is an answer, which whoever asked gets.
        if let Err(failure) = &outcome
            && (hook, failure.code) != (Hook::Lifecycle, FailureCode::PluginError)
        {
            self.failed(failure);
        }
        self.counters.count(hook, code, started.elapsed());
        outcome
    }

    /// The right to call it about a run, with this configuration. A refusal counts as a call.
    ///
    /// # Errors
    /// `BreakerOpen` if it fails too often to be called now.
    pub(crate) fn admit(&self, hook: Hook, config: &Value) -> Result<Pass<'_>, Failure> {
        let admitted = self.gates.admit(hook, config, Instant::now());
        admitted.inspect_err(|refused| {
            self.counters
                .count(hook, Some(refused.code), Duration::ZERO);
        })
    }

    /// One call on an instance of its own.
    pub(crate) async fn call_fresh<T: Send + 'static>(
        self: &Arc<Self>,
        hook: Hook,
        limits: CallLimits,
        scope: Scope,
        call: impl FnOnce(&mut Instance) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let of = scope.clone();
        self.call_of(&of, hook, limits.wall, move |plugin| {
            call(&mut Instance::start(plugin, &scope, limits)?)
        })
        .await
    }

    /// Each of its hooks that is asked about runs, and for how many configurations or streams it is not called now.
    pub(crate) fn breakers(&self) -> Vec<(Hook, u64)> {
        let of_runs = Hook::ALL
            .into_iter()
            .filter(|hook| *hook != Hook::Lifecycle);
        let has = of_runs.filter(|hook| self.hooks.has(*hook));
        has.map(|hook| (hook, self.gates.open(hook))).collect()
    }

    /// Those of them that are not called.
    pub(crate) fn open_breakers(&self) -> Vec<(Hook, u64)> {
        let mut all = self.breakers();
        all.retain(|(_, open)| *open > 0);
        all
    }

    fn presentable(&self, failure: Failure) -> Failure {
        Failure {
            code: failure.code,
            text: text::presentable(&self.runtime.secrets, &failure.text, TEXT_BYTES),
        }
    }

    fn failed(&self, failure: &Failure) {
        let (plugin, code) = (&*self.name, failure.code.as_str());
        tracing::warn!(plugin, code, "plugin call failed: {}", failure.text);
        let mut last = self
            .last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *last = Some(failure.clone());
    }

    pub(crate) fn last_failure(&self) -> Option<Failure> {
        let last = self
            .last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }
}

/// No such plugin, or none with this hook.
pub(crate) fn not_installed(name: &str) -> Failure {
    Failure::new(
        FailureCode::Missing,
        format!("plugin {name:?} is not installed"),
    )
}
