//! The REST API: one table of routes, each with its role.
//!
//! Everything passes [`auth`] first; only liveness, readiness and the console's static files are open.
//! A handler reads its input into a wire type, calls core's contracts, and answers with a wire type or
//! a [`problem::Problem`].

pub mod alerts;
pub mod auth;
pub mod bindings;
pub mod broken;
pub mod candidate;
pub mod decisions;
pub mod dto;
pub mod go;
pub mod health;
pub mod hooks;
pub mod input;
pub mod jobs;
pub mod lookup;
pub mod metrics;
pub mod modes;
pub mod operate;
pub mod plugins;
pub mod problem;
pub mod recordings;
pub mod runs;
pub mod schedule;
pub mod stream;
pub mod uses;
pub mod workers;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use sandclock_core::backend::{Coordination, Records};
use sandclock_core::fleet::WorkerHandle;
use sandclock_core::time::Clock;
use sandclock_hooks::PluginHost;

use self::auth::{Role, Tokens};
use self::problem::Problem;
use crate::deliver::Figures;
use crate::leader::Leads;
use crate::recorder::RecordingQueue;
use crate::rollout::Rollout;
use crate::spool::Spool;

/// The largest request body in bytes.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// The job of the empty name, which nobody can create and others may have left behind.
const NAMELESS: &str = "/jobs/";

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct Api {
    /// Definitions, claims, kills.
    pub coordination: Coordination,
    /// Run log and alerts.
    pub records: Records,
    /// Plugins.
    pub plugins: Arc<PluginHost>,
    /// What keeps them as the fleet has them.
    pub rollout: Arc<Rollout>,
    /// Where the plugins' calls are told, if they are.
    pub recorder: Option<Arc<RecordingQueue>>,
    /// The worker in this process, if it has one.
    pub worker: Option<WorkerHandle>,
    /// Where output waits while the run log is away, if there is a worker and its run log is elsewhere.
    pub spool: Option<Arc<Spool>>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Who may do what.
    pub tokens: Arc<Tokens>,
    /// The names of where alerts can go.
    pub alert_targets: BTreeSet<String>,
    /// For jobs and previews that name no zone.
    pub default_time_zone: String,
    /// Whether this server does the fleet's chores.
    pub leads: Leads,
    /// What this process has counted of alerts.
    pub deliveries: Figures,
    /// What the routes of a Go fleet's master need, where they are answered.
    pub go: Option<go::GoMaster>,
}

/// What a worker answers: how it is.
pub fn router_of_a_worker(api: Api) -> Router {
    probes(&api)
        .fallback(auth::unknown_route)
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .with_state(api)
}

/// What those ask who watch a process.
fn probes(api: &Api) -> Router<Api> {
    let viewer = from_fn_with_state((api.clone(), Role::Viewer), auth::require);
    Router::new()
        .route("/metrics", get(metrics::render))
        .route_layer(viewer)
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
}

/// What changes plugins, and which jobs have them.
fn policies() -> Router<Api> {
    Router::new()
        .route(
            "/plugins/{id}",
            axum::routing::put(plugins::push).delete(plugins::remove),
        )
        .route("/plugins:validate", post(candidate::validate))
        .route("/plugins/{id}/rollback", post(plugins::roll_back))
        .route("/plugins/{id}/mode", axum::routing::put(modes::set))
        .route("/plugins/{id}/replay", post(recordings::replay_last))
        .route(
            "/plugins/{id}/shadow",
            axum::routing::put(recordings::set_shadow).delete(recordings::end_shadow),
        )
        .route("/bindings:validate", post(bindings::validate))
        .route(
            "/bindings/{id}",
            axum::routing::put(bindings::put).delete(bindings::delete),
        )
}

/// All routes.
pub fn router(api: Api) -> Router {
    let role = |role: Role| from_fn_with_state((api.clone(), role), auth::require);
    let viewer = Router::new()
        .route("/jobs", get(jobs::list))
        .route("/jobs/{name}", get(jobs::get))
        .route(NAMELESS, get(jobs::get))
        .route("/jobs/{name}/next", get(jobs::next))
        .route("/schedule/preview", get(schedule::preview))
        .route("/runs", get(runs::list))
        .route("/runs/{id}", get(runs::get))
        .route("/runs/{id}/hooks", get(decisions::of_run))
        .route("/runs/{id}/recordings", get(recordings::of_run))
        .route("/runs/{id}/output", get(runs::output))
        .route("/runs/{id}/stream", get(stream::follow))
        .route("/workers", get(workers::list))
        .route("/plugins", get(plugins::list))
        .route("/plugins/{id}", get(plugins::get))
        .route("/plugins/{id}/recordings", get(recordings::of_plugin))
        .route("/plugins/{id}/modules/{sha256}", get(recordings::module))
        .route("/bindings", get(bindings::list))
        .route("/bindings/{id}", get(bindings::get))
        .route("/alerts", get(alerts::list))
        .route_layer(role(Role::Viewer));
    let operator = Router::new()
        .route("/jobs/{name}/run", post(operate::run))
        .route("/jobs/{name}/kill", post(operate::kill_job))
        .route("/runs/{id}/kill", post(operate::kill_run))
        .route("/workers/{id}/drain", post(workers::drain))
        .route("/alerts/{id}/retry", post(alerts::retry))
        .route("/alerts/{id}/ack", post(alerts::acknowledge))
        .route_layer(role(Role::Operator));
    let editor = Router::new()
        .route(
            "/jobs/{name}",
            axum::routing::put(jobs::put)
                .patch(jobs::patch)
                .delete(jobs::delete),
        )
        .route(NAMELESS, axum::routing::delete(jobs::delete))
        .route("/jobs:validate", post(jobs::validate))
        .route("/jobs/{name}/enable", post(jobs::enable))
        .route("/jobs/{name}/disable", post(jobs::disable))
        .route_layer(role(Role::Editor));
    let admin = policies().route_layer(role(Role::Admin));
    let v1 = viewer.merge(operator).merge(editor).merge(admin);
    let go = api.go.clone().map(|master| go::router(api.clone(), master));
    Router::new()
        .nest("/api/v1", v1)
        .merge(go.unwrap_or_default())
        .fallback(auth::unknown_route)
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .merge(probes(&api))
        .merge(crate::console::router())
        .with_state(api)
}
