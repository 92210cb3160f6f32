//! The plugins of a document: their releases, and which of them serves, on their way out of a fleet and into one.
//!
//! A release that is there under the same version has to be the same: it never changes. Others that are there stay, and
//! so does what serves where the document says of none that it does. What served before is taken from the document only
//! where nothing serves yet: otherwise it is what served here.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use sandclock_core::backend::PluginMode;
use serde_json::json;

use super::document::{ModeDoc, PluginDoc, ReleaseDoc};
use super::report::Outcome;
use crate::api::candidate::{CandidateDto, UseDto};
use crate::api::dto::plugin::PluginDto;
use crate::cli::client::{Client, query, segment};
use crate::cli::table;
use crate::document;

/// Files in base64, by their SHA-256.
pub(super) type Modules = BTreeMap<String, String>;

/// What plugins would be bound with, by name.
pub(super) type Uses = BTreeMap<String, Vec<UseDto>>;

/// All plugins that were pushed.
///
/// # Errors
/// If the server does not answer, or says of one what this program does not know.
pub(super) async fn there(client: &Client) -> anyhow::Result<Vec<PluginDoc>> {
    let mut plugins = Vec::new();
    for mut plugin in client.all("/plugins").await? {
        PluginDto::leave_decisions(&mut plugin);
        // Those that only came with the program have none.
        if plugin["releases"].as_array().is_some_and(Vec::is_empty) {
            continue;
        }
        let read: PluginDoc = document::read(&plugin).map_err(|error| {
            let name = &plugin["name"];
            anyhow!("plugin {name}: {error}; use the sandclock of the server's version")
        })?;
        plugins.push(read);
    }
    Ok(plugins)
}

/// All plugins that were pushed, with their modules. Releases that are named and cannot be read are told and counted.
pub(super) async fn export(
    client: &Client,
    broken: &mut u32,
) -> anyhow::Result<(Vec<PluginDoc>, Modules)> {
    let mut plugins = there(client).await?;
    let mut modules = Modules::new();
    for plugin in &mut plugins {
        let name = plugin.name.clone();
        let versions: Vec<_> = plugin
            .releases
            .iter()
            .map(|it| it.version.clone())
            .collect();
        for member in [&mut plugin.serving, &mut plugin.before, &mut plugin.shadow] {
            if let Some(lost) = member.take_if(|version| !versions.contains(version)) {
                table::aside(&format!("release {lost} of plugin {name} cannot be read"));
                *broken += 1;
            }
        }
        // Nothing comes before what does not serve.
        if plugin.serving.is_none() {
            plugin.before = None;
        }
        for ReleaseDoc { version, sha256 } in &plugin.releases {
            if !modules.contains_key(sha256) {
                let path = format!("/plugins/{}/modules/{sha256}", segment(&name));
                let module = client.bytes(&path).await;
                let module =
                    module.with_context(|| format!("release {version} of plugin {name}"))?;
                modules.insert(sha256.clone(), STANDARD.encode(module));
            }
        }
    }
    Ok((plugins, modules))
}

/// What is to be done for a plugin.
#[derive(Debug)]
pub(super) struct Plan {
    plugin: PluginDoc,
    /// What is not there, the first pushed first.
    missing: Vec<ReleaseDoc>,
    /// What serves now.
    serving: Option<String>,
    /// What will serve, one after the other.
    serve: Vec<String>,
    /// What is asked beside it, if that is another.
    shadow: Option<Option<String>>,
    /// What becomes of its answers, if that is something else.
    mode: Option<ModeDoc>,
    /// Whether another release stops to do what it does.
    replaces: bool,
    outcome: Outcome,
}

impl Plan {
    /// For a plugin of the document.
    ///
    /// # Errors
    /// If a release is there with another module.
    pub(super) fn of(plugin: PluginDoc, there: &[PluginDoc]) -> anyhow::Result<Self> {
        let there = there.iter().find(|there| there.name == plugin.name);
        for (at, release) in plugin.releases.iter().enumerate() {
            let own = there.and_then(|there| there.release(&release.version));
            if let Some(own) = own.filter(|own| own.sha256 != release.sha256) {
                let (name, ReleaseDoc { version, sha256 }) = (&plugin.name, own);
                bail!(
                    "releases[{at}].sha256: {} is not accepted: release {version} of plugin {name} is there with \
                     {sha256}, and a release never changes; push what it is under another version, or withdraw it with \
                     sandclock plugin rm {name} --version {version}",
                    release.sha256
                );
            }
        }
        let known = |release: &&ReleaseDoc| {
            there.is_none_or(|there| there.release(&release.version).is_none())
        };
        let missing: Vec<_> = plugin
            .releases
            .iter()
            .rev()
            .filter(known)
            .cloned()
            .collect();
        let serving = there.and_then(|there| there.serving.clone());
        let mut serve: Vec<_> = plugin.serving.clone().into_iter().collect();
        serve.retain(|version| serving.as_ref() != Some(version));
        let will_serve = plugin.serving.as_ref().or(serving.as_ref());
        let shadow = plugin.shadow.clone().filter(|it| Some(it) != will_serve);
        // A release that begins to serve is no shadow any more.
        let shadow_there = there.and_then(|there| there.shadow.clone());
        let replaces_shadow = shadow_there.is_some() && shadow_there != shadow;
        let shadow_left = shadow_there.filter(|it| Some(it) != will_serve);
        let mode_there = there.map(|there| there.mode);
        let mode = Some(plugin.mode).filter(|mode| mode_there.unwrap_or_default() != *mode);
        let replaces = (serving.is_some() && !serve.is_empty())
            || replaces_shadow
            || (mode.is_some() && serving.is_some());
        let differs = [
            ("releases", !missing.is_empty()),
            ("serving", !serve.is_empty()),
            ("shadow", shadow != shadow_left || replaces_shadow),
            ("mode", mode.is_some()),
        ];
        let fields = differs.iter().filter(|(_, differs)| *differs);
        let fields: Vec<_> = fields.map(|(name, _)| (*name).to_owned()).collect();
        let outcome = match (there, fields.is_empty()) {
            (None, _) => Outcome::Created,
            (_, true) => Outcome::Unchanged,
            (_, false) => Outcome::Changed(fields),
        };
        if let (None, false, Some(before)) = (&serving, serve.is_empty(), &plugin.before) {
            serve.insert(0, before.clone());
        }
        Ok(Self {
            missing,
            serving,
            serve,
            shadow: (shadow != shadow_left).then_some(shadow),
            mode,
            replaces,
            outcome,
            plugin,
        })
    }

