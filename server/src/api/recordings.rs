//! Recorded plugin calls, and asking them again.

use std::time::Duration;

use async_trait::async_trait;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sandclock_core::ErrorKind;
use sandclock_core::backend::{self, ModuleDigest, Recording};
use sandclock_core::error::WithSources;
use sandclock_hooks::{Artifact, RecordedCall};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Api;
use super::dto::plugin::ModuleFile;
use super::dto::run::ListDto;
use super::input::{Id, MAX_LIMIT_OF_LARGE, Query, Run, limit};
use super::lookup::find;
use super::plugins::find as find_plugin;
use super::problem::Problem;
use crate::document::FieldError;
use crate::replay::{self, Artifacts, Asked, ReplayReport};
use crate::request;
use crate::rollout::standard_module;

/// How long a replay may take.
const REPLAY_TIME: Duration = Duration::from_secs(60);

/// Replays at once: each compiles, and computes as much as it can.
static REPLAYS: Semaphore = Semaphore::const_new(1);

/// The query of `GET /plugins/{name}/recordings`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RecordingsQuery {
    /// How many at most, from 1 to 200; default 100.
    limit: Option<u32>,
}

/// The query of `POST /plugins/{name}/replay`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReplayQuery {
    /// The release to ask; by default each question is asked of what answered it.
    version: Option<String>,
    /// How many at most, from 1 to 200; default 100.
    limit: Option<u32>,
}

/// The query of `PUT /plugins/{name}/shadow`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ShadowQuery {
    /// The release.
    version: String,
}

/// What a run's plugins were asked and said, as it is recorded for replays.
#[utoipa::path(
    get,
    path = "/runs/{id}/recordings",
    operation_id = "run.recordings",
    tag = "runs",
    params(Run),
    responses((status = 200, description = "The recorded calls", body = ListDto<Object>)),
)]
pub async fn of_run(State(api): State<Api>, Run(id): Run) -> Result<Json<ListDto<Value>>, Problem> {
    let found = api.records.recordings.of_run(&id).await?;
    if found.is_empty() {
        find(&api, &id).await?;
    }
    Ok(Json(ListDto::new(documents(&found), None)))
}

/// What a plugin was asked and said last, newest first.
#[utoipa::path(
    get,
    path = "/plugins/{name}/recordings",
    operation_id = "plugin.recordings",
    tag = "plugins",
    params(("name" = String, Path, description = "The plugin"), RecordingsQuery),
    responses((status = 200, description = "The recorded calls", body = ListDto<Object>)),
)]
pub async fn of_plugin(
    State(api): State<Api>,
    Id(name): Id,
    Query(query): Query<RecordingsQuery>,
) -> Result<Json<ListDto<Value>>, Problem> {
    let limit = limit(query.limit, MAX_LIMIT_OF_LARGE)?;
    let found = api.records.recordings.latest(&name, limit).await?;
    Ok(Json(ListDto::new(documents(&found), None)))
}

/// Those that can be read.
fn documents(recordings: &[Recording]) -> Vec<Value> {
    let bodies = recordings.iter();
    bodies
        .filter_map(|recording| serde_json::from_slice(&recording.body).ok())
        .collect()
}

