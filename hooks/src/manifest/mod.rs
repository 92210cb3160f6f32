//! What an author says of a plugin: its name, its version, and how little it needs.
//!
//! It is written as `plugin.toml` and travels inside of the artifact, so that the artifact is one file. It promises
//! nothing that is not checked: hooks that it names have to be there, and limits only go down.

mod field;
mod section;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::componentize::componentize;
use crate::host;
use crate::install::InstallError;
use crate::limits::HookLimits;
use crate::plugin::Hook;
use crate::schema::ConfigSchema;
use crate::text;

/// A plugin's manifest. The members are those of `plugin.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What it is.
    pub plugin: About,
    /// The hooks that it has, all of them; not checked if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<NamedHooks>,
    /// What it would like to be given beside what every plugin is.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// What is enough for it.
    #[serde(default)]
    pub limits: Enough,
    /// How it is configured; what the plugin itself says of a configuration holds beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Configuration>,
}

/// What a plugin is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Under this name it is installed, and under no other.
    #[serde(deserialize_with = "field::name")]
    pub name: String,
    /// What people call this release.
    #[serde(deserialize_with = "field::version")]
    pub version: String,
    /// The track of the contract that it is made for, such as `0.1`.
    #[serde(
        default,
        deserialize_with = "field::api",
        skip_serializing_if = "Option::is_none"
    )]
    pub api: Option<String>,
    /// One line for people who choose a plugin.
    #[serde(
        default,
        deserialize_with = "field::line",
        skip_serializing_if = "Option::is_none"
    )]
    pub description: Option<String>,
    /// An SPDX expression.
    #[serde(
        default,
        deserialize_with = "field::line",
        skip_serializing_if = "Option::is_none"
    )]
    pub license: Option<String>,
}

/// The hooks of a plugin by name, each with an empty table. Whether it checks configurations (`lifecycle`) is its own business.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct NamedHooks {
    /// Whether it decides on limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_policy: Option<NoSettings>,
    /// Whether it hides output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_redaction: Option<NoSettings>,
    /// Whether it tells of ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_end: Option<NoSettings>,
}

/// A hook has no settings yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// Effects that a plugin would like to have. It gets those that it imports and that the operator grants it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capabilities {
    /// Values that outlive a call.
    pub kv: bool,
    /// Targets of the operator's configuration to call.
    #[serde(deserialize_with = "field::targets")]
    pub http: Vec<String>,
    /// It does without what is not granted, and is told so when it tries.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// How a plugin is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// What a configuration may be: JSON Schema.
    pub schema: ConfigSchema,
}

/// Limits that the plugin keeps to. Where the operator's are lower, those hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Enough {
    /// Bytes of memory of one instance, at least 64 KiB; in `plugin.toml` also `"32MiB"`.
    #[serde(
        deserialize_with = "field::memory",
        skip_serializing_if = "Option::is_none"
    )]
    pub memory: Option<usize>,
    /// Milliseconds of processor time of any call, at least 1.
    #[serde(
        deserialize_with = "field::millis",
        skip_serializing_if = "Option::is_none"
    )]
    pub cpu_ms: Option<u32>,
}

impl Manifest {
    /// The manifest inside of an artifact; `None` if there is none, or the bytes are no wasm.
    ///
    /// # Errors
    /// If there is one that is not accepted.
    pub fn of(artifact: &[u8]) -> Result<Option<Self>, InstallError> {
        let Some(text) = section::find(artifact).map_err(refused)? else {
            return Ok(None);
        };
        let tree: Value =
            serde_json::from_slice(text).map_err(|error| refused(error.to_string()))?;
        let manifest = serde_path_to_error::deserialize(&tree).map_err(|error| {
            let (field, value) = field::at(&tree, error.path());
            let value = field::shown(value);
            refused(format!(
                "{field}: {value} is not accepted: {}",
                error.inner()
            ))
        })?;
        Ok(Some(manifest))
    }

    /// What a build makes of a module, as an artifact: a component, with this manifest and the contract's track in it.
    ///
    /// # Errors
    /// If the module is none, or carries a manifest already.
    pub fn embed(&self, module: &[u8]) -> Result<Vec<u8>, InstallError> {
        let mut artifact = componentize(module, None)?;
        if section::find(&artifact).map_err(refused)?.is_some() {
            return Err(refused("the module has one already"));
        }
        let mut whole = self.clone();
        whole
            .plugin
            .api
            .get_or_insert_with(|| host::track().to_owned());
        let text = serde_json::to_vec(&whole).map_err(|error| refused(error.to_string()))?;
        section::append(&mut artifact, &text);
        Ok(artifact)
    }

    /// Whether an artifact with these hooks may be installed under this name, as this version.
    ///
    /// # Errors
    /// Names what the manifest says otherwise.
    pub(crate) fn check(
        &self,
        name: &str,
        version: Option<&str>,
        has: impl Fn(Hook) -> bool,
    ) -> Result<(), InstallError> {
        let About {
            name: own,
            version: own_version,
            ..
        } = &self.plugin;
        if own != name {
            return Err(refused(format!(
                "it names the plugin {own}, which cannot be installed as {name}"
            )));
        }
        if let Some(version) = version.filter(|version| version != own_version) {
            return Err(refused(format!(
                "it names the version {own_version}, which cannot be released as {version}"
            )));
        }
        let Some(named) = &self.hooks else {
            return Ok(());
        };
        let named = BTreeMap::from([
            (Hook::TimeoutPolicy, named.timeout_policy.is_some()),
            (Hook::OutputRedaction, named.output_redaction.is_some()),
            (Hook::RunEnd, named.run_end.is_some()),
        ]);
        for (hook, named) in named {
            let hook_name = hook.as_str();
            match (named, has(hook)) {
                (true, false) => {
                    return Err(refused(format!(
                        "it names the hook {hook_name}, which the plugin does not export"
                    )));
                }
                (false, true) => {
                    return Err(refused(format!(
                        "the plugin exports the hook {hook_name}, which its list of hooks lacks"
                    )));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The operator's limits, or what is enough for the plugin where that is less.
    pub(crate) fn limits(&self, operators: HookLimits) -> HookLimits {
        operators.lowered(self.limits.cpu_ms, self.limits.memory)
    }
}

/// A refusal in whose words nothing of the manifest acts.
fn refused(why: impl AsRef<str>) -> InstallError {
    InstallError::Manifest {
        why: text::plain(why.as_ref()),
    }
}
