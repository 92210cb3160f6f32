//! The tokens that are there from the start: those of an earlier release's file, or else a first one.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use sandclock_core::ErrorKind;
use sandclock_core::access::{self, Grant, Role, Token};
use sandclock_core::backend::Docs;
use sandclock_core::time::Clock;
use serde::Deserialize;

use super::secret;

/// The file in the data folder in which earlier releases kept tokens.
const FILE: &str = "tokens.json";

/// What it is called once its tokens are with the fleet.
const MOVED: &str = "tokens.json.moved";

/// The id of the first token: servers that start at the same moment make one.
const FIRST_ID: &str = "00000000";

/// A member of the file.
#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with the name and the role of a token"
)]
struct Earlier {
    name: String,
    role: String,
}

/// A member of the file, as people are told.
const FORM: &str =
    r#""<SHA-256 of the token>": {"name": "...", "role": "viewer, operator, editor or admin"}"#;

/// What to do about a file that is of no use.
const BEGIN_ANEW: &str = "put a backup in its place, or remove it: its tokens are of no use then, and a start without \
                          any token in the store makes an admin token and shows it";

/// Sees to it that tokens can be made: it takes over those of the file, and without one of an admin for everything and
/// for ever, that is made. Returns it, which nobody can find out again.
///
/// # Errors
/// If the file is of no use, or the store does not answer.
pub(crate) async fn ready(
    docs: &dyn Docs,
    clock: &dyn Clock,
    data: &Path,
) -> anyhow::Result<Option<String>> {
    take_over(docs, clock, data).await?;
    if !access::keep_the_door(&access::tokens(docs).await?).is_empty() {
        return Ok(None);
    }
    let text = secret::make(FIRST_ID);
    let token = Token {
        id: FIRST_ID.to_owned(),
        name: "admin".to_owned(),
        grant: Grant::unlimited(Role::Admin),
        hash: secret::hash(&text)?,
        created_at: clock.now(),
        created_by: "first start".to_owned(),
        expires_at: None,
    };
    match access::add(docs, &token).await {
        Ok(()) => Ok(Some(text)),
        // Another server was faster, and shows its own.
        Err(error) if error.kind == ErrorKind::Conflict => Ok(None),
        Err(error) => Err(error).context("keep the first token"),
    }
}

/// Gives the tokens of an earlier release's file to the fleet, once.
async fn take_over(docs: &dyn Docs, clock: &dyn Clock, data: &Path) -> anyhow::Result<()> {
    let path = data.join(FILE);
    let Some(found) = read(&path)? else {
        return Ok(());
    };
    for (fingerprint, Earlier { name, role }) in &found {
        let role = Role::parse(role);
        let role = role.ok_or_else(|| no_file(&path, "its roles are others"))?;
        let token = Token {
            id: secret::earlier_id(fingerprint),
            name: name.clone(),
            grant: Grant::unlimited(role),
            hash: secret::earlier_hash(fingerprint),
            created_at: clock.now(),
            created_by: path.display().to_string(),
            expires_at: None,
        };
        match access::add(docs, &token).await {
            Err(error) if error.kind == ErrorKind::InvalidConfig => {
                return Err(no_file(&path, error));
            }
            // Another host had the same file.
            Err(error) if error.kind != ErrorKind::Conflict => {
                return Err(error).with_context(|| format!("take over {}", path.display()));
            }
            _ => {}
        }
    }
    let moved = data.join(MOVED);
    match std::fs::rename(&path, &moved) {
        // Another server on the same folder has done all this.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        renamed => renamed.with_context(|| format!("rename {} to {MOVED}", path.display()))?,
    }
    tracing::info!(tokens = found.len(), file = %moved.display(), "tokens are kept with the fleet's jobs now");
    Ok(())
}

/// The tokens of a file, by the SHA-256 of each; `None` if there is no file.
fn read(path: &Path) -> anyhow::Result<Option<BTreeMap<String, Earlier>>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let remedy = match error.kind() {
                io::ErrorKind::PermissionDenied => "give this user the right to read it",
                _ => BEGIN_ANEW,
            };
            bail!("{} cannot be read: {error}; {remedy}", path.display())
        }
    };
    let found = serde_json::from_slice(&text);
    found.map(Some).map_err(|error| no_file(path, error))
}

fn no_file(path: &Path, why: impl Display) -> anyhow::Error {
    anyhow!(
        "{} is no token file: {why}; it holds an object with a member for each token, {FORM}: {BEGIN_ANEW}",
        path.display()
    )
}
