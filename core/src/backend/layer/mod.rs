//! Layers around contracts: what is done with every call, whatever backend it goes to.
//!
//! Backends do not repeat, count or measure (A2); a [`Layer`] does, once for all contracts. [`Layered`]
//! puts a layer around any contract and is that contract itself, so layers stack:
//! `Observed<Retried<_>>` counts what its caller sees, `Retried<Observed<_>>` what the store sees.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{Coordination, Records, Result};

mod coordination;
mod go;
mod observer;
mod op;
mod records;
mod retry;

pub use observer::{Figures, Observer};
pub use op::{Nature, Op, Repeat};
pub use retry::Retry;

/// A call on its way to a backend.
pub type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// What is done with every call.
pub trait Layer: Clone + Debug + Send + Sync + 'static {
    /// Makes the call by calling `call`, which may be called again for a repeat of the same request.
    fn call<'a, T: Send + 'a>(
        &'a self,
        op: Op,
        call: impl FnMut() -> Call<'a, T> + Send + 'a,
    ) -> impl Future<Output = Result<T>> + Send + 'a;
}

/// A contract behind a layer.
#[derive(Debug)]
pub struct Layered<L, T: ?Sized> {
    layer: L,
    inner: Arc<T>,
}

/// A contract whose calls are counted and timed.
pub type Observed<T> = Layered<Observer, T>;

/// A contract whose calls are repeated where that is safe.
pub type Retried<T> = Layered<Retry, T>;

impl<L: Layer, T: ?Sized> Layered<L, T> {
    /// Puts the layer around the contract.
    pub fn new(layer: &L, inner: Arc<T>) -> Arc<Self> {
        Arc::new(Self {
            layer: layer.clone(),
            inner,
        })
    }
}

impl Coordination {
    /// The same store with the layer around each contract.
    #[must_use]
    pub fn behind<L: Layer>(self, layer: &L) -> Self {
        Self {
            jobs: Layered::new(layer, self.jobs),
            sessions: Layered::new(layer, self.sessions),
            fires: Layered::new(layer, self.fires),
            feed: Layered::new(layer, self.feed),
            kills: Layered::new(layer, self.kills),
            leadership: Layered::new(layer, self.leadership),
            docs: Layered::new(layer, self.docs),
            scope: self.scope,
        }
    }
}

impl Records {
    /// The same store with the layer around each contract.
    #[must_use]
    pub fn behind<L: Layer>(self, layer: &L) -> Self {
        Self {
            sink: Layered::new(layer, self.sink),
            runs: Layered::new(layer, self.runs),
            outbox: Layered::new(layer, self.outbox),
            plugins: Layered::new(layer, self.plugins),
            recordings: Layered::new(layer, self.recordings),
            kv: Layered::new(layer, self.kv),
            audit: Layered::new(layer, self.audit),
        }
    }
}
