//! Bindings: plugins that a platform team attaches to many jobs at once, without touching any of them.
//!
//! A binding selects jobs and names a plugin with its configuration. The plugins of a run are those of the bindings that
//! select its job, in their order, and then the job's own. A job that names the plugin of a binding by itself decides
//! how it is configured, and the binding gives way, unless it is required: then both are asked, the binding's first.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::backend::docs::{DocKind, Docs};
use crate::backend::plugins::{PLUGIN_NAMES, is_plugin_name};
use crate::backend::{Precondition, Result, Version, Versioned};
use crate::error::{BackendError, ErrorKind};
use crate::job::{HookBinding, Job, JobName, MAX_HOOK_CONFIG_BYTES, Unfit};
use crate::stored::{self, StoredError};

/// Which jobs a binding is for: those that meet every condition. Without any, all jobs are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// What the job's name begins with; `None` is any name.
    pub prefix: Option<String>,
    /// Labels that the job has, each with this value.
    pub labels: BTreeMap<String, String>,
}

impl Selector {
    /// Whether this job meets every condition.
    pub fn selects(&self, job: &Job) -> bool {
        let labelled = |(key, value)| job.labels.get(key) == Some(value);
        self.may_select(&job.name) && self.labels.iter().all(labelled)
    }

    /// Whether it may select the job of this name, of which nothing else can be read.
    pub fn may_select(&self, name: &JobName) -> bool {
        let named = |prefix: &String| name.as_str().starts_with(prefix.as_str());
        self.prefix.as_ref().is_none_or(named)
    }
}

/// A plugin for many jobs.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// Its identity, a name as plugins have.
    pub name: String,
    /// The jobs it is for.
    pub selector: Selector,
    /// The plugin, and its configuration for these jobs.
    pub hook: HookBinding,
    /// Bindings are asked from the lowest to the highest order, those of one order by name.
    pub order: i32,
    /// Whether it stays when a job names the plugin by itself.
    pub required: bool,
}

impl Binding {
    /// Whether a store may keep it.
    ///
    /// # Errors
    /// Names the first member that stands in the way.
    pub fn check(&self) -> std::result::Result<(), Unfit> {
        if !is_plugin_name(&self.name) {
            let name = format!("{:?}", self.name);
            return Err(Unfit::new("name", name, PLUGIN_NAMES));
        }
        let bytes = self.hook.config.to_string().len();
        if bytes > MAX_HOOK_CONFIG_BYTES {
            let accepted = format!("at most {MAX_HOOK_CONFIG_BYTES} bytes of JSON");
            return Err(Unfit::new("config", format!("{bytes} bytes"), accepted));
        }
        Ok(())
    }
}

/// What a store holds under a binding's name.
#[derive(Clone, Debug)]
pub struct StoredBinding {
    /// Its name.
    pub name: String,
    /// Grows with every change.
    pub version: Version,
    /// The binding, or why it cannot be read.
    pub binding: std::result::Result<Binding, Arc<StoredError>>,
}

/// All bindings in the order in which they are asked; those that cannot be read come last. Idempotent.
///
/// # Errors
/// If the store does not answer.
pub async fn list(docs: &dyn Docs) -> Result<Vec<StoredBinding>> {
    let found = docs.list(DocKind::Binding).await?;
    let read = found.into_iter().map(|doc| StoredBinding {
        binding: stored::decode_binding(&doc.name, &doc.body).map_err(Arc::new),
        name: doc.name,
        version: doc.version,
    });
    let mut bindings: Vec<_> = read.collect();
    // They come by name, which a stable sort keeps.
    bindings.sort_by_key(|stored| match &stored.binding {
        Ok(binding) => (false, binding.order),
        Err(_) => (true, 0),
    });
    Ok(bindings)
}

/// Creates or replaces a binding. Members that a later program has written stay.
///
/// # Errors
/// `InvalidConfig` if [`Binding::check`] refuses it, `Conflict` if `pre` does not hold or somebody else is faster,
/// `Corrupt` if a later program's form stands there.
pub async fn put(docs: &dyn Docs, binding: &Binding, pre: Precondition) -> Result<Versioned<()>> {
    binding
        .check()
        .map_err(|wrong| BackendError::new("docs.put", ErrorKind::InvalidConfig).context(wrong))?;
    let found = docs.list(DocKind::Binding).await?;
    let old = found.into_iter().find(|doc| doc.name == binding.name);
    let at = old.as_ref().map(|doc| doc.version);
    if !pre.holds(at) {
        return Err(BackendError::new("docs.put", ErrorKind::Conflict).context(&binding.name));
    }
    let body = match &old {
        Some(old) => stored::encode_over(binding, &old.body),
        None => stored::encode(binding),
    };
    let corrupt = |error| BackendError::new("docs.put", ErrorKind::Corrupt).source(error);
    // What was read is what is replaced, so that nothing in it is lost.
    let pre = at.map_or(Precondition::Absent, Precondition::Matches);
    let body = Bytes::from(body.map_err(corrupt)?);
    docs.put(DocKind::Binding, &binding.name, &body, pre).await
}

