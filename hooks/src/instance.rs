//! One instance of a plugin in a store of its own, and the typed calls into it (S11).
//!
//! A store is made for a call, or for the calls of one output stream, and after any failure it is
//! never used again. The functions here block and belong on the plugin threads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use sandclock_core::time::{Clock, Timestamp};
use serde_json::Value;
use tokio::time::Instant;
use wasmtime::component::Instance as ComponentInstance;
use wasmtime::{Store, Trap, UpdateDeadline};

use crate::effects::CallEffects;
use crate::engine::TICK;
use crate::failure::{Failure, FailureCode};
use crate::host::{self, HostState, RunInfo, output_redaction, run_end};
use crate::limits::{self, CallLimits, Limiter};
use crate::log::CallLog;
use crate::meter::Meter;
use crate::plugin::Plugin;
use crate::recording::effect::{Means, Noted, RecordedEffect};
use crate::subject::RunSpec;

/// What a call is about, beside its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// The plugin's configuration for the job.
    pub(crate) config: Arc<Value>,
    /// The worker's name.
    pub(crate) worker: Arc<str>,
    /// The run, for the log; empty if there is none.
    pub(crate) run: Arc<str>,
    /// The time that the plugin sees; `None` is that of each call.
    pub(crate) now: Option<Timestamp>,
    /// What comes of what the plugin does beside answering.
    pub(crate) effects: Means,
    /// It is only monitored: nothing of what it does may reach anybody else, nor keep a thread from those that count.
    pub(crate) only_reads: bool,
}

impl Scope {
    /// Of a call about this run, at the instant that it names.
    pub(crate) fn of(config: Arc<Value>, run: &RunSpec) -> Self {
        Self {
            config,
            worker: Arc::from(run.worker.as_str()),
            run: Arc::from(run.id.as_str()),
            now: Some(run.now()),
            effects: Means::Had(Noted::default()),
            only_reads: false,
        }
    }

    /// The same, for a plugin that may be only monitored.
    pub(crate) fn only_reading(self, only_reads: bool) -> Self {
        Self { only_reads, ..self }
    }

    /// The same, with nothing done but what was: what was told then is told again.
    pub(crate) fn again(self, effects: &[RecordedEffect]) -> Self {
        Self {
            effects: Means::ToldAgain(effects.into()),
            ..self
        }
    }

    /// A try begins: what is to be told again in it.
    pub(crate) fn begin_effects(&self) -> VecDeque<RecordedEffect> {
        match &self.effects {
            Means::Denied => VecDeque::new(),
            Means::Had(noted) => {
                noted.begin();
                VecDeque::new()
            }
            Means::ToldAgain(effects) => effects.iter().cloned().collect(),
        }
    }

    /// What the newest try has done beside answering.
    pub(crate) fn take_effects(&self) -> Vec<RecordedEffect> {
        match &self.effects {
            Means::Had(noted) => noted.take(),
            Means::Denied | Means::ToldAgain(_) => Vec::new(),
        }
    }

    /// Of calls about this run that go on as long as it does.
    pub(crate) fn of_stream(config: Arc<Value>, run: &RunSpec) -> Self {
        Self {
            now: None,
            ..Self::of(config, run)
        }
    }

    /// Of a call about no run.
    pub(crate) fn without_run(config: Value) -> Self {
        Self {
            config: Arc::new(config),
            worker: Arc::from(""),
            run: Arc::from(""),
            now: None,
            effects: Means::Denied,
            only_reads: false,
        }
    }

    /// The time for a call that begins now.
    fn now(&self, clock: &dyn Clock) -> Timestamp {
        self.now.unwrap_or_else(|| clock.now())
    }
}

/// When a call has had its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// In processor time of the calling thread.
    cpu_end: Duration,
    wall_end: Instant,
}

impl Budget {
    fn starting_now(meter: Meter, limits: CallLimits) -> Self {
        Self {
            cpu_end: thread_cpu().saturating_add(meter.cpu(limits)),
            wall_end: Instant::now() + limits.wall,
        }
    }

