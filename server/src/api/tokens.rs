//! Tokens: who may do what, made and taken away by admins.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sandclock_core::access::{self, Grant, Role, StoredToken, Token, TokenUse};
use sandclock_core::{ErrorKind, Timestamp};
use serde::{Deserialize, Serialize};

use super::Api;
use super::dto::run::ListDto;
use super::input::{Body, Id};
use super::problem::Problem;
use crate::access::{Caller, hash, is_earlier, make, new_id};
use crate::document::{self, FieldError};

/// The longest that a token may be asked to last, in seconds: ten years.
const MAX_LIFE_S: u64 = 10 * 365 * 86_400;

/// What a role is called.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Role)]
pub enum RoleDto {
    /// Sees.
    Viewer,
    /// Runs and kills.
    Operator,
    /// Changes jobs.
    Editor,
    /// Changes plugins, bindings and tokens.
    Admin,
}

impl From<RoleDto> for Role {
    fn from(role: RoleDto) -> Self {
        match role {
            RoleDto::Viewer => Self::Viewer,
            RoleDto::Operator => Self::Operator,
            RoleDto::Editor => Self::Editor,
            RoleDto::Admin => Self::Admin,
        }
    }
}

impl From<Role> for RoleDto {
    fn from(role: Role) -> Self {
        match role {
            Role::Viewer => Self::Viewer,
            Role::Operator => Self::Operator,
            Role::Editor => Self::Editor,
            Role::Admin => Self::Admin,
        }
    }
}

/// A token to be made.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[schema(as = NewToken, example = json!({
    "name": "deploys of the shop",
    "role": "editor",
    "prefixes": ["shop/"],
    "expires_in_s": 7_776_000,
}))]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What people call it: 1 to 100 bytes in one line.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What it allows.
    role: RoleDto,
    /// What the names of its jobs begin with, at most 20; none is all jobs, and whatever is not about one job.
    #[serde(default)]
    #[schema(max_items = 20)]
    prefixes: Vec<String>,
    /// In how many seconds it expires, from 1 to ten years; without it, it does not.
    #[schema(minimum = 1, maximum = 315_360_000)]
    expires_in_s: Option<u64>,
}

/// A token, without its secret.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[schema(as = Token)]
pub struct TokenDto {
    /// What it is recognised by: it stands in the token behind `sandclock_`.
    id: String,
    /// What people call it.
    name: String,
    /// What it allows.
    role: Option<RoleDto>,
    /// What the names of its jobs begin with; none is all.
    prefixes: Vec<String>,
    /// When it was made.
    created_at: Option<String>,
    /// Who made it.
    created_by: String,
    /// From when on it is of no use.
    expires_at: Option<String>,
    /// Whether that is over.
    expired: bool,
    /// When it was used last, to the minute.
    used_at: Option<String>,
    /// From which address that was.
    used_from: Option<String>,
    /// Why it cannot be read, and is of no use.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<String>,
}

/// A token that was made.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[schema(as = MadeToken)]
pub struct MadeToken {
    /// The token itself. It is shown this once.
    token: String,
    /// What is kept of it.
    #[serde(flatten)]
    kept: TokenDto,
}

impl TokenDto {
    fn of(token: Token, used: Option<&TokenUse>, now: Timestamp) -> Self {
        Self {
            expired: token.has_expired(now),
            id: token.id,
            name: token.name,
            role: Some(token.grant.role.into()),
            prefixes: token.grant.prefixes,
            created_at: Some(token.created_at.to_string()),
            created_by: token.created_by,
            expires_at: token.expires_at.map(|at| at.to_string()),
            used_at: used.map(|used| used.at.to_string()),
            used_from: used.map(|used| used.from.clone()),
            broken: None,
        }
    }

    fn broken(id: String, why: String) -> Self {
        Self {
            id,
            name: String::new(),
            role: None,
            prefixes: Vec::new(),
            created_at: None,
            created_by: String::new(),
            expires_at: None,
            expired: false,
            used_at: None,
            used_from: None,
            broken: Some(why),
        }
    }
}

/// All tokens, by id, without their secrets.
#[utoipa::path(
    get,
    path = "/tokens",
    operation_id = "token.list",
    tag = "tokens",
    responses((status = 200, description = "The tokens", body = ListDto<TokenDto>)),
)]
pub async fn list(State(api): State<Api>) -> Result<Json<ListDto<TokenDto>>, Problem> {
    let docs = &*api.coordination.docs;
    let tokens = access::tokens(docs).await?;
    let uses = access::uses(docs).await?;
    let uses: BTreeMap<_, _> = uses.iter().map(|used| (&*used.id, used)).collect();
    let now = api.clock.now();
    let shown = |stored: StoredToken| match stored.token {
        Ok(token) => TokenDto::of(token, uses.get(&*stored.id).copied(), now),
        Err(error) => TokenDto::broken(stored.id, error.reason()),
    };
    let items = tokens.into_iter().map(shown).collect();
    Ok(Json(ListDto::new(items, None)))
}

