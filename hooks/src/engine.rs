//! The wasm engine: its settings, and the ticker behind every deadline.
//!
//! One engine serves all plugins. Guests check at each loop and call whether the engine's epoch has
//! passed their deadline; one thread moves the epoch on each millisecond while calls are going on,
//! and sleeps otherwise. It holds the engine weakly and takes part in nothing else (S12).

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wasmtime::{
    Config, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

use crate::limits;
use crate::meter::Meter;

/// The resolution of processor deadlines.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Component instances that may be alive at once: those of calls, and those that streams keep.
pub(crate) const INSTANCES: u32 = 160;

/// An engine with pooled instances, or with plain ones where the address space is limited: a pool
/// reserves 4 GiB of it for each memory, which costs nothing but the addresses.
///
/// # Errors
/// If this machine cannot compile wasm at all.
pub(crate) fn open(meter: Meter) -> Result<Engine, wasmtime::Error> {
    let mut config = settings(meter);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    Engine::new(&config).or_else(|error| {
        tracing::info!(%error, "plugin instances are not pooled");
        Engine::new(&settings(meter))
    })
}

fn settings(meter: Meter) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // No hook is asynchronous, and calls are a third cheaper without.
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(limits::STACK_BYTES)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        // Where the same has to come out everywhere, a NaN has the same bits everywhere.
        .consume_fuel(meter == Meter::Fuel)
        .cranelift_nan_canonicalization(meter == Meter::Fuel);
    config
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    // Only a count, and Python has dozens of core instances in one component.
    pool.total_component_instances(INSTANCES)
        .total_core_instances(INSTANCES * 128)
        // Of a component of QuickJS, which has the most of those that we know.
        .total_memories(INSTANCES * 3)
        .total_tables(INSTANCES * 4)
        .total_stacks(1)
        .max_memory_size(256 << 20)
        .table_elements(limits::TABLE_ELEMENTS)
        .max_core_instances_per_component(128)
        .max_memories_per_component(8)
        .max_tables_per_component(64)
        .max_memories_per_module(2)
        .max_tables_per_module(4)
        .max_unused_warm_slots(32);
    pool
}

/// Moves the engine's epoch on while anybody needs it.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    calls: usize,
    /// The thread sleeps until there is a call.
    idle: bool,
    stopped: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticker {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let (weak, seen) = (engine.weak(), Arc::clone(&shared));
        std::thread::Builder::new()
            .name("plugin-ticker".to_owned())
            .spawn(move || tick(&weak, &seen))?;
        Ok(Self { shared })
    }

    /// The epoch moves on while the returned value lives.
    pub(crate) fn running(&self) -> Ticking {
        let mut state = self.shared.state();
        state.calls += 1;
        if state.idle {
            state.idle = false;
            self.shared.wake.notify_one();
        }
        Ticking {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.state().stopped = true;
        self.shared.wake.notify_one();
    }
}

/// See [`Ticker::running`].
#[derive(Debug)]
pub(crate) struct Ticking {
    shared: Arc<Shared>,
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.shared.state().calls -= 1;
    }
}

fn tick(engine: &EngineWeak, shared: &Shared) {
    let mut state = shared.state();
    while !state.stopped {
        if state.calls == 0 {
            state.idle = true;
            state = shared
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        (state, _) = shared
            .wake
            .wait_timeout(state, TICK)
            .unwrap_or_else(PoisonError::into_inner);
        match engine.upgrade() {
            Some(engine) => engine.increment_epoch(),
            None => return,
        }
    }
}