    /// The time on the wall that is left.
    pub(crate) fn wall_left(self) -> Duration {
        self.wall_end.saturating_duration_since(Instant::now())
    }

    /// The processor time that is used of it, by the thread that it is of.
    fn used(self, meter: Meter, limits: CallLimits) -> Duration {
        let left = self.cpu_end.saturating_sub(thread_cpu());
        meter.cpu(limits).saturating_sub(left)
    }

    /// How many ticks the guest may go on before it is asked again; `None` if it may not.
    fn ticks_left(self) -> Option<u64> {
        let cpu = self.cpu_end.checked_sub(thread_cpu())?;
        let wall = self.wall_end.checked_duration_since(Instant::now())?;
        let left = cpu.min(wall);
        if left.is_zero() {
            return None;
        }
        let ticks = left.as_nanos().div_ceil(TICK.as_nanos());
        Some(u64::try_from(ticks).unwrap_or(u64::MAX))
    }
}

/// Processor time of this thread. Should the system not say, it stands still and the limit on the
/// wall holds.
pub(crate) fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// A live instance.
pub(crate) struct Instance {
    store: Store<HostState>,
    scope: Scope,
    instance: ComponentInstance,
    plugin: Arc<Plugin>,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Instance({})", self.plugin.name)
    }
}

impl Instance {
    /// Makes an instance. What the guest does on the way counts against `limits`.
    ///
    /// # Errors
    /// Whatever the guest does wrong while it starts.
    pub(crate) fn start(
        plugin: &Arc<Plugin>,
        scope: &Scope,
        limits: CallLimits,
    ) -> Result<Self, Failure> {
        let runtime = &plugin.runtime;
        let _ticking = runtime.ticker.running();
        let budget = Budget::starting_now(runtime.meter, limits);
        let state = HostState {
            limiter: Limiter::new(plugin.limits.memory_bytes),
            budget,
            log: CallLog::new(&plugin.log, &runtime.secrets, &scope.run),
            config: Arc::clone(&scope.config),
            worker: Arc::clone(&scope.worker),
            now: scope.now(&*runtime.clock),
            effects: CallEffects::new(plugin, scope),
        };
        let mut store = Store::new(&runtime.engine, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits::HOSTCALL_BYTES);
        store.set_epoch_deadline(budget.ticks_left().unwrap_or(1));
        store.epoch_deadline_callback(|context| {
            Ok(match context.data().budget.ticks_left() {
                Some(ticks) => UpdateDeadline::Continue(ticks),
                None => UpdateDeadline::Interrupt,
            })
        });
        runtime.meter.fill(&mut store, limits);
        let instance = plugin.pre.instantiate(&mut store);
        used(plugin, &store, limits);
        Ok(Self {
            instance: instance.map_err(|error| of_start(&error))?,
            store,
            scope: scope.clone(),
            plugin: Arc::clone(plugin),
        })
    }

    /// Loads every hook that the plugin has, which checks their types.
    ///
    /// # Errors
    /// If an interface is not what this host takes it for.
    pub(crate) fn check_hooks(&mut self) -> Result<(), wasmtime::Error> {
        let (store, instance) = (&mut self.store, &self.instance);
        let hooks = &self.plugin.hooks;
        if let Some(indices) = &hooks.timeout_policy {
            indices.load(&mut *store, instance)?;
        }
        if let Some(indices) = &hooks.output_redaction {
            indices.load(&mut *store, instance)?;
        }
        if let Some(indices) = &hooks.run_end {
            indices.load(&mut *store, instance)?;
        }
        if let Some(indices) = &hooks.lifecycle {
            indices.load(&mut *store, instance)?;
        }
        Ok(())
    }

    pub(crate) fn decide(
        &mut self,
        limits: CallLimits,
        run: &RunInfo,
        declared_ms: Option<u32>,
        past: &sandclock_core::ports::History,
    ) -> Result<Option<host::timeout_policy::Decision>, Failure> {
        self.call(limits, |plugin, store, instance| {
            let hook = plugin.hooks.timeout_policy.as_ref().ok_or_else(missing)?;
            let guest = hook.load(&mut *store, instance)?;
            guest.call_decide(store, run, declared_ms, host::history(past))
        })
    }