/// Makes a token, and shows it this once.
#[utoipa::path(
    post,
    path = "/tokens",
    operation_id = "token.create",
    tag = "tokens",
    request_body = NewToken,
    responses((status = 201, description = "It was made", body = MadeToken)),
)]
pub async fn create(
    State(api): State<Api>,
    who: Caller,
    Body(body): Body,
) -> Result<Response, Problem> {
    let asked: NewToken = document::read(&document::parse_json(&body)?)?;
    let now = api.clock.now();
    let life = match asked.expires_in_s {
        Some(seconds) if !(1..=MAX_LIFE_S).contains(&seconds) => {
            let accepted = format!("a number from 1 to {MAX_LIFE_S}");
            return Err(FieldError::new("expires_in_s", seconds, accepted).into());
        }
        life => life.map(Duration::from_secs),
    };
    let id = new_id();
    let text = make(&id);
    let hashed = {
        let text = text.clone();
        tokio::task::spawn_blocking(move || hash(&text)).await
    };
    let failed = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "a token could not be hashed");
        Problem::unexpected()
    };
    let hash = hashed
        .map_err(|error| failed(&error))?
        .map_err(|error| failed(&error))?;
    let token = Token {
        id,
        name: asked.name,
        grant: Grant {
            role: asked.role.into(),
            prefixes: asked.prefixes,
        },
        hash,
        created_at: now,
        created_by: who.name,
        expires_at: life.map(|life| now.plus(life)),
    };
    token.check().map_err(FieldError::from)?;
    access::add(&*api.coordination.docs, &token).await?;
    api.gate.made();
    let made = MadeToken {
        token: text,
        kept: TokenDto::of(token, None, now),
    };
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

/// Takes a token away. Within two seconds no server lets it in any more.
///
/// The last one that is an admin's, for everything and for ever, stays: without it nobody could make another.
#[utoipa::path(
    delete,
    path = "/tokens/{id}",
    operation_id = "token.revoke",
    tag = "tokens",
    params(("id" = String, Path, description = "The token's id")),
    responses((status = 204, description = "It is of no use any more")),
)]
pub async fn revoke(State(api): State<Api>, Id(id): Id) -> Result<StatusCode, Problem> {
    let docs = &*api.coordination.docs;
    let tokens = access::tokens(docs).await?;
    let found = tokens.iter().find(|stored| stored.id == id);
    let found = found.ok_or_else(|| no_token(&id))?;
    if access::keep_the_door(&tokens) == [&*id] {
        return Err(last(&id));
    }
    let token = found.token.as_ref().ok();
    match token.filter(|token| is_earlier(&token.hash)) {
        Some(token) => access::end(docs, token, api.clock.now()).await?,
        None => match access::revoke(docs, &id).await {
            Err(error) if error.kind == ErrorKind::NotFound => return Err(no_token(&id)),
            revoked => revoked?,
        },
    }
    api.gate.revoked(&id);
    // Somebody else may have revoked the other one meanwhile.
    let left = access::tokens(docs).await?;
    let token = token.filter(|_| access::keep_the_door(&left).is_empty());
    if let Some(token) = token {
        access::restore(docs, token).await?;
        api.gate.made();
        return Err(last(&id));
    }
    if let Err(error) = access::forget_use(docs, &id).await {
        tracing::warn!(token = id, %error, "it stays written when a revoked token was used");
    }
    Ok(StatusCode::NO_CONTENT)
}

fn last(id: &str) -> Problem {
    Problem::conflict(format!(
        "{id} is the last token of an admin that is for everything and does not expire: make another one first"
    ))
}

/// What is kept of a token; `None` if there is none of this id.
pub(super) async fn shown(api: &Api, id: &str) -> Option<TokenDto> {
    let tokens = access::tokens(&*api.coordination.docs).await.ok()?;
    let stored = tokens.into_iter().find(|stored| stored.id == id)?;
    let token = stored.token.ok()?;
    Some(TokenDto::of(token, None, api.clock.now()))
}

fn no_token(id: &str) -> Problem {
    Problem::not_found(format!("there is no token {id}"))
}
