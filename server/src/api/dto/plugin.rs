//! A plugin on the wire.

use std::collections::BTreeMap;

use sandclock_core::backend::Release;
use sandclock_hooks::schema::Member;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A plugin.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Plugin)]
#[expect(
    missing_docs,
    reason = "the members are those of the plugin's information"
)]
pub struct PluginDto {
    pub name: String,
    pub version: Option<String>,
    /// What the module's manifest says that it is for.
    pub description: Option<String>,
    /// The JSON Schema of its configuration, if its manifest has one.
    #[schema(value_type = Option<Object>)]
    pub config_schema: Option<Value>,
    /// The same for people: its members, on a line each.
    #[schema(value_type = Vec<Object>)]
    pub config_members: Vec<Member>,
    /// The version of the plugin contract.
    pub api: String,
    pub hooks: Vec<String>,
    /// What it may do beside answering: `kv`, and `http:` with a target.
    pub capabilities: Vec<String>,
    /// What its manifest asks for, in the same words.
    pub requested: Vec<String>,
    /// What the configuration of this server grants it, in the same words.
    pub granted: Vec<String>,
    /// The hooks for which this process does not call it now, because it failed too often: for so many configurations,
    /// and of redactors on so many streams.
    pub open_breakers: BTreeMap<String, u64>,
    pub sha256: String,
    /// The operator's name for the key that has signed it, if a trusted one has.
    pub signed_by: Option<String>,
    pub size_bytes: usize,
    /// `ready`, why a newer version could not be installed, or why none is in service here.
    pub status: String,
    /// How the last call that failed did so.
    pub last_failure: Option<String>,
    /// The version that the fleet serves; none for a standard plugin that nobody has replaced.
    pub serving: Option<String>,
    /// The version that served before.
    pub before: Option<String>,
    /// The version that is asked beside it and decides nothing.
    pub shadow: Option<String>,
    /// Why this server does not ask it.
    pub shadow_refused: Option<String>,
    /// `enforce`, or `monitor` if nothing follows from its answers.
    pub mode: String,
    /// All that were pushed, the last one first.
    pub releases: Vec<ReleaseDto>,
}

impl PluginDto {
    /// Leaves what an operator decided: the releases, and what is to be done with which. The rest follows from the
    /// modules, or is of this server and this moment. A member that is added here is carried by exports unless it is
    /// named.
    pub(crate) fn leave_decisions(plugin: &mut Value) {
        let filled_in = [
            "version",
            "description",
            "config_schema",
            "config_members",
            "api",
            "hooks",
            "capabilities",
            "requested",
            "granted",
            "open_breakers",
            "sha256",
            "signed_by",
            "size_bytes",
            "status",
            "last_failure",
            "shadow_refused",
        ];
        let of_release = ["size_bytes", "pushed_by", "pushed_at"];
        let remove = |value: &mut Value, names: &[&str]| {
            if let Some(members) = value.as_object_mut() {
                members.retain(|name, _| !names.contains(&name.as_str()));
            }
        };
        remove(plugin, &filled_in);
        let releases = plugin.get_mut("releases").and_then(Value::as_array_mut);
        for release in releases.into_iter().flatten() {
            remove(release, &of_release);
        }
    }
}

/// The bytes of a module, as a body.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "only the API's document speaks of it")]
pub struct ModuleFile(Vec<u8>);

/// A release.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Release)]
#[expect(missing_docs, reason = "the members are those of the release")]
pub struct ReleaseDto {
    pub version: String,
    pub sha256: String,
    pub size_bytes: u64,
    pub pushed_by: String,
    pub pushed_at: String,
}

impl ReleaseDto {
    /// From the store.
    pub fn of(release: &Release) -> Self {
        Self {
            version: release.version.clone(),
            sha256: release.digest.to_string(),
            size_bytes: release.bytes,
            pushed_by: release.pushed_by.clone(),
            pushed_at: release.pushed_at.to_string(),
        }
    }
}
