//! Keeping a run when its worker is back with a new session, before anybody has settled it.

use std::future::{Future, pending};
use std::pin::Pin;

use super::dispatch::Claim;
use super::requests::until_answered;
use super::session::Window;
use super::state::Shared;
use crate::backend::{Fence, OpenState, SessionId};

/// An attempt that is going on.
pub(super) type Rebinding<'a> = Pin<Box<dyn Future<Output = Rebound> + Send + 'a>>;

/// What came of an attempt to keep the run under a new session.
pub(super) enum Rebound {
    /// It is kept, with this fence.
    Kept(Fence, Window),
    /// Somebody has settled it.
    Gone,
    /// The new session is gone as well; the fence is the run's nevertheless.
    NoSession(Fence),
}

/// The end of the attempt that is going on; never, without one.
pub(super) async fn rebound(rebinding: &mut Option<Rebinding<'_>>) -> Rebound {
    match rebinding {
        Some(rebinding) => rebinding.await,
        None => pending().await,
    }
}

/// Keeps the run under the session of `window`, if nobody has settled it.
pub(super) async fn rebind(
    shared: &Shared,
    claim: &Claim,
    mut fence: Fence,
    window: Window,
) -> Rebound {
    let fires = &shared.coordination.fires;
    loop {
        let (session, job, key) = (&window.session, claim.job(), &claim.key);
        let request = || fires.rebind(session, job, key, fence);
        match until_answered(shared, "fires.rebind", request).await {
            Ok(Some(fence)) => return Rebound::Kept(fence, window),
            Ok(None) => match held(shared, claim).await {
                // An earlier try has done it, for this session or for one that is gone.
                Some((found, owner)) if owner == window.session => {
                    return Rebound::Kept(found, window);
                }
                Some((found, _)) if found != fence => fence = found,
                _ => return Rebound::Gone,
            },
            Err(error) => {
                tracing::warn!(%error, run = %claim.run, "cannot rebind");
                let found = held(shared, claim).await;
                return Rebound::NoSession(found.map_or(fence, |(found, _)| found));
            }
        }
    }
}

/// The claim as the store has it now: its fence and session.
async fn held(shared: &Shared, claim: &Claim) -> Option<(Fence, SessionId)> {
    let feed = &shared.coordination.feed;
    let (view, _) = until_answered(shared, "feed.snapshot", || feed.snapshot())
        .await
        .ok()?;
    view.open
        .into_iter()
        .find_map(|open| match open.value.state {
            OpenState::Claimed { session, nonce, .. } if nonce == claim.nonce => {
                Some((Fence::at(open.version), session))
            }
            _ => None,
        })
}
