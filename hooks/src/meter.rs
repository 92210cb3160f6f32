//! What the processor time of a call is measured with.
//!
//! A worker measures time, which costs a guest nothing. An author's tools count fuel, about one unit for each instruction: that
//! is the same on every machine and in every run, and so is what comes of it.

use std::time::Duration;

use wasmtime::Store;

use crate::host::HostState;
use crate::limits::CallLimits;

/// What stands for a millisecond of processor time: a slow core does about as much.
pub const FUEL_PER_MS: u64 = 1_000_000;

/// How calls are bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Meter {
    /// By the time that they take.
    #[default]
    Time,
    /// By their instructions, [`FUEL_PER_MS`] for each millisecond that they might take.
    Fuel,
}

impl Meter {
    /// The processor time after which a call is interrupted: beside the fuel, what nobody ought to wait for.
    pub(crate) fn cpu(self, limits: CallLimits) -> Duration {
        match self {
            Self::Time => limits.cpu,
            Self::Fuel => limits.wall,
        }
    }

    /// Before a call: gives it its fuel.
    pub(crate) fn fill(self, store: &mut Store<HostState>, limits: CallLimits) {
        if self == Self::Fuel
            && let Err(error) = store.set_fuel(tank(limits))
        {
            tracing::error!(%error, "an engine that counts fuel counts none");
        }
    }

    /// After a call: the fuel that it has used, 0 if nobody counts.
    pub(crate) fn used(self, store: &Store<HostState>, limits: CallLimits) -> u64 {
        match self {
            Self::Time => 0,
            Self::Fuel => tank(limits).saturating_sub(store.get_fuel().unwrap_or_default()),
        }
    }
}

/// The fuel for a call.
fn tank(limits: CallLimits) -> u64 {
    let micros = u64::try_from(limits.cpu.as_micros()).unwrap_or(u64::MAX);
    micros.saturating_mul(FUEL_PER_MS / 1_000)
}
