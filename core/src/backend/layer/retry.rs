//! Repeating calls that failed for a moment, where a repeat is safe.

use std::time::Duration;

use tokio::time::Instant;

use super::{Call, Layer, Op, Repeat};
use crate::backend::Result;
use crate::error::Effect;

/// Repeats a call whose failure is transient, until it is answered or the budget is spent.
///
/// A call that certainly changed nothing is always repeated; one whose effect is unknown only if its method
/// allows it ([`Op::repeat`]). What is returned in the end says that the effect is unknown if that of any
/// try was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// No repeat begins later than this after the first try.
    pub budget: Duration,
    /// The pause before the first repeat; each further one is twice as long.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Retry {
    /// Repeats within `budget`, after 20 ms at first and at most every 500 ms.
    pub const fn within(budget: Duration) -> Self {
        Self {
            budget,
            first_pause: Duration::from_millis(20),
            longest_pause: Duration::from_millis(500),
        }
    }
}

impl Layer for Retry {
    async fn call<'a, T: Send + 'a>(
        &'a self,
        op: Op,
        mut call: impl FnMut() -> Call<'a, T> + Send + 'a,
    ) -> Result<T> {
        let began = Instant::now();
        let mut pause = self.first_pause;
        let mut effect = Effect::None;
        loop {
            let mut error = match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if error.effect == Effect::Unknown {
                effect = Effect::Unknown;
            }
            let safe = effect == Effect::None || op.repeat() == Repeat::Always;
            if !safe || !error.is_transient() || began.elapsed() + pause > self.budget {
                error.effect = effect;
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(self.longest_pause);
        }
    }
}
