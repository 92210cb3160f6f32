//! Who may have effects: what a plugin imports, what its manifest asks for, and what the operator grants.
//!
//! All three have to agree. What is imported and not asked for is refused, so that a manifest tells the truth; what is
//! asked for and not granted is refused, with the operator's remedy, or denied at each call if the plugin says that
//! it does without. Only plugins whose one hook is `run-end` may have effects: a limit or a redaction that depends
//! on them could not be decided again, and a plugin that sees all output of a job must have no way out.

use std::collections::{BTreeMap, BTreeSet};

use crate::install::InstallError;
use crate::manifest::Capabilities;
use crate::plugin::Hook;

/// A kind of effect, as an interface of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Values that outlive a call.
    Kv,
    /// Requests to named targets.
    Http,
}

impl Capability {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Kv, Self::Http];

    /// The name of its interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kv => "kv",
            Self::Http => "http",
        }
    }
}

/// What the operator lets a plugin do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Keep values.
    pub kv: bool,
    /// Send requests to these targets.
    pub http: BTreeSet<String>,
}

/// What the operator lets plugins do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grants {
    /// By the names of plugins; one that is not named has nothing.
    ByName(BTreeMap<String, Grant>),
    /// Each has what it asks for: where authors try their plugins, and nothing is real.
    AsRequested,
}

impl Default for Grants {
    fn default() -> Self {
        Self::ByName(BTreeMap::new())
    }
}

/// What a plugin may do, and what it would if it were granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    kv: bool,
    http: BTreeSet<String>,
    /// Targets that it asks for and is not granted.
    lacks: BTreeSet<String>,
}

impl Given {
    /// What it may do, for people.
    pub(crate) fn names(&self) -> Vec<String> {
        names(self.kv, &self.http)
    }

    /// Whether it may do anything beside answering.
    pub(crate) fn has_any(&self) -> bool {
        self.kv || !self.http.is_empty()
    }

    /// Why the plugin may not keep values; `None` if it may.
    pub(crate) fn denies_kv(&self) -> Option<String> {
        (!self.kv).then(|| "denied: the operator does not grant kv".to_owned())
    }

    /// Why the plugin may not send a request to this target; `None` if it may.
    pub(crate) fn denies_target(&self, target: &str) -> Option<String> {
        if self.http.contains(target) {
            return None;
        }
        Some(match self.lacks.contains(target) {
            true => format!("denied: the operator does not grant the target {target:?}"),
            false => {
                format!("denied: the plugin's manifest does not ask for the target {target:?}")
            }
        })
    }
}

/// Capabilities for people: `kv`, and `http:` with a target.
fn names<'a>(kv: bool, http: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let kv = kv.then(|| "kv".to_owned());
    let http = http.into_iter().map(|target| format!("http:{target}"));
    kv.into_iter().chain(http).collect()
}

/// What a manifest asks for, in the same words.
pub(crate) fn requests(asked: &Capabilities) -> Vec<String> {
    names(asked.kv, &asked.http)
}

impl Grants {
    /// What a plugin of this name is granted, in the same words.
    pub(crate) fn names(&self, plugin: &str) -> Vec<String> {
        let Self::ByName(grants) = self else {
            return Vec::new();
        };
        let granted = grants.get(plugin);
        granted.map_or_else(Vec::new, |granted| names(granted.kv, &granted.http))
    }

    /// What the plugin may do, of what it imports and asks for.
    ///
    /// # Errors
    /// If it imports what it may not, or what it did not ask for, or is not granted what it needs.
    pub(crate) fn given(
        &self,
        plugin: &str,
        imports: &BTreeSet<Capability>,
        hooks: &[Hook],
        requested: Option<&Capabilities>,
    ) -> Result<Given, InstallError> {
        let none = Capabilities::default();
        let requested = requested.unwrap_or(&none);
        for capability in imports {
            check_hooks(*capability, hooks)?;
            check_requested(*capability, requested)?;
        }
        let imports = |capability| imports.contains(&capability);
        let granted = self.granted(plugin, requested);
        let asked: BTreeSet<_> = requested.http.iter().cloned().collect();
        let asked = if imports(Capability::Http) {
            asked
        } else {
            BTreeSet::new()
        };
        let given = Given {
            kv: imports(Capability::Kv) && granted.kv,
            lacks: asked.difference(&granted.http).cloned().collect(),
            http: asked.intersection(&granted.http).cloned().collect(),
        };
        let lacks_kv = imports(Capability::Kv) && !given.kv;
        if !requested.optional && (lacks_kv || !given.lacks.is_empty()) {
            return Err(not_granted(plugin, lacks_kv, &given.lacks));
        }
        Ok(given)
    }

    fn granted(&self, plugin: &str, requested: &Capabilities) -> Grant {
        match self {
            Self::ByName(grants) => grants.get(plugin).cloned().unwrap_or_default(),
            Self::AsRequested => Grant {
                kv: requested.kv,
                http: requested.http.iter().cloned().collect(),
            },
        }
    }
}

fn check_hooks(capability: Capability, hooks: &[Hook]) -> Result<(), InstallError> {
    let other = hooks
        .iter()
        .find(|hook| !matches!(hook, Hook::RunEnd | Hook::Lifecycle));
    let Some(hook) = other else { return Ok(()) };
    Err(refused(format!(
        "it imports {} and has the hook {}, and only plugins whose one hook is run-end may have effects: make two \
         plugins of it",
        capability.as_str(),
        hook.as_str()
    )))
}

fn check_requested(capability: Capability, requested: &Capabilities) -> Result<(), InstallError> {
    let (is_requested, remedy) = match capability {
        Capability::Kv => (requested.kv, "kv = true"),
        Capability::Http => (!requested.http.is_empty(), "http = [\"the target's name\"]"),
    };
    if is_requested {
        return Ok(());
    }
    Err(refused(format!(
        "it imports {}, which its manifest does not ask for: write {remedy} below [capabilities] in plugin.toml and build \
         it anew",
        capability.as_str()
    )))
}

fn not_granted(plugin: &str, kv: bool, targets: &BTreeSet<String>) -> InstallError {
    let targets: Vec<_> = targets.iter().map(|target| format!("{target:?}")).collect();
    let targets = targets.join(", ");
    let mut grants = Vec::new();
    if kv {
        grants.push("kv = true".to_owned());
    }
    if !targets.is_empty() {
        grants.push(format!("http = [{targets}]"));
    }
    refused(format!(
        "it asks for what it is not granted: to grant it, write {} below [plugins.grants.{plugin:?}] in the configuration of \
         every server and worker; a plugin that can do without says optional = true in its manifest",
        grants.join(" and ")
    ))
}

fn refused(why: String) -> InstallError {
    InstallError::Capability { why }
}
