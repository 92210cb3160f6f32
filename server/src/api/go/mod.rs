//! The routes of a Go fleet's master, for clients that were written for it.
//!
//! They are six, take forms or JSON with any method, and answer 200 with `{"errno", "msg", "data"}` whatever
//! happens, because that is what those clients read. What is new has its routes under `/api/v1`. Beyond a Go master
//! they ask for a token unless they were opened, refuse what pages of other sites send, check what is saved, keep
//! what a form does not name, and answer within a time.

mod answer;
mod door;
mod input;
mod jobs;
mod log;
mod save;

use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::any;

use super::Api;
use super::auth::{Needs, Role, Scope};
use crate::wire::GoStores;

/// What the handlers need beside [`Api`].
#[derive(Clone, Debug)]
pub struct GoMaster {
    /// The fleet's stores.
    pub stores: GoStores,
    /// No token is asked for.
    pub open: bool,
    /// How long a request may take to arrive.
    pub read_timeout: Duration,
    /// How long it may take to be answered, its arrival included.
    pub write_timeout: Duration,
}

/// What the handlers share.
#[derive(Clone, Debug)]
struct Go {
    api: Api,
    master: GoMaster,
}

/// The six routes.
pub(super) fn router<S: Clone + Send + Sync + 'static>(api: Api, master: GoMaster) -> Router<S> {
    let go = Go { api, master };
    let role = |role: Role| {
        let scope = Scope::Jobs;
        from_fn_with_state((go.clone(), Needs { role, scope }), door::pass)
    };
    let viewer = Router::new()
        .route("/job/list", any(jobs::list))
        .route("/job/log", any(log::list))
        .route("/worker/list", any(jobs::workers))
        .route_layer(role(Role::Viewer));
    let operator = Router::new()
        .route("/job/kill", any(jobs::kill))
        .route_layer(role(Role::Operator));
    let editor = Router::new()
        .route("/job/save", any(jobs::save))
        .route("/job/delete", any(jobs::delete))
        .route_layer(role(Role::Editor));
    viewer.merge(operator).merge(editor).with_state(go)
}
