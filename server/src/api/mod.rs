//! The REST API: one table of routes, each with its role.
//!
//! Everything passes [`auth`] first; only liveness, readiness and the console's static files are open.
//! A handler reads its input into a wire type, calls core's contracts, and answers with a wire type or
//! a [`problem::Problem`].

pub mod alerts;
pub mod audit;
pub mod audited;
pub mod auth;
pub mod backup;
pub mod bindings;
pub mod broken;
pub mod candidate;
mod compressed;
pub mod decisions;
pub mod dto;
pub mod events;
pub mod explain;
mod foreign;
pub mod go;
pub mod health;
pub mod hooks;
pub mod input;
pub mod jobs;
pub mod lookup;
pub mod metrics;
pub mod modes;
pub mod openapi;
pub mod operate;
pub mod pace;
pub mod plugins;
pub mod problem;
pub mod recordings;
pub mod runs;
pub mod schedule;
pub mod secrets;
pub mod sessions;
pub mod sign_in;
pub mod stream;
pub mod tokens;
pub mod tracked;
pub mod uses;
pub mod workers;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::{HeaderValue, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use sandclock_core::backend::{Coordination, Records};
use sandclock_core::fleet::WorkerHandle;
use sandclock_core::time::Clock;
use sandclock_hooks::PluginHost;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::audited::Audited;
use self::auth::{Needs, Role, Scope};
use self::pace::Pace;
use self::problem::Problem;
use self::sign_in::Cookies;
use crate::access::{Gate, Lifetimes};
use crate::audit::Trail;
use crate::deliver::Figures;
use crate::events::Watches;
use crate::front::Tls;
use crate::leader::Leads;
use crate::recorder::RecordingQueue;
use crate::reload::Accepted;
use crate::rollout::Rollout;
use crate::sign_in::Provider;
use crate::spool::Spool;
use crate::telemetry::Telemetry;

/// The largest request body in bytes.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// What the documented routes are below.
const PREFIX: &str = "/api/v1";

/// The job of the empty name, which nobody can create and others may have left behind. The document has no words for it: a
/// parameter of a path is not empty.
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
    pub gate: Arc<Gate>,
    /// How fast.
    pub pace: Arc<Pace>,
    /// Where it is written who changes what.
    pub trail: Arc<Trail>,
    /// Whether clients come by a proxy, which says for whom it asks.
    pub behind_proxy: bool,
    /// How long people stay signed in.
    pub sessions: Lifetimes,
    /// What browsers hold.
    pub cookies: Cookies,
    /// Where they sign in, if they do.
    pub provider: Option<Arc<Provider>>,
    /// The names of where alerts can go.
    pub alert_targets: BTreeSet<String>,
    /// For jobs and previews that name no zone.
    pub default_time_zone: String,
    /// Whether this server does the fleet's chores.
    pub leads: Leads,
    /// What it tells clients of changes.
    pub watches: Arc<Watches>,
    /// What this process has counted of alerts.
    pub deliveries: Figures,
    /// What the listener shows, if it speaks TLS.
    pub tls: Option<Arc<Tls>>,
    /// Whether the configuration was of use when it was read last.
    pub accepted: Accepted,
    /// Where traces go, if they do.
    pub telemetry: Option<Telemetry>,
    /// What the routes of a Go fleet's master need, where they are answered.
    pub go: Option<go::GoMaster>,
}

/// What a worker answers: how it is.
pub fn router_of_a_worker(api: Api) -> Router {
    probes(&api)
        .fallback(auth::unknown_route)
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(from_fn_with_state(api.telemetry.clone(), tracked::carry))
        .with_state(api)
}

/// What those ask who watch a process.
fn probes(api: &Api) -> Router<Api> {
    let needs = Needs {
        role: Role::Viewer,
        scope: Scope::Jobs,
    };
    let viewer = from_fn_with_state((api.clone(), needs), auth::require);
    Router::new()
        .route("/metrics", get(metrics::render))
        .route_layer(viewer)
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
}

