//! Whether a job or a binding may have its plugins, and if not, which member is at fault.
//!
//! A plugin objects in its own words. By contract they begin with the path of the member that they
//! are about (`config.words[1]: …`); where there is such a member, the refusal is of that field.

use sandclock_core::job::{HookBinding, Job};
use sandclock_hooks::BindingError;
use serde::Deserialize;
use serde_json::Value;

use super::Api;
use super::problem::Problem;
use crate::document::FieldError;

/// The query of a validation that is part of a larger one.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ValidateQuery {
    /// Names of plugins with commas between them: they are about to come, and are judged when they do.
    coming: Option<String>,
}

impl ValidateQuery {
    fn leaves_out(&self, plugin: &str) -> bool {
        let mut coming = self.coming.iter().flat_map(|names| names.split(','));
        coming.any(|name| name == plugin)
    }
}

/// Every plugin exists and accepts its configuration, but for those that are left out.
///
/// # Errors
/// Names the member of the first binding that is not accepted.
pub async fn check(api: &Api, job: &Job, but: &ValidateQuery) -> Result<(), Problem> {
    for (at, hook) in job.hooks.iter().enumerate() {
        check_one(api, hook, &format!("hooks[{at}]."), but).await?;
    }
    Ok(())
}

/// The plugin exists and accepts its configuration, unless it is left out.
///
/// # Errors
/// Names the member that is not accepted, after `place`.
pub async fn check_one(
    api: &Api,
    hook: &HookBinding,
    place: &str,
    but: &ValidateQuery,
) -> Result<(), Problem> {
    if but.leaves_out(&hook.plugin) {
        return Ok(());
    }
    api.rollout.fetch_if(!api.plugins.has(&hook.plugin)).await;
    let checked = api.plugins.check_binding(&hook.plugin, &hook.config).await;
    checked.map_err(|error| refusal(place, hook, &error).into())
}

/// What a job's plugins are told to use that is not there.
pub fn warnings(api: &Api, job: &Job) -> Vec<String> {
    let hooks = job.hooks.iter().enumerate();
    let warnings = hooks.filter_map(|(at, hook)| warning(api, hook, &format!("hooks[{at}].")));
    warnings.collect()
}

/// What this one is told to use that is not there. By convention `target` of a plugin's configuration is where its alerts go;
/// the operator may yet add it, so that it is no reason to refuse anything.
pub fn warning(api: &Api, hook: &HookBinding, place: &str) -> Option<String> {
    let target = hook.config.get("target")?.as_str()?;
    let known = &api.alert_targets;
    (!known.contains(target)).then(|| {
        let known: Vec<_> = known.iter().map(String::as_str).collect();
        let known = known.join(", ");
        format!("{place}config.target: no alert target is called {target:?}; there are {known}")
    })
}

/// Why a plugin is not bound, about the hook whose path `place` is, with a dot at its end unless it is empty.
pub fn refusal(place: &str, hook: &HookBinding, error: &BindingError) -> FieldError {
    let field = |path: &str| format!("{place}{path}");
    match error {
        BindingError::Refused { why, .. } => match member(&hook.config, why) {
            Some((path, value, why)) => FieldError::new(field(path), value, why),
            None => FieldError::new(field("config"), &hook.config, why),
        },
        BindingError::NotAnObject { .. } => {
            FieldError::new(field("config"), &hook.config, error.to_string())
        }
        _ => FieldError::new(field("plugin"), &hook.plugin, error.to_string()),
    }
}

/// The path that `why` begins with, what stands there, and the rest. `None` if nothing stands there.
fn member<'a>(config: &'a Value, why: &'a str) -> Option<(&'a str, &'a Value, &'a str)> {
    let (path, rest) = why.split_once(": ")?;
    let inside = path.strip_prefix("config")?;
    Some((path, find(config, inside)?, rest))
}

/// What stands at a path such as `.words[1]`.
fn find<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() {
        return Some(value);
    }
    let begin = |rest: &str| rest.find(['.', '[']).unwrap_or(rest.len());
    let (value, rest) = if let Some(named) = path.strip_prefix('.') {
        let (name, rest) = named.split_at(begin(named));
        (value.get(name)?, rest)
    } else {
        let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
        (value.get(index.parse::<usize>().ok()?)?, rest)
    };
    find(value, rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_is_of_the_member_that_the_plugin_names() {
        let config = json!({ "words": ["long", { "a": "x" }], "b c": 1, "d.e": 2 });
        let cases = [
            (
                "config.words[1].a: wrong",
                "config.words[1].a: \"x\" is not accepted: wrong",
            ),
            (
                "config.words[0]: a: b",
                "config.words[0]: \"long\" is not accepted: a: b",
            ),
            ("config.b c: wrong", "config.b c: 1 is not accepted: wrong"),
        ];
        let told = |why: &str| {
            let hook = HookBinding {
                plugin: "p".to_owned(),
                config: config.clone(),
            };
            let (name, why) = ("p".to_owned(), why.to_owned());
            refusal("hooks[2].", &hook, &BindingError::Refused { name, why }).to_string()
        };
        for (why, expected) in cases {
            assert_eq!(told(why), format!("hooks[2].{expected}"));
        }
        let whole = [
            "config: lacks a member",
            "config.d.e: wrong",
            "config.words[9]: wrong",
            "config.words[x]: wrong",
            "config.words[1: wrong",
            "configs: wrong",
            "in words of its own",
        ];
        for why in whole {
            let told = told(why);
            assert!(told.starts_with("hooks[2].config: {"), "{told}");
            let rest = why.strip_prefix("config: ").unwrap_or(why);
            assert!(
                told.ends_with(&format!("is not accepted: {rest}")),
                "{told}"
            );
        }
    }
}