    pub(crate) fn on_end(
        &mut self,
        limits: CallLimits,
        run: &RunInfo,
        end: &run_end::End,
    ) -> Result<Vec<run_end::Delivery>, Failure> {
        self.call(limits, |plugin, store, instance| {
            let hook = plugin.hooks.run_end.as_ref().ok_or_else(missing)?;
            hook.load(&mut *store, instance)?
                .call_on_end(store, run, end)
        })
    }

    pub(crate) fn begin(
        &mut self,
        limits: CallLimits,
        run: &RunInfo,
        channel: sandclock_core::ports::Channel,
    ) -> Result<(), Failure> {
        self.call(limits, |plugin, store, instance| {
            let hook = plugin.hooks.output_redaction.as_ref().ok_or_else(missing)?;
            let guest = hook.load(&mut *store, instance)?;
            guest.call_begin(store, run, host::channel(channel))
        })
    }

    pub(crate) fn scan(
        &mut self,
        limits: CallLimits,
        window: &[u8],
        fresh_from: u32,
        flush: output_redaction::Flush,
        carry: &[u8],
    ) -> Result<output_redaction::Verdict, Failure> {
        self.call(limits, |plugin, store, instance| {
            let hook = plugin.hooks.output_redaction.as_ref().ok_or_else(missing)?;
            let guest = hook.load(&mut *store, instance)?;
            guest.call_scan(store, window, fresh_from, flush, carry)
        })
    }

    pub(crate) fn validate_config(&mut self, limits: CallLimits) -> Result<(), Failure> {
        self.call(limits, |plugin, store, instance| {
            let hook = plugin.hooks.lifecycle.as_ref().ok_or_else(missing)?;
            hook.load(&mut *store, instance)?
                .call_validate_config(store)
        })
    }

    /// One call with a budget of its own.
    fn call<T>(
        &mut self,
        limits: CallLimits,
        call: impl FnOnce(
            &Plugin,
            &mut Store<HostState>,
            &ComponentInstance,
        ) -> Result<Result<T, String>, wasmtime::Error>,
    ) -> Result<T, Failure> {
        let runtime = &self.plugin.runtime;
        let _ticking = runtime.ticker.running();
        let budget = Budget::starting_now(runtime.meter, limits);
        let state = self.store.data_mut();
        state.budget = budget;
        state.now = self.scope.now(&*runtime.clock);
        state.log.next_call();
        self.store
            .set_epoch_deadline(budget.ticks_left().unwrap_or(1));
        runtime.meter.fill(&mut self.store, limits);
        let answer = call(&self.plugin, &mut self.store, &self.instance);
        used(&self.plugin, &self.store, limits);
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(text)) => Err(Failure::new(FailureCode::PluginError, text)),
            Err(error) => Err(error
                .downcast::<Failure>()
                .unwrap_or_else(|error| Failure::of_call(&error))),
        }
    }
}

/// Counts what a call has used.
fn used(plugin: &Plugin, store: &Store<HostState>, limits: CallLimits) {
    let cpu = store.data().budget.used(plugin.runtime.meter, limits);
    let fuel = plugin.runtime.meter.used(store, limits);
    let memory = store.data().limiter.memory_bytes();
    plugin.counters.count_used(cpu, fuel, memory);
}

fn missing() -> wasmtime::Error {
    wasmtime::Error::new(Failure::new(
        FailureCode::Missing,
        "the plugin does not have this hook",
    ))
}

/// An instance that does not come to life without having trapped is the host's lack of room.
fn of_start(error: &wasmtime::Error) -> Failure {
    if error.is::<Trap>() || error.is::<limits::LimitExceeded>() {
        return Failure::of_call(error);
    }
    Failure::new(
        FailureCode::Overloaded,
        format!("no instance could be made: {}", error.root_cause()),
    )
}