    /// The plugin.
    pub(super) fn name(&self) -> &str {
        &self.plugin.name
    }

    /// What becomes of it.
    pub(super) fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Whether another release stops to do what it does.
    pub(super) fn replaces(&self) -> bool {
        self.replaces
    }

    /// Whether another release will be asked on runs than is now.
    pub(super) fn changes_what_serves(&self) -> bool {
        !self.serve.is_empty()
    }

    /// Whether the server would take what is missing, and what will serve accepts how it is used.
    ///
    /// # Errors
    /// What the server says, with the field.
    pub(super) async fn check(
        &self,
        client: &Client,
        modules: &Modules,
        uses: &Uses,
    ) -> anyhow::Result<()> {
        let will_serve = self.serve.last();
        let is_needed = |release: &&ReleaseDoc| {
            self.missing.contains(release) || self.serve.contains(&release.version)
        };
        for release in self.plugin.releases.iter().filter(is_needed) {
            let ReleaseDoc { version, sha256 } = release;
            let uses = match will_serve == Some(version) {
                true => uses.get(self.name()).map_or(&[][..], Vec::as_slice),
                false => &[],
            };
            let candidate = CandidateDto {
                name: self.name().to_owned(),
                version: version.clone(),
                module: modules.get(sha256).cloned().unwrap_or_default(),
                uses: uses.to_vec(),
            };
            let body = serde_json::to_value(&candidate)?;
            let asked = client.call(Method::POST, "/plugins:validate", Some(body));
            let asked = asked.await.map(drop);
            asked.with_context(|| format!("release {version} of plugin {}", self.name()))?;
        }
        Ok(())
    }

    /// Does it.
    ///
    /// # Errors
    /// What the server says.
    pub(super) async fn write(&self, client: &Client, modules: &Modules) -> anyhow::Result<()> {
        for release in &self.missing {
            let kept = ("serve", Some("false".to_owned()));
            self.push(client, modules, &release.version, kept).await?;
        }
        // Nothing is done of what is only monitored, neither of what will serve nor of what has served.
        let (before, after) = match self.mode {
            Some(ModeDoc(PluginMode::Monitor)) => (self.mode, None),
            mode => (None, mode),
        };
        self.set(client, before).await?;
        let mut serving = self.serving.as_deref().unwrap_or_default();
        for version in &self.serve {
            // Only in the place of what this was checked against.
            let serves = ("over", Some(serving.to_owned()));
            self.push(client, modules, version, serves).await?;
            serving = version;
        }
        self.set(client, after).await?;
        if let Some(shadow) = &self.shadow {
            let method = match shadow {
                Some(_) => Method::PUT,
                None => Method::DELETE,
            };
            let members = query(&[("version", shadow.clone())]);
            let path = format!("/plugins/{}/shadow{members}", segment(self.name()));
            client.call(method, &path, None).await?;
        }
        Ok(())
    }

    async fn set(&self, client: &Client, mode: Option<ModeDoc>) -> anyhow::Result<()> {
        let Some(mode) = mode else { return Ok(()) };
        let path = format!("/plugins/{}/mode", segment(self.name()));
        let body = json!({ "mode": mode });
        client.call(Method::PUT, &path, Some(body)).await.map(drop)
    }

    /// Pushes a release; one that is there only begins to serve by that.
    async fn push(
        &self,
        client: &Client,
        modules: &Modules,
        version: &str,
        how: (&str, Option<String>),
    ) -> anyhow::Result<()> {
        let release = self.plugin.release(version);
        let module = release.and_then(|release| modules.get(&release.sha256));
        let module = STANDARD.decode(module.map_or("", String::as_str))?;
        // What uses it was asked already, as far as it comes along.
        let members = [
            ("version", Some(version.to_owned())),
            how,
            ("force", Some("true".to_owned())),
        ];
        let path = format!("/plugins/{}{}", segment(self.name()), query(&members));
        let pushed = client.put_bytes(&path, module).await.map(drop);
        pushed.with_context(|| format!("release {version}"))
    }
}

#[cfg(test)]
mod tests;
