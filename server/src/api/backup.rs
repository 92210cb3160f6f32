//! What a backup holds beside what the lists show.

use axum::Json;
use axum::extract::State;
use sandclock_core::vault;
use serde::{Deserialize, Serialize};

use super::Api;
use super::problem::Problem;

/// What no list shows, for a backup.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = BackupPart)]
pub struct BackupPart {
    /// The fleet's secrets as they are kept: sealed, so that only a worker's key opens them. By name.
    pub secrets: Vec<SealedView>,
    /// How far each job has got, by name.
    pub marks: Vec<MarkView>,
}

/// A secret as it is kept.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = SealedSecret)]
#[serde(deny_unknown_fields)]
pub struct SealedView {
    /// What jobs call it.
    pub name: String,
    /// The id of the key that opens it.
    pub key: String,
    /// The sealed value.
    pub sealed: String,
}

/// How far a job has got.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Mark)]
#[serde(deny_unknown_fields)]
pub struct MarkView {
    /// The job.
    pub job: String,
    /// Its last decided fire time, RFC 3339.
    pub at: String,
}

/// What a backup holds beside what the lists show: sealed secrets, and the last decided fire time of each job. Secrets that
/// cannot be read are left out; their list names them.
#[utoipa::path(
    get,
    path = "/backup",
    operation_id = "backup.get",
    tag = "api",
    responses((status = 200, description = "Sealed secrets and marks", body = BackupPart)),
)]
pub async fn get(State(api): State<Api>) -> Result<Json<BackupPart>, Problem> {
    let stored = vault::secrets(&*api.coordination.docs).await?;
    let sealed = stored.into_iter().filter_map(|stored| stored.secret.ok());
    let secrets = sealed.map(|secret| SealedView {
        name: secret.name,
        key: secret.key,
        sealed: secret.sealed,
    });
    let (view, _) = api.coordination.feed.snapshot().await?;
    let marks = view.marks.into_iter().map(|(job, mark)| MarkView {
        job: job.to_string(),
        at: mark.value.at.to_string(),
    });
    let mut marks: Vec<_> = marks.collect();
    marks.sort_by(|one, other| one.job.cmp(&other.job));
    Ok(Json(BackupPart {
        secrets: secrets.collect(),
        marks,
    }))
}