/// The bindings that give the job a plugin. `bindings` are in their order, and so are these.
pub fn bound_to<'a>(job: &'a Job, bindings: &'a [Binding]) -> impl Iterator<Item = &'a Binding> {
    let named = |plugin: &str| job.hooks.iter().any(|own| own.plugin == plugin);
    bindings.iter().filter(move |binding| {
        binding.selector.selects(job) && (binding.required || !named(&binding.hook.plugin))
    })
}

/// The plugins of a job with those that bindings give it, in the order in which they are asked.
pub fn hooks_of<'a>(job: &'a Job, bindings: &'a [Binding]) -> Vec<&'a HookBinding> {
    let bound = bound_to(job, bindings).map(|binding| &binding.hook);
    bound.chain(&job.hooks).collect()
}

/// The configuration of a binding without one.
pub fn no_config() -> Value {
    Value::Object(serde_json::Map::new())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::job::JobName;

    fn hook(plugin: &str, config: &Value) -> HookBinding {
        HookBinding {
            plugin: plugin.to_owned(),
            config: config.clone(),
        }
    }

    fn job(name: &str, labels: &[(&str, &str)], own: &[&str]) -> Job {
        let mut job = Job::shell(JobName::existing(name), "true");
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        job.labels = labels.iter().map(owned).collect();
        job.hooks = own.iter().map(|own| hook(own, &json!("own"))).collect();
        job
    }

    fn binding(plugin: &str, selector: Selector, required: bool) -> Binding {
        Binding {
            name: plugin.to_owned(),
            selector,
            hook: hook(plugin, &json!("bound")),
            order: 0,
            required,
        }
    }

    #[test]
    fn a_selector_asks_for_all_its_conditions() {
        let selects = |prefix: Option<&str>, labels: &[(&str, &str)], of: &Job| {
            let labels = job("", labels, &[]).labels;
            let prefix = prefix.map(str::to_owned);
            Selector { prefix, labels }.selects(of)
        };
        let of = job("team/a", &[("team", "data"), ("tier", "1")], &[]);
        for prefix in [None, Some(""), Some("team/"), Some("team/a")] {
            for labels in [
                &[][..],
                &[("team", "data")],
                &[("team", "data"), ("tier", "1")],
            ] {
                assert!(selects(prefix, labels, &of), "{prefix:?} {labels:?}");
            }
            assert!(!selects(prefix, &[("team", "web")], &of));
            assert!(!selects(prefix, &[("team", "data"), ("x", "")], &of));
        }
        for prefix in ["Team", "team/b", "team/ab", "a"] {
            assert!(!selects(Some(prefix), &[], &of), "{prefix}");
        }
    }

    #[test]
    fn bound_plugins_come_first_and_only_required_ones_stay_beside_the_jobs_own() {
        let told = |job: &Job, bindings: &[Binding]| {
            let hooks = hooks_of(job, bindings);
            let told = |hook: &&HookBinding| format!("{} {}", hook.plugin, hook.config);
            hooks.iter().map(told).collect::<Vec<_>>()
        };
        let some = Selector {
            prefix: Some("a".to_owned()),
            ..Selector::default()
        };
        let bindings = [
            binding("x", Selector::default(), false),
            binding("y", some, false),
            binding("z", Selector::default(), true),
        ];
        let of = job("b", &[], &["own"]);
        assert_eq!(
            told(&of, &bindings),
            ["x \"bound\"", "z \"bound\"", "own \"own\""]
        );
        let of = job("a", &[], &["z", "y"]);
        assert_eq!(
            told(&of, &bindings),
            ["x \"bound\"", "z \"bound\"", "z \"own\"", "y \"own\""]
        );
        assert_eq!(told(&of, &[]), ["z \"own\"", "y \"own\""]);
    }
}