/// What anybody with a token sees.
fn of_viewers() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(openapi::document))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::get))
        .routes(routes!(jobs::next))
        .routes(routes!(jobs::timeline::timeline))
        .route(NAMELESS, get(jobs::get))
        .routes(routes!(schedule::preview))
        .routes(routes!(runs::list))
        .routes(routes!(runs::get))
        .routes(routes!(runs::output))
        .routes(routes!(stream::follow))
        .routes(routes!(decisions::of_run))
        .routes(routes!(explain::explain))
        .routes(routes!(recordings::of_run))
        .routes(routes!(workers::list))
        .routes(routes!(plugins::list))
        .routes(routes!(plugins::get))
        .routes(routes!(alerts::list))
        .routes(routes!(events::follow))
        .routes(routes!(sessions::get, sessions::end))
}

/// What needs no token but the one that it is about.
fn of_anybody() -> OpenApiRouter<Api> {
    let needs = Needs {
        role: Role::Viewer,
        scope: Scope::Jobs,
    };
    openapi::with_needs(
        needs,
        OpenApiRouter::new().routes(routes!(sessions::create)),
    )
}

/// What shows parts of many jobs and their runs.
fn of_viewers_of_all() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(recordings::of_plugin))
        .routes(routes!(recordings::module))
        .routes(routes!(bindings::list))
        .routes(routes!(bindings::get))
}

/// What operators do to runs and alerts.
fn of_operators() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(operate::run))
        .routes(routes!(jobs::backfill::backfill))
        .routes(routes!(operate::kill_job))
        .routes(routes!(operate::kill_run))
        .routes(routes!(alerts::retry))
        .routes(routes!(alerts::acknowledge))
}

/// What operators do to workers.
fn of_operators_of_all() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(workers::drain))
}

/// What changes jobs.
fn of_editors() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(jobs::put, jobs::patch, jobs::delete))
        .route(NAMELESS, axum::routing::delete(jobs::delete))
        .routes(routes!(jobs::validate))
        .routes(routes!(jobs::apply::apply))
        .routes(routes!(jobs::enable))
        .routes(routes!(jobs::disable))
}

/// What changes plugins, which jobs have them, and who may do what.
fn of_admins() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(plugins::push, plugins::remove))
        .routes(routes!(plugins::roll_back))
        .routes(routes!(modes::set))
        .routes(routes!(candidate::validate))
        .routes(routes!(recordings::replay_last))
        .routes(routes!(recordings::set_shadow, recordings::end_shadow))
        .routes(routes!(bindings::put, bindings::delete))
        .routes(routes!(bindings::validate))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(secrets::list))
        .routes(routes!(secrets::put, secrets::delete))
        .routes(routes!(audit::list))
        .routes(routes!(backup::get))
}

/// Forbids browsers to take an answer for something else than it says that it is: output of jobs for a page.
async fn as_it_says(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    answer
}

/// All routes.
pub fn router(api: Api) -> Router {
    let documented = [
        (Role::Viewer, Scope::Jobs, of_viewers()),
        (Role::Viewer, Scope::Fleet, of_viewers_of_all()),
        (Role::Operator, Scope::Jobs, of_operators()),
        (Role::Operator, Scope::Fleet, of_operators_of_all()),
        (Role::Editor, Scope::Jobs, of_editors()),
        (Role::Admin, Scope::Fleet, of_admins()),
    ];
    let shows = of_viewers().merge(of_viewers_of_all());
    let shows = shows.split_for_parts().0.with_state(api.clone());
    let documented =
        documented
            .into_iter()
            .fold(openapi::router(), |all, (role, scope, routes)| {
                let needs = Needs { role, scope };
                let guard = from_fn_with_state((api.clone(), needs), auth::require);
                let audited = Audited::new(api.clone(), routes.get_openapi(), shows.clone());
                let record = from_fn_with_state(Arc::new(audited), audited::record);
                // What is added last is asked first.
                let routes = openapi::with_needs(needs, routes).route_layer(record);
                all.merge(routes.route_layer(guard))
            });
    let (v1, document) = OpenApiRouter::new()
        .nest(PREFIX, documented.merge(of_anybody()))
        .split_for_parts();
    let document = openapi::finish(document);
    let go = api.go.clone().map(|master| go::router(api.clone(), master));
    v1.layer(Extension(Arc::clone(&document)))
        .merge(go.unwrap_or_default())
        .fallback(auth::unknown_route)
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .merge(probes(&api))
        .merge(sign_in::router())
        .merge(crate::console::router(&api, &document))
        .layer(map_response(as_it_says))
        .layer(compressed::layer())
        .layer(map_response(compressed::weaken))
        .layer(from_fn_with_state(api.telemetry.clone(), tracked::carry))
        .with_state(api)
}
