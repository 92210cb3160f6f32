//! Whether a job may have a plugin with a configuration: its schema says so, if it has one, and then the plugin itself is asked.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::failure::{Failure, FailureCode};
use crate::instance::Scope;
use crate::limits::TEXT_BYTES;
use crate::plugin::{Hook, Plugin};
use crate::registry::Registry;
use crate::text;

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
    if let Some(schema) = &plugin.schema {
        // No configuration is an empty one.
        let none = Value::Object(Map::new());
        let config = if config.is_null() { &none } else { config };
        let secrets = &plugin.runtime.secrets;
        schema.check(config).map_err(|why| BindingError::Refused {
            name: name_owned(),
            why: text::presentable(secrets, &why, TEXT_BYTES),
        })?;
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