/// The artifact of this digest, of a release or of this server's own plugins.
#[utoipa::path(
    get,
    path = "/plugins/{name}/modules/{sha256}",
    operation_id = "plugin.module",
    tag = "plugins",
    params(("name" = String, Path, description = "The plugin"), ("sha256" = String, Path, description = "64 lowercase hexadecimal digits")),
    responses((status = 200, description = "The file", body = ModuleFile, content_type = "application/wasm")),
)]
pub async fn module(
    State(api): State<Api>,
    Path((name, sha256)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let accepted = "64 lowercase hexadecimal digits";
    let digest = ModuleDigest::parse(&sha256);
    let digest = digest.ok_or_else(|| FieldError::new("sha256", &sha256, accepted))?;
    let found = artifact(&api, &name, &digest).await?;
    let gone = || Problem::not_found(format!("plugin {name} has no release of digest {digest}"));
    let module = found.ok_or_else(gone)?.bytes;
    Ok(([(header::CONTENT_TYPE, "application/wasm")], module).into_response())
}

/// The plugin's artifact of this digest; `None` if it is gone.
async fn artifact(
    api: &Api,
    name: &str,
    digest: &ModuleDigest,
) -> backend::Result<Option<Artifact>> {
    if let Some(module) = standard_module(name, digest) {
        let version = Some(crate::VERSION.to_owned());
        return Ok(Some(Artifact::new(name, version, module)));
    }
    let plugins = api.records.plugins.list().await?;
    let plugin = plugins.iter().find(|plugin| plugin.name == name);
    let mut releases = plugin.into_iter().flat_map(|plugin| &plugin.releases);
    let Some(release) = releases.find(|release| release.digest == *digest) else {
        return Ok(None);
    };
    let module = api.records.plugins.module(digest).await?;
    let version = Some(release.version.clone());
    Ok(Some(Artifact::new(name, version, module.to_vec())))
}

/// Asks a plugin's last questions again.
#[utoipa::path(
    post,
    path = "/plugins/{name}/replay",
    operation_id = "plugin.replay",
    tag = "plugins",
    params(("name" = String, Path, description = "The plugin"), ReplayQuery),
    responses((status = 200, description = "What came of each", body = ReplayReport)),
)]
pub async fn replay_last(
    State(api): State<Api>,
    Id(name): Id,
    Query(query): Query<ReplayQuery>,
) -> Result<Json<ReplayReport>, Problem> {
    let limit = limit(query.limit, MAX_LIMIT_OF_LARGE)?;
    let Ok(_one) = REPLAYS.try_acquire() else {
        let why = "another replay is going on here: try again when it is done, or replay on your own machine";
        return Err(Problem::conflict(why));
    };
    let mut found = api.records.recordings.latest(&name, limit).await?;
    found.reverse();
    let read = found
        .iter()
        .map(|recording| RecordedCall::read(&recording.body));
    let calls: Vec<_> = read.filter_map(Result::ok).collect();
    let of_server = OfServer(&api);
    let asked = match &query.version {
        None => Asked::Again(&of_server),
        Some(version) => {
            let plugin = find_plugin(&api, &name).await?;
            let none = || Problem::not_found(format!("plugin {name} has no release {version}"));
            let release = plugin.release(version).ok_or_else(none)?;
            let candidate = artifact(&api, &name, &release.digest).await?;
            Asked::Candidate(candidate.ok_or_else(none)?)
        }
    };
    let until = Instant::now() + REPLAY_TIME;
    let mut report = replay::replay(&calls, &asked, Some(until)).await;
    report.add_unreadable(found.len() - calls.len());
    Ok(Json(report))
}

/// What answered, in this server's store.
struct OfServer<'a>(&'a Api);

#[async_trait]
impl Artifacts for OfServer<'_> {
    async fn artifact(&self, call: &RecordedCall) -> Result<Option<Artifact>, String> {
        let Some(digest) = ModuleDigest::parse(&call.sha256) else {
            return Ok(None);
        };
        let found = artifact(self.0, &call.plugin, &digest).await;
        found.map_err(|error| WithSources(&error).to_string())
    }
}

/// Asks this release beside the one that serves. It decides nothing.
#[utoipa::path(
    put,
    path = "/plugins/{name}/shadow",
    operation_id = "plugin.shadow",
    tag = "plugins",
    params(("name" = String, Path, description = "The plugin"), ShadowQuery),
    responses((status = 204, description = "It is asked")),
)]
pub async fn set_shadow(
    State(api): State<Api>,
    Id(name): Id,
    Query(query): Query<ShadowQuery>,
) -> Result<StatusCode, Problem> {
    change_shadow(&api, &name, Some(&query.version)).await
}

/// Asks no release beside the one that serves.
#[utoipa::path(
    delete,
    path = "/plugins/{name}/shadow",
    operation_id = "plugin.unshadow",
    tag = "plugins",
    params(("name" = String, Path, description = "The plugin")),
    responses((status = 204, description = "None is asked")),
)]
pub async fn end_shadow(State(api): State<Api>, Id(name): Id) -> Result<StatusCode, Problem> {
    change_shadow(&api, &name, None).await
}

async fn change_shadow(
    api: &Api,
    name: &str,
    version: Option<&str>,
) -> Result<StatusCode, Problem> {
    let plugin = find_plugin(api, name).await?;
    let changed = api.records.plugins.shadow(name, version).await;
    let version = version.unwrap_or_default();
    changed.map_err(|error| match error.kind {
        ErrorKind::NotFound => {
            let known = plugin
                .releases
                .iter()
                .map(|release| release.version.as_str());
            let known = known.collect::<Vec<_>>().join(", ");
            Problem::not_found(format!(
                "plugin {name} has no release {version}: it has {known}"
            ))
        }
        ErrorKind::Conflict => Problem::conflict(format!(
            "release {version} of plugin {name} serves: what is only asked is another one"
        )),
        _ => error.into(),
    })?;
    request::in_time(api.rollout.follow()).await;
    Ok(StatusCode::NO_CONTENT)
}
