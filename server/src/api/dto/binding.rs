//! A binding on the wire.

use std::collections::BTreeMap;

use sandclock_core::binding::{Binding, Selector, no_config};
use sandclock_core::job::HookBinding;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::document::FieldError;
use utoipa::ToSchema;

/// A binding as people write it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Binding, example = json!({
    "selector": { "prefix": "shop/" },
    "plugin": "webhook-alert",
    "config": { "target": "on-call" },
}))]
#[serde(deny_unknown_fields)]
pub struct BindingDto {
    /// Its identity. A request may leave it to the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which jobs it is for.
    pub selector: SelectorDto,
    /// The plugin.
    pub plugin: String,
    /// Its configuration for these jobs; default `{}`.
    #[serde(default = "no_config")]
    #[schema(value_type = Object)]
    pub config: Value,
    /// Bindings are asked from the lowest to the highest; default 0.
    #[serde(default)]
    pub order: i32,
    /// Whether it stays when a job names the plugin by itself; default false.
    #[serde(default)]
    pub required: bool,
}

/// Which jobs: all of them, or those that meet every condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Selector)]
#[serde(deny_unknown_fields)]
pub struct SelectorDto {
    /// All jobs; then there is no condition.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// What the job's name begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Labels that the job has, each with this value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl SelectorDto {
    /// As core has it; `field` is where it stands.
    ///
    /// # Errors
    /// Names the field that is not accepted.
    pub fn to_core(&self, field: &str) -> Result<Selector, FieldError> {
        if self.prefix.as_deref() == Some("") {
            let field = format!("{field}.prefix");
            return Err(FieldError::new(field, "\"\"", "at least one character"));
        }
        let conditions = self.prefix.is_some() || !self.labels.is_empty();
        let accepted = match (self.all, conditions) {
            (true, false) | (false, true) => {
                return Ok(Selector {
                    prefix: self.prefix.clone(),
                    labels: self.labels.clone(),
                });
            }
            (true, true) => "all = true alone, or a prefix and labels without it",
            (false, false) => "a prefix, labels, or all = true",
        };
        let value = serde_json::to_string(self).unwrap_or_default();
        Err(FieldError::new(field, value, accepted))
    }

    fn from_core(selector: &Selector) -> Self {
        Self {
            all: *selector == Selector::default(),
            prefix: selector.prefix.clone(),
            labels: selector.labels.clone(),
        }
    }
}

impl BindingDto {
    /// As core has it; `name` is the route's.
    ///
    /// # Errors
    /// Names the field that is not accepted.
    pub fn to_core(&self, name: &str) -> Result<Binding, FieldError> {
        if let Some(other) = self.name.as_ref().filter(|own| *own != name) {
            return Err(FieldError::new(
                "name",
                other,
                format!("{name}, as in the path"),
            ));
        }
        let config = match &self.config {
            Value::Null => no_config(),
            config if config.is_object() => config.clone(),
            config => return Err(FieldError::new("config", config, "an object")),
        };
        let binding = Binding {
            name: name.to_owned(),
            selector: self.selector.to_core("selector")?,
            hook: HookBinding {
                plugin: self.plugin.clone(),
                config,
            },
            order: self.order,
            required: self.required,
        };
        binding.check()?;
        Ok(binding)
    }

    /// With nothing but a name.
    pub fn named(name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..Self::default()
        }
    }

    /// From core.
    pub fn from_core(binding: &Binding) -> Self {
        Self {
            name: Some(binding.name.clone()),
            selector: SelectorDto::from_core(&binding.selector),
            plugin: binding.hook.plugin.clone(),
            config: binding.hook.config.clone(),
            order: binding.order,
            required: binding.required,
        }
    }
}
