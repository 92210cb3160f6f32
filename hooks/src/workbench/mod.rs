//! The host as authors try their plugins on it: one plugin, one case at a time, at an instant that stands still.
//!
//! Whatever is asked here is asked by the code that workers ask with. What differs is the engine, which may count fuel and not
//! time ([`Meter::Fuel`]), so that a case has one outcome on every machine, however busy it is.

mod asking;
mod bench;
mod case;
mod chunkings;
pub(crate) mod compare;
mod effects;
mod expect;
mod ordinary;
mod replay;
mod report;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sandclock_core::time::{Clock, Timestamp};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub use self::bench::{Bench, HookBench, Percentiles, Throughput};
pub use self::case::{Case, LifecycleCase, RedactionCase, RunEndCase, TimeoutCase};
pub use self::compare::Difference;
pub use self::effects::TargetAnswer;
pub use self::expect::{
    ExpectedAnswer, ExpectedDecision, ExpectedDeliveries, ExpectedDelivery, ExpectedOutput,
};
pub use crate::subject::{EndSpec, Past, Pipe, RunSpec};

pub use self::replay::cannot_ask;
pub use self::report::{Apart, CaseReport, Chunkings};

use self::effects::CaseEffects;
use crate::entry::Origin;
use crate::limits::CallLimits;
use crate::plugin::{Plugin, not_installed};
use crate::registry::{Artifact, PluginInfo, Registry};
use crate::{
    Effects, Grants, HookLimits, HooksConfig, HostError, InstallError, KnownSecrets, Meter,
    PluginHost,
};

/// How long anybody waits for a call whose fuel is counted.
const PATIENCE: Duration = Duration::from_secs(600);

/// How many times the processor time of a worker's call is enough for any that was answered in time.
const ENOUGH: u32 = 20;

/// One plugin, installed where nothing else is.
#[derive(Debug)]
pub struct Workbench {
    registry: Registry,
    plugin: Arc<Plugin>,
    info: PluginInfo,
    clock: Arc<Standstill>,
    effects: Arc<CaseEffects>,
    compile_time: Duration,
    /// Permission for a stream to keep its instance, with which another one may not.
    keep: Arc<Semaphore>,
}

/// Why there is no workbench.
#[derive(Debug, thiserror::Error)]
pub enum WorkbenchError {
    /// This machine runs no plugins.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The plugin cannot be installed.
    #[error(transparent)]
    Install(#[from] InstallError),
}

/// A clock that is set.
#[derive(Debug)]
struct Standstill(AtomicI64);

impl Clock for Standstill {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

impl Workbench {
    /// Installs the plugin, with the limits that a worker has by default.
    ///
    /// # Errors
    /// If this machine runs no plugins, or what is wrong with this one.
    pub async fn open(artifact: Artifact, meter: Meter) -> Result<Self, WorkbenchError> {
        Self::open_with(artifact, meter, 1).await
    }

    /// Installs the plugin to be asked what was recorded. How much of its time a call took then nobody knows, so each has
    /// more than enough.
    ///
    /// # Errors
    /// As [`Workbench::open`].
    pub async fn for_replay(artifact: Artifact) -> Result<Self, WorkbenchError> {
        Self::open_with(artifact, Meter::Fuel, ENOUGH).await
    }

    /// With so many times the processor time that a worker gives.
    async fn open_with(
        artifact: Artifact,
        meter: Meter,
        times: u32,
    ) -> Result<Self, WorkbenchError> {
        // Go's runtime takes a zero for a broken clock.
        let now = RunSpec::default().now().as_millis();
        let clock = Arc::new(Standstill(AtomicI64::new(now)));
        let mut config =
            HooksConfig::new(KnownSecrets::new(), Arc::clone(&clock) as Arc<dyn Clock>);
        config.grants = Grants::AsRequested;
        let effects = Arc::<CaseEffects>::default();
        config.effects = Some(Effects {
            kv: Arc::<CaseEffects>::clone(&effects),
            http: Arc::<CaseEffects>::clone(&effects),
            runtime: Handle::current(),
        });
        if meter == Meter::Fuel {
            config.limits = patient(config.limits, times);
        }
        let registry = PluginHost::registry(&config, meter)?;
        let started = Instant::now();
        let name = artifact.name.clone();
        let info = registry.install(artifact, Origin::Elsewhere).await?;
        let compile_time = started.elapsed();
        let plugin = registry.get(&name).ok_or_else(|| InstallError::Host {
            why: not_installed(&name).text,
        })?;
        Ok(Self {
            registry,
            plugin,
            info,
            clock,
            effects,
            compile_time,
            keep: Arc::new(Semaphore::new(1)),
        })
    }

    /// What is known of the plugin.
    pub fn info(&self) -> &PluginInfo {
        &self.info
    }

    /// Asks the plugin what the case says, and compares. An input to redact is cut in many ways, too.
    pub async fn run(&self, case: &Case) -> CaseReport {
        self.plugin.log.start_afresh();
        let (expected, config, run) = match case {
            Case::Timeout(case) => (
                expect::expectation(&case.expect),
                &case.config,
                Some(&case.run),
            ),
            Case::Redaction(case) => (
                expect::expectation(&case.expect),
                &case.config,
                Some(&case.run),
            ),
            Case::RunEnd(case) => (
                expect::expectation(&case.expect),
                &case.config,
                Some(&case.run),
            ),
            Case::Lifecycle(case) => (expect::expectation(&case.expect), &case.config, None),
        };
        let now = run.map_or_else(|| RunSpec::default().now(), RunSpec::now);
        self.clock.0.store(now.as_millis(), Ordering::Relaxed);
        match case {
            Case::RunEnd(case) => self.effects.begin(&case.kv, &case.http),
            _ => self.effects.begin(&BTreeMap::new(), &[]),
        }
        let before = self.plugin.counters.fuel();
        let document = Value::Object(config.clone());
        let refused = self
            .registry
            .check_binding(&self.info.name, &document)
            .await;
        let found = match (refused, case) {
            (Err(refused), _) => json!({ "error": refused.to_string() }),
            (Ok(()), Case::Timeout(case)) => self.decide(case).await,
            (Ok(()), Case::Redaction(case)) => self.redact(case).await,
            (Ok(()), Case::RunEnd(case)) => self.tell(case).await,
            (Ok(()), Case::Lifecycle(_)) => json!({}),
        };
        let fuel = self.plugin.counters.fuel() - before;
        let log = self.plugin.log.lines();
        let chunkings = match case {
            Case::Redaction(case) if found.get("error").is_none() => {
                Some(self.cut(case, &found).await)
            }
            _ => None,
        };
        CaseReport {
            differences: compare::differences(&expected, &found),
            found,
            fuel,
            chunkings,
            log,
        }
    }
}

/// The same, but for the time on the wall, which no outcome may depend on, and with so many times the processor time.
fn patient(limits: HookLimits, times: u32) -> HookLimits {
    let patient = |limits: CallLimits| CallLimits {
        wall: PATIENCE,
        cpu: limits.cpu.saturating_mul(times),
    };
    HookLimits {
        timeout_policy: patient(limits.timeout_policy),
        redaction_begin: patient(limits.redaction_begin),
        redaction_scan: patient(limits.redaction_scan),
        run_end: patient(limits.run_end),
        lifecycle: patient(limits.lifecycle),
        memory_bytes: limits.memory_bytes,
    }
}
