//! The parts of an installation by name, and the layer around their contracts.
//!
//! A call that is made for a request ends with the request's time, and each error says whose it is. So a store that
//! takes connections and answers nothing holds up no answer, and an answer says which part is away. What is done for
//! no request has its backend's own deadlines.

use sandclock_core::backend::Result;
use sandclock_core::backend::layer::{Call, Layer, Nature, Op};
use sandclock_core::{BackendError, Effect, ErrorKind, Part};
use tokio::time::{Instant, timeout_at};

use crate::request::Request;

/// Coordination on etcd.
pub(super) const ETCD: Part = Part {
    name: "coordination",
    title: "the coordination store (etcd)",
};

/// Coordination in a file of this process.
pub(super) const FILE_OF_JOBS: Part = Part {
    name: "coordination",
    title: "the coordination store (this server's file)",
};

/// The run log on MongoDB.
pub(super) const MONGODB: Part = Part {
    name: "run_log",
    title: "the run log (MongoDB)",
};

/// The run log in a file of this process.
pub(super) const FILE_OF_RUNS: Part = Part {
    name: "run_log",
    title: "the run log (this server's file)",
};

/// Around every contract of one part.
#[derive(Clone, Debug)]
pub(super) struct InPart(pub(super) &'static Part);

impl Layer for InPart {
    async fn call<'a, T: Send + 'a>(
        &'a self,
        op: Op,
        mut call: impl FnMut() -> Call<'a, T> + Send + 'a,
    ) -> Result<T> {
        let answer = match Request::current() {
            Some(request) => within(&request, op, call).await,
            None => call().await,
        };
        answer.map_err(|error| error.of_part(self.0))
    }
}

/// Makes a call for a request, in the time that it has left.
async fn within<'a, T: Send + 'a>(
    request: &Request,
    op: Op,
    mut call: impl FnMut() -> Call<'a, T> + Send + 'a,
) -> Result<T> {
    let late = || BackendError::new(op.name(), ErrorKind::Timeout);
    let until = match op {
        Op::PluginsPush | Op::PluginsModule => request.deadline_of_a_module(),
        _ => request.deadline(),
    };
    if until <= Instant::now() {
        return Err(late().context("the time of the request was over before it was asked"));
    }
    let changes = op.nature() == Nature::Changes;
    let answer = match timeout_at(until, call()).await {
        Ok(answer) => answer,
        Err(_) if changes => Err(late().effect_unknown()),
        Err(_) => Err(late()),
    };
    let is_without_effect = |error: &BackendError| error.effect == Effect::None;
    if changes && !answer.as_ref().is_err_and(is_without_effect) {
        request.has_changed();
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::request::BUDGET;

    async fn of_request<T>(work: impl Future<Output = T>) -> (Arc<Request>, T) {
        let request = Request::new("a", false, None);
        let done = Arc::clone(&request).carry(work).await;
        (request, done)
    }

    /// What a store says that has stopped.
    async fn stopped(op: Op) -> BackendError {
        let call = || Box::pin(std::future::pending::<Result<()>>()) as Call<'_, ()>;
        InPart(&ETCD).call(op, call).await.unwrap_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_has_stopped_is_named_when_the_time_is_over() {
        let began = Instant::now();
        let (request, error) = of_request(stopped(Op::JobsGet)).await;
        assert_eq!(began.elapsed(), BUDGET);
        assert_eq!(error.part, Some(&ETCD));
        let (kind, effect) = (error.kind, error.effect);
        assert_eq!((kind, effect), (ErrorKind::Timeout, Effect::None));
        assert!(!request.may_have_changed());

        let (request, error) = of_request(stopped(Op::JobsPut)).await;
        assert_eq!(error.effect, Effect::Unknown);
        assert!(request.may_have_changed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_too_late_is_not_asked() {
        let both = async {
            stopped(Op::JobsGet).await;
            stopped(Op::JobsPut).await
        };
        let (request, error) = of_request(both).await;
        assert_eq!(error.effect, Effect::None);
        assert!(!request.may_have_changed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_done_for_no_request_has_its_own_deadlines() {
        let waiting = tokio::time::timeout(Duration::from_secs(3_600), stopped(Op::JobsGet));
        assert!(waiting.await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_was_made_is_remembered() {
        let call = || Box::pin(async { Ok(()) }) as Call<'_, ()>;
        let (request, _) = of_request(InPart(&ETCD).call(Op::JobsPut, call)).await;
        assert!(request.may_have_changed());
    }
}
