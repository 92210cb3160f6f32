//! Whether a job may have a plugin with a configuration: its schema says so, if it has one, and then the plugin itself is asked.

use std::sync::Arc;

use sandclock_core::job::MAX_HOOK_CONFIG_BYTES;
use serde_json::{Map, Value};

use crate::failure::{Failure, FailureCode};
use crate::instance::Scope;
use crate::limits::TEXT_BYTES;
use crate::plugin::{Hook, Plugin};
use crate::registry::Registry;
use crate::schema::ConfigSchema;
use crate::text;
use crate::threads::Lane;

/// Why a job cannot use a plugin as it wants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindingError {
    /// There is none of that name.
    #[error("plugin {name:?} is not installed: installed are {installed}")]
    Unknown {
        /// The name.
        name: String,
        /// The names there are.
        installed: String,
    },
    /// Configurations are JSON objects.
    #[error("config of plugin {name:?} is {found}: a JSON object is expected")]
    NotAnObject {
        /// The plugin.
        name: String,
        /// The type of the value.
        found: &'static str,
    },
    /// The plugin says what is wrong, or its schema.
    #[error("config of plugin {name:?}: {why}")]
    Refused {
        /// The plugin.
        name: String,
        /// In its words.
        why: String,
    },
    /// The plugin could not be asked.
    #[error("plugin {name:?} could not check its config: {failure}")]
    Failed {
        /// The plugin.
        name: String,
        /// How it failed.
        failure: Failure,
    },
}

impl Registry {
    /// See [`crate::PluginHost::check_binding`].
    pub(crate) async fn check_binding(
        &self,
        name: &str,
        config: &Value,
    ) -> Result<(), BindingError> {
        let Some(plugin) = self.get(name) else {
            let names: Vec<String> = self.names();
            let installed = match names.as_slice() {
                [] => "none".to_owned(),
                names => names.join(", "),
            };
            return Err(BindingError::Unknown {
                name: name.to_owned(),
                installed,
            });
        };
        accepts(&plugin, config).await
    }
}

/// Whether the plugin may have this configuration.
///
/// # Errors
/// Says what is wrong, in the plugin's words if they are its own.
pub(crate) async fn accepts(plugin: &Arc<Plugin>, config: &Value) -> Result<(), BindingError> {
    let name_owned = || plugin.name.to_string();
    if !config.is_object() && !config.is_null() {
        return Err(BindingError::NotAnObject {
            name: name_owned(),
            found: type_of(config),
        });
    }
    let bytes = config.to_string().len();
    if bytes > MAX_HOOK_CONFIG_BYTES {
        let why = format!(
            "config: {bytes} bytes, has to be at most {MAX_HOOK_CONFIG_BYTES} bytes of JSON"
        );
        return Err(BindingError::Refused {
            name: name_owned(),
            why,
        });
    }
    if let Some(schema) = &plugin.schema {
        fits(plugin, schema, config).await?;
    }
    if !plugin.hooks.has(Hook::Lifecycle) {
        return Ok(());
    }
    let limits = plugin.limits.lifecycle;
    let scope = Scope::without_run(config.clone());
    let checked = plugin.call_fresh(Hook::Lifecycle, limits, scope, move |instance| {
        instance.validate_config(limits)
    });
    checked.await.map_err(|failure| match failure.code {
        FailureCode::PluginError => BindingError::Refused {
            name: name_owned(),
            why: failure.text,
        },
        _ => BindingError::Failed {
            name: name_owned(),
            failure,
        },
    })
}

/// Whether the configuration is as the schema says. That computes for milliseconds, so it has a thread on which to.
async fn fits(
    plugin: &Arc<Plugin>,
    schema: &ConfigSchema,
    config: &Value,
) -> Result<(), BindingError> {
    let (runtime, schema) = (&plugin.runtime, schema.clone());
    // No configuration is an empty one.
    let config = match config {
        Value::Null => Value::Object(Map::new()),
        config => config.clone(),
    };
    let secrets = runtime.secrets.clone();
    let work = move || schema.check(&config, &secrets);
    let wall = runtime.limits.lifecycle.wall;
    let checked = runtime.threads.call(Lane::Patient, wall, work).await;
    let name = || plugin.name.to_string();
    let fits = checked.map_err(|failure| BindingError::Failed {
        name: name(),
        failure,
    })?;
    fits.map_err(|why| BindingError::Refused {
        name: name(),
        why: text::presentable(&runtime.secrets, &why, TEXT_BYTES),
    })
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
