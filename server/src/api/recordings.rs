//! Recorded plugin calls, and asking them again.

use async_trait::async_trait;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sandclock_core::ErrorKind;
use sandclock_core::backend::{ModuleDigest, Recording};
use sandclock_hooks::{Artifact, RecordedCall};
use serde::Deserialize;
use serde_json::Value;

use super::Api;
use super::dto::run::ListDto;
use super::input::{Id, Paging, Query, Run};
use super::lookup::find;
use super::plugins::find as find_plugin;
use super::problem::Problem;
use crate::document::FieldError;
use crate::replay::{self, Artifacts, ReplayReport};
use crate::rollout::standard_module;

/// The query of `GET /plugins/{name}/recordings`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordingsQuery {
    limit: Option<u32>,
}

/// The query of `POST /plugins/{name}/replay`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayQuery {
    /// The release to ask; by default each question is asked of what answered it.
    version: Option<String>,
    limit: Option<u32>,
}

/// The query of `PUT /plugins/{name}/shadow`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShadowQuery {
    version: String,
}

/// `GET /runs/{id}/recordings`: what its plugins were asked and said.
pub async fn of_run(State(api): State<Api>, Run(id): Run) -> Result<Json<ListDto<Value>>, Problem> {
    let found = api.records.recordings.of_run(&id).await?;
    if found.is_empty() {
        find(&api, &id).await?;
    }
    Ok(Json(ListDto::new(documents(&found), None)))
}

/// `GET /plugins/{name}/recordings`: what it was asked and said last, newest first.
pub async fn of_plugin(
    State(api): State<Api>,
    Id(name): Id,
    Query(query): Query<RecordingsQuery>,
) -> Result<Json<ListDto<Value>>, Problem> {
    let limit = Paging::new(query.limit, None).limit()?;
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

/// `GET /plugins/{name}/modules/{sha256}`: the artifact of this digest, of a release or of this server's own plugins.
pub async fn module(
    State(api): State<Api>,
    Path((name, sha256)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let accepted = "64 lowercase hexadecimal digits";
    let digest = ModuleDigest::parse(&sha256);
    let digest = digest.ok_or_else(|| FieldError::new("sha256", &sha256, accepted))?;
    let module = artifact(&api, &name, &digest).await?.bytes;
    Ok(([(header::CONTENT_TYPE, "application/wasm")], module).into_response())
}

/// The plugin's artifact of this digest.
async fn artifact(api: &Api, name: &str, digest: &ModuleDigest) -> Result<Artifact, Problem> {
    if let Some(module) = standard_module(name, digest) {
        return Ok(Artifact::new(name, Some(crate::VERSION.to_owned()), module));
    }
    let gone = || Problem::not_found(format!("plugin {name} has no release of digest {digest}"));
    let plugin = find_plugin(api, name).await.map_err(|_| gone())?;
    let release = plugin.releases.iter().find(|it| it.digest == *digest);
    let release = release.ok_or_else(gone)?;
    let module = api.records.plugins.module(digest).await?;
    let version = Some(release.version.clone());
    Ok(Artifact::new(name, version, module.to_vec()))
}

/// `POST /plugins/{name}/replay?version=V&limit=N`: asks the plugin's last questions again.
pub async fn replay_last(
    State(api): State<Api>,
    Id(name): Id,
    Query(query): Query<ReplayQuery>,
) -> Result<Json<ReplayReport>, Problem> {
    let limit = Paging::new(query.limit, None).limit()?;
    let mut found = api.records.recordings.latest(&name, limit).await?;
    found.reverse();
    let calls: Vec<_> = found
        .iter()
        .filter_map(|recording| RecordedCall::read(&recording.body).ok())
        .collect();
    let candidate = match &query.version {
        None => None,
        Some(version) => {
            let plugin = find_plugin(&api, &name).await?;
            let release = plugin.release(version);
            let none = || Problem::not_found(format!("plugin {name} has no release {version}"));
            let digest = &release.ok_or_else(none)?.digest;
            Some(artifact(&api, &name, digest).await?)
        }
    };
    let artifacts = OfServer {
        api: &api,
        candidate,
    };
    Ok(Json(replay::replay(&calls, &artifacts).await))
}

/// What answered then, or one release for all questions.
struct OfServer<'a> {
    api: &'a Api,
    candidate: Option<Artifact>,
}

#[async_trait]
impl Artifacts for OfServer<'_> {
    async fn artifact(&self, call: &RecordedCall) -> Result<Artifact, String> {
        if let Some(candidate) = &self.candidate {
            return Ok(candidate.clone());
        }
        let gone = || format!("the version with digest {} is gone", call.sha256);
        let digest = ModuleDigest::parse(&call.sha256).ok_or_else(gone)?;
        let found = artifact(self.api, &call.plugin, &digest).await;
        found.map_err(|_| gone())
    }
}

/// `PUT /plugins/{name}/shadow?version=V`: asks this release beside the one that serves. It decides nothing.
pub async fn set_shadow(
    State(api): State<Api>,
    Id(name): Id,
    Query(query): Query<ShadowQuery>,
) -> Result<StatusCode, Problem> {
    change_shadow(&api, &name, Some(&query.version)).await
}

/// `DELETE /plugins/{name}/shadow`
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
    api.rollout.follow().await;
    Ok(StatusCode::NO_CONTENT)
}
