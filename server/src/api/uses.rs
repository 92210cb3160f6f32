//! Who uses a plugin: the bindings and the jobs that name it. A change of the plugin asks here whom it would touch.

use std::collections::BTreeSet;

use sandclock_core::binding;
use sandclock_core::job::HookBinding;
use sandclock_hooks::{BindingError, Hook, PluginInfo};

use super::problem::Problem;
use super::{Api, hooks};

/// How many are named where there are many.
const NAMED: usize = 3;

/// A plugin with its configuration, where it is used.
#[derive(Debug)]
pub struct Use {
    /// `binding NAME` or `job NAME`.
    by: String,
    /// What the paths of its members begin with: `hooks[1].`.
    place: String,
    /// What is said to the plugin.
    pub hook: HookBinding,
}

/// All uses of a plugin, those by bindings first.
///
/// # Errors
/// If the fleet's documents cannot be read.
pub async fn of(api: &Api, plugin: &str) -> Result<Vec<Use>, Problem> {
    let is_meant = |hook: &HookBinding| hook.plugin == plugin;
    let bindings = binding::list(&*api.coordination.docs).await?;
    let bindings = bindings
        .into_iter()
        .filter_map(|stored| stored.binding.ok())
        .filter(|binding| is_meant(&binding.hook));
    let mut uses: Vec<_> = bindings
        .map(|binding| Use {
            by: format!("binding {}", binding.name),
            place: String::new(),
            hook: binding.hook,
        })
        .collect();
    for stored in api.coordination.jobs.snapshot().await?.jobs {
        let hooks = stored.job.hooks.iter().enumerate();
        let meant = hooks.filter(|(_, hook)| is_meant(hook));
        uses.extend(meant.map(|(at, hook)| Use {
            by: format!("job {}", stored.job.name),
            place: format!("hooks[{at}]."),
            hook: hook.clone(),
        }));
    }
    Ok(uses)
}

/// Each configuration once: many jobs have the same.
pub fn distinct(uses: &[Use]) -> Vec<&Use> {
    let mut seen = BTreeSet::new();
    let mut uses: Vec<_> = uses.iter().collect();
    uses.retain(|used| seen.insert(used.hook.config.to_string()));
    uses
}

/// Who they are, in words.
pub fn named(uses: &[Use]) -> String {
    let by: BTreeSet<_> = uses.iter().map(|used| used.by.as_str()).collect();
    let named: Vec<_> = by.iter().take(NAMED).copied().collect();
    match by.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// Why a release may not serve those who use the plugin: it lacks a hook of what serves now, for which it would no longer be
/// called.
pub fn lost_hook(old: &PluginInfo, new: &PluginInfo, uses: &[Use]) -> Option<String> {
    let lacks = |hook: &&Hook| **hook != Hook::Lifecycle && !new.hooks.contains(hook);
    let hook = old.hooks.iter().find(lacks).filter(|_| !uses.is_empty())?;
    Some(format!(
        "it has no {}, for which {} is called now, by {}: push it under another name, or with force=true (--force) if that is meant",
        hook.as_str(),
        old.name,
        named(uses),
    ))
}

/// Why a release may not serve this use: it does not accept the configuration.
pub fn refusal(used: &Use, error: &BindingError) -> String {
    format!(
        "{}: {}: change that first, or push with force=true (--force)",
        used.by,
        hooks::refusal(&used.place, &used.hook, error)
    )
}
