//! Whether a plugin is only monitored.

use axum::extract::State;
use axum::http::StatusCode;
use sandclock_core::ErrorKind;
use sandclock_core::backend::PluginMode;
use serde::Deserialize;

use super::Api;
use super::input::{Body, Id, body};
use super::problem::Problem;
use crate::document::FieldError;
use crate::request;

/// The body of `PUT /plugins/{name}/mode`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = PluginModeChange)]
#[serde(deny_unknown_fields)]
pub struct ModeBody {
    /// `enforce` or `monitor`.
    mode: String,
}

/// Reads a mode.
///
/// # Errors
/// If it is neither.
pub fn parse(text: &str) -> Result<PluginMode, FieldError> {
    let refused = || FieldError::new("mode", text, "monitor or enforce");
    PluginMode::parse(text).ok_or_else(refused)
}

/// Says what becomes of a plugin's answers, here at once and elsewhere soon.
#[utoipa::path(
    put,
    path = "/plugins/{name}/mode",
    operation_id = "plugin.mode",
    tag = "plugins",
    params(("name" = String, Path, description = "The plugin")),
    request_body = ModeBody,
    responses((status = 204, description = "It is in that mode")),
)]
pub async fn set(
    State(api): State<Api>,
    Id(name): Id,
    Body(bytes): Body,
) -> Result<StatusCode, Problem> {
    let asked: ModeBody = body(&bytes)?;
    change(&api, &name, parse(&asked.mode)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Keeps the mode of a plugin of which a release was pushed; it holds here at once.
///
/// # Errors
/// `NotFound`, with what to do, for one of which none was.
pub async fn change(api: &Api, name: &str, mode: PluginMode) -> Result<(), Problem> {
    let set = api.records.plugins.set_mode(name, mode).await;
    set.map_err(|error| match error.kind {
        ErrorKind::NotFound => Problem::not_found(format!(
            "no release of plugin {name} was pushed: push one, which then has a mode"
        )),
        _ => error.into(),
    })?;
    request::in_time(api.rollout.follow()).await;
    Ok(())
}
