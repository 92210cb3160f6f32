//! The plugins that are loaded, and how they have been doing.

use axum::Json;
use axum::extract::State;
use sandclock_hooks::{PluginInfo, PluginStatus};
use serde::{Deserialize, Serialize};

use super::Api;
use super::dto::run::ListDto;

/// A plugin.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the members are those of the plugin's information"
)]
pub struct PluginDto {
    pub name: String,
    pub version: Option<String>,
    /// The version of the plugin contract.
    pub api: String,
    pub hooks: Vec<String>,
    pub sha256: String,
    pub size_bytes: usize,
    /// `ready`, or why a newer version could not be installed.
    pub status: String,
    /// How the last call that failed did so.
    pub last_failure: Option<String>,
}

/// `GET /plugins`
pub async fn list(State(api): State<Api>) -> Json<ListDto<PluginDto>> {
    let items = api.plugins.list().into_iter().map(dto).collect();
    Json(ListDto::new(items, None))
}

fn dto(info: PluginInfo) -> PluginDto {
    PluginDto {
        name: info.name,
        version: info.version,
        api: info.api.to_owned(),
        hooks: info
            .hooks
            .iter()
            .map(|hook| hook.as_str().to_owned())
            .collect(),
        sha256: info.sha256,
        size_bytes: info.bytes,
        status: match info.status {
            PluginStatus::Ready => "ready".to_owned(),
            PluginStatus::Outdated(why) => format!("a newer version was refused: {why}"),
        },
        last_failure: info.last_failure.map(|failure| failure.to_string()),
    }
}
