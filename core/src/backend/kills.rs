//! Kills: a retained fact, "this run shall stop", not a message that can be missed.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use super::{Events, Result};
use crate::run::RunId;

/// How long a kill is retained by default.
pub const RETAIN: Duration = Duration::from_secs(600);

/// The wish that a run stops, in all its attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kill {
    /// The run.
    pub run: RunId,
    /// Who wants it: a person's or a token's name, or `sandclock`.
    pub by: String,
    /// Why, for the record.
    pub why: String,
}

/// Kill marks.
#[async_trait]
pub trait Kills: Debug + Send + Sync + 'static {
    /// Retains the kill for `retain`. Idempotent per run: the first one's who and why stay. The
    /// acknowledgement of a kill is the run's terminal record, not this answer.
    async fn send(&self, kill: &Kill, retain: Duration) -> Result<()>;

    /// First all retained kills, then new ones.
    async fn watch(&self) -> Result<Events<Kill>>;
}
