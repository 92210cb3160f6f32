//! Who may do what: bearer tokens, stored as hashes, each with a role.
//!
//! Scheduling shell commands over a network is remote execution by design, so nothing is open by
//! default. A token is shown once, when it is made; the file keeps its SHA-256 only. That is enough for
//! a secret of 256 random bits: it cannot be guessed, so it needs no slow hash, and it is found by its
//! hash, so comparing leaks nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use anyhow::{anyhow, bail};
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sandclock_core::run::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Api;
use super::problem::Problem;

/// What a token allows; each role includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees everything.
    Viewer,
    /// Runs and kills.
    Operator,
    /// Changes jobs.
    Editor,
    /// Changes plugins and tokens.
    Admin,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Editor => "editor",
            Self::Admin => "admin",
        })
    }
}

/// A known token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with the name and the role of a token"
)]
pub struct TokenInfo {
    /// What people call it; stands in records of what it did.
    pub name: String,
    /// What it allows.
    pub role: Role,
}

/// A member of the file, as people are told.
const FORM: &str =
    r#""<SHA-256 of the token>": {"name": "...", "role": "viewer, operator, editor or admin"}"#;

/// What to do about a file that is of no use.
const BEGIN_ANEW: &str = "put a backup in its place, or remove it, and the next start makes an admin token and \
                          shows it (no other token is valid then)";

/// All known tokens, by the hash of each.
#[derive(Debug, Default)]
pub struct Tokens {
    by_hash: BTreeMap<String, TokenInfo>,
}

impl Tokens {
    /// The tokens of a file; none if there is no file yet.
    ///
    /// # Errors
    /// If the file cannot be read or is no token file.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => {
                let remedy = match error.kind() {
                    io::ErrorKind::PermissionDenied => "give this user the right to read it",
                    _ => BEGIN_ANEW,
                };
                bail!("{} cannot be read: {error}; {remedy}", path.display())
            }
        };
        let by_hash = serde_json::from_slice(&text).map_err(|error| {
            anyhow!(
                "{} is no token file: {error}; it holds an object with a member for each token, {FORM}: {BEGIN_ANEW}",
                path.display()
            )
        })?;
        Ok(Self { by_hash })
    }

    /// Makes a token that is known as long as `self` is. Returns it; nobody can find it out again.
    pub fn make(&mut self, info: TokenInfo) -> String {
        let token = format!("sandclock_{}", crate::random::token_hex(32));
        self.by_hash.insert(hash(&token), info);
        token
    }

    /// Makes a token and stores its hash in the file, which only its owner can read. Returns the token,
    /// which nobody can find out again.
    ///
    /// # Errors
    /// If the file cannot be written; no token is known then.
    pub fn create(&mut self, path: &Path, info: TokenInfo) -> anyhow::Result<String> {
        let token = self.make(info);
        let text = serde_json::to_vec_pretty(&self.by_hash)?;
        crate::private_file::write(path, &text)?;
        Ok(token)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// What a token allows, if it is known.
    pub fn find(&self, token: &str) -> Option<&TokenInfo> {
        self.by_hash.get(&hash(token))
    }
}

fn hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()), 32)
}

/// Lets a request pass whose token has at least the role; the token's name travels with it.
pub async fn require(
    State((api, role)): State<(Api, Role)>,
    mut request: Request,
    next: Next,
) -> Response {
    match admit(&api, role, &request) {
        Err(problem) => problem.into_response(),
        Ok(info) => {
            request.extensions_mut().insert(info);
            next.run(request).await
        }
    }
}

/// Whose request it is, if the token has at least the role.
pub(super) fn admit(api: &Api, role: Role, request: &Request) -> Result<TokenInfo, Problem> {
    let info = authenticate(api, request)?;
    if info.role < role {
        let detail = format!(
            "token {:?} has the role {}; {role} is needed",
            info.name, info.role
        );
        return Err(Problem::forbidden(detail));
    }
    Ok(info)
}

/// A route that does not exist answers 404 only to those who may know.
pub async fn unknown_route(State(api): State<Api>, request: Request) -> Problem {
    match authenticate(&api, &request) {
        Err(problem) => problem,
        Ok(_) => Problem::no_route(request.uri().path()),
    }
}

fn authenticate(api: &Api, request: &Request) -> Result<TokenInfo, Problem> {
    let header = request
        .headers()
        .get(header::AUTHORIZATION)
        .ok_or_else(|| {
            Problem::unauthorized("send the header \"Authorization: Bearer <token>\"")
        })?;
    let token = header
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| {
            Problem::unauthorized("the header must be \"Authorization: Bearer <token>\"")
        })?;
    let unknown = || Problem::unauthorized("this token is not known here");
    api.tokens.find(token).cloned().ok_or_else(unknown)
}
