//! Secrets of the fleet, as servers see them: sealed. What opens them is with the workers.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sandclock_core::vault::{self, MAX_SECRETS, SealedSecret, StoredSecret};
use sandclock_core::{ErrorKind, Timestamp};
use serde::{Deserialize, Serialize};

use super::Api;
use super::dto::run::ListDto;
use super::input::{Body, Id};
use super::problem::Problem;
use crate::access::Caller;
use crate::document::{self, FieldError};

/// A secret to be kept.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[schema(as = NewSecret)]
#[serde(deny_unknown_fields)]
pub struct NewSecret {
    /// The id of the key that it is sealed with.
    #[schema(min_length = 1, max_length = 100)]
    key: String,
    /// The value, sealed as the operator's guide says: base64 of a nonce and AES-256-GCM.
    #[schema(min_length = 1, max_length = 49_152)]
    sealed: String,
}

/// A secret, without what is sealed.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[schema(as = Secret)]
pub struct SecretView {
    /// What jobs call it.
    name: String,
    /// The id of the key that opens it.
    key: String,
    /// When it was set.
    set_at: Option<String>,
    /// By whom.
    set_by: String,
    /// Why it cannot be read, and is of no use.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<String>,
}

impl SecretView {
    fn of(stored: StoredSecret) -> Self {
        match stored.secret {
            Ok(secret) => Self {
                name: stored.name,
                key: secret.key,
                set_at: Some(secret.set_at.to_string()),
                set_by: secret.set_by,
                broken: None,
            },
            Err(error) => Self {
                name: stored.name,
                key: String::new(),
                set_at: None,
                set_by: String::new(),
                broken: Some(error.reason()),
            },
        }
    }
}

/// All secrets, by name, without their values.
#[utoipa::path(
    get,
    path = "/secrets",
    operation_id = "secret.list",
    tag = "secrets",
    responses((status = 200, description = "The secrets", body = ListDto<SecretView>)),
)]
pub async fn list(State(api): State<Api>) -> Result<Json<ListDto<SecretView>>, Problem> {
    let stored = vault::secrets(&*api.coordination.docs).await?;
    let items = stored.into_iter().map(SecretView::of).collect();
    Ok(Json(ListDto::new(items, None)))
}

/// Keeps a sealed secret, in the place of an earlier one. Runs that start more than a second later get it.
#[utoipa::path(
    put,
    path = "/secrets/{name}",
    operation_id = "secret.put",
    tag = "secrets",
    params(("name" = String, Path, description = "The secret's name")),
    request_body = NewSecret,
    responses((status = 204, description = "It is kept")),
)]
pub async fn put(
    State(api): State<Api>,
    who: Caller,
    Id(name): Id,
    Body(body): Body,
) -> Result<StatusCode, Problem> {
    let asked: NewSecret = document::read(&document::parse_json(&body)?)?;
    let now: Timestamp = api.clock.now();
    let secret = SealedSecret {
        name,
        key: asked.key,
        sealed: asked.sealed,
        set_at: now,
        set_by: who.name,
    };
    secret.check().map_err(FieldError::from)?;
    let docs = &*api.coordination.docs;
    let known = vault::secrets(docs).await?;
    let is_new = known.iter().all(|stored| stored.name != secret.name);
    if is_new && known.len() >= MAX_SECRETS {
        let accepted = format!("at most {MAX_SECRETS} secrets: remove one that no job names");
        return Err(FieldError::new("name", secret.name, accepted).into());
    }
    vault::set(docs, &secret).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets a secret. Runs that name it fail from then on.
#[utoipa::path(
    delete,
    path = "/secrets/{name}",
    operation_id = "secret.delete",
    tag = "secrets",
    params(("name" = String, Path, description = "The secret's name")),
    responses((status = 204, description = "It is forgotten")),
)]
pub async fn delete(State(api): State<Api>, Id(name): Id) -> Result<StatusCode, Problem> {
    match vault::remove(&*api.coordination.docs, &name).await {
        Err(error) if error.kind == ErrorKind::NotFound => {
            Err(Problem::not_found(format!("there is no secret {name}")))
        }
        removed => Ok(removed.map(|()| StatusCode::NO_CONTENT)?),
    }
}
