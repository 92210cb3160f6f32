//! Whether a release would be taken here, and whether it accepts what jobs and bindings would say to it. Nothing is
//! written: an import asks this of everything before it begins.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandclock_core::backend::plugins::{RELEASE_NAMES, is_release_name};
use sandclock_core::backend::{ModuleDigest, Release};
use sandclock_core::job::HookBinding;
use sandclock_hooks::Artifact;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Api;
use super::hooks;
use super::input::{Candidate, body};
use super::plugins::{conflict, refusal};
use super::problem::Problem;
use crate::document::FieldError;

/// How long a check may take: a compilation, and a plugin asked about each configuration.
const CHECK_TIME: Duration = Duration::from_secs(180);

/// Checks at once.
static CHECKS: Semaphore = Semaphore::const_new(1);

/// The body of `POST /plugins:validate`.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = PluginCandidate)]
#[serde(deny_unknown_fields)]
pub struct CandidateDto {
    /// The plugin.
    pub name: String,
    /// What people call the release.
    pub version: String,
    /// The file, in base64.
    pub module: String,
    /// What it would be bound with.
    #[serde(default)]
    pub uses: Vec<UseDto>,
}

/// How a job or a binding would use it.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = PluginUse)]
#[serde(deny_unknown_fields)]
pub struct UseDto {
    /// What the paths of its members begin with in refusals: `jobs[3].hooks[0].`.
    pub place: String,
    /// The configuration.
    pub config: Value,
}

/// What was found.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PluginVerdict)]
pub struct ValidDto {
    sha256: String,
    signed_by: Option<String>,
    hooks: Vec<&'static str>,
}

/// Whether a PUT of this release would be accepted now, and whether it would accept these configurations.
#[utoipa::path(
    post,
    path = "/plugins:validate",
    operation_id = "plugin.validate",
    tag = "plugins",
    request_body = CandidateDto,
    responses((status = 200, description = "It would be accepted", body = ValidDto)),
)]
pub async fn validate(
    State(api): State<Api>,
    Candidate(text): Candidate,
) -> Result<Json<ValidDto>, Problem> {
    let candidate: CandidateDto = body(&text)?;
    let CandidateDto { name, version, .. } = &candidate;
    if !is_release_name(version) {
        return Err(FieldError::new("version", version, RELEASE_NAMES).into());
    }
    let module = STANDARD.decode(&candidate.module).map_err(|error| {
        let accepted = format!("the bytes of the module in base64; {error}");
        FieldError::new("module", "this text", accepted)
    })?;
    let release = Release {
        plugin: name.clone(),
        version: version.clone(),
        digest: ModuleDigest::of(&module),
        bytes: module.len() as u64,
        pushed_by: String::new(),
        pushed_at: api.clock.now(),
    };
    release.check(&module).map_err(Problem::from)?;
    let stored = api.records.plugins.list().await?;
    let mut stored = stored.iter().filter(|plugin| plugin.name == *name);
    if let Some(there) = stored.next().and_then(|plugin| plugin.release(version)) {
        there.is_repeated_by(&release).map_err(conflict)?;
    }
    let artifact = Artifact::new(name, Some(version.clone()), module);
    let configs = candidate.uses.iter().map(|used| &used.config);
    let Ok(_one) = CHECKS.try_acquire() else {
        return Err(Problem::conflict(
            "another release is being checked here: try again when it is done",
        ));
    };
    let checked = timeout(CHECK_TIME, api.plugins.check_with(artifact, configs)).await;
    let checked = checked.map_err(|_| {
        let seconds = CHECK_TIME.as_secs();
        let accepted = format!("as many as the plugin can be asked about within {seconds} s");
        FieldError::new("uses", candidate.uses.len(), accepted)
    })?;
    let (info, refused) = checked.map_err(|error| refusal("module", name, &error))?;
    let refused = refused.and_then(|(at, error)| Some((candidate.uses.get(at)?, error)));
    if let Some((used, error)) = refused {
        let hook = HookBinding {
            plugin: name.clone(),
            config: used.config.clone(),
        };
        return Err(hooks::refusal(&used.place, &hook, &error).into());
    }
    Ok(Json(ValidDto {
        sha256: info.sha256,
        signed_by: info.signed_by,
        hooks: info.hooks.iter().map(|hook| hook.as_str()).collect(),
    }))
}
