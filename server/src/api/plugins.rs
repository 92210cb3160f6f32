//! Plugins: which serve, how they have been doing, and how releases come to the fleet.
//!
//! A module is checked, compiled and tried here before it is kept: what cannot serve is refused, and nothing changes. What
//! a change comes to elsewhere each process sees by itself (see [`crate::rollout`]).

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sandclock_core::backend::plugins::{PLUGIN_NAMES, RELEASE_NAMES, is_release_name};
use sandclock_core::backend::{ModuleDigest, PluginMode, Release, StoredPlugin};
use sandclock_core::{BackendError, ErrorKind};
use sandclock_hooks::{Artifact, ConfigSchema, InstallError, PluginInfo, PluginStatus};
use serde::Deserialize;

use super::Api;
use super::dto::plugin::{ModuleFile, PluginDto, ReleaseDto};
use super::dto::run::ListDto;
use super::input::{Id, Module, Query};
use super::modes;
use super::problem::Problem;
use super::uses;
use crate::access::Caller;
use crate::document::FieldError;
use crate::request;
use crate::rollout::is_standard;

/// The query of `PUT /plugins/{name}`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PushQuery {
    /// What people call the release; by default what the module's manifest says.
    version: Option<String>,
    /// Whether it begins to serve; default true.
    serve: Option<bool>,
    /// `enforce` or `monitor`.
    mode: Option<String>,
    /// The version that it takes over from, empty for none: if another serves, it does not begin to.
    over: Option<String>,
    /// It serves although a use of the plugin loses by it.
    force: Option<bool>,
}

/// The query of `DELETE /plugins/{name}`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RemoveQuery {
    /// That release only.
    version: Option<String>,
    /// It goes although it is used.
    force: Option<bool>,
}

/// The plugins of this server, and those of the fleet that are not in service here, by name.
#[utoipa::path(
    get,
    path = "/plugins",
    operation_id = "plugin.list",
    tag = "plugins",
    responses((status = 200, description = "The plugins", body = ListDto<PluginDto>)),
)]
pub async fn list(State(api): State<Api>) -> Result<Json<ListDto<PluginDto>>, Problem> {
    let items = described(&api, |_| true).await?;
    Ok(Json(ListDto::new(items, None)))
}

/// One plugin.
#[utoipa::path(
    get,
    path = "/plugins/{name}",
    operation_id = "plugin.get",
    tag = "plugins",
    params(("name" = String, Path, description = "The plugin")),
    responses((status = 200, description = "The plugin", body = PluginDto)),
)]
pub async fn get(State(api): State<Api>, Id(name): Id) -> Result<Json<PluginDto>, Problem> {
    let found = described(&api, |other| other == name).await?.pop();
    found
        .map(Json)
        .ok_or_else(|| Problem::not_found(format!("there is no plugin {name}")))
}

/// Those of this server and of the fleet that are asked for, by name.
async fn described(api: &Api, wanted: impl Fn(&str) -> bool) -> Result<Vec<PluginDto>, Problem> {
    let stored = api.records.plugins.list().await?.into_iter();
    let mut stored: BTreeMap<_, _> = stored
        .filter(|plugin| wanted(&plugin.name))
        .map(|plugin| (plugin.name.clone(), plugin))
        .collect();
    let installed = api.plugins.list().into_iter();
    let mut items: Vec<_> = installed
        .filter(|info| wanted(&info.name))
        .map(|info| {
            let stored = stored.remove(&info.name);
            dto(api, info, stored.as_ref())
        })
        .collect();
    let others = stored.values();
    items.extend(others.map(|plugin| not_here(api, plugin)));
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(items)
}

/// Keeps a module as a release, and lets it serve unless `serve=false`.
///
/// With `over=V` only in the place of that version, and with `mode=M` the plugin is in that mode from then on. What the module's
/// manifest says of name and version must be the same; the version need not be given then. One that would serve those who
/// use the plugin worse than what does is refused, unless `force=true`.
#[utoipa::path(
    put,
    path = "/plugins/{name}",
    operation_id = "plugin.push",
    tag = "plugins",
    params(("name" = String, Path, description = "The plugin"), PushQuery),
    request_body(content = ModuleFile, content_type = "application/wasm"),
    responses((status = 200, description = "The plugin", body = PluginDto)),
)]
pub async fn push(
    State(api): State<Api>,
    who: Caller,
    Id(name): Id,
    Query(query): Query<PushQuery>,
    Module(module): Module,
) -> Result<Json<PluginDto>, Problem> {
    if let Some(version) = query.version.as_ref().filter(|name| !is_release_name(name)) {
        return Err(FieldError::new("version", version, RELEASE_NAMES).into());
    }
    let mode = query.mode.as_deref().map(modes::parse).transpose()?;
    let artifact = Artifact::new(name.clone(), query.version, module.to_vec());
    let may_touch = query.serve != Some(false) && query.force != Some(true);
    let info = checked(&api, artifact, may_touch).await?;
    let version = info.version.clone().ok_or_else(|| {
        let accepted = "it must be given: the module has no manifest that names one";
        FieldError::new("version", "nothing", accepted)
    })?;
    let release = Release {
        plugin: name.clone(),
        version,
        digest: ModuleDigest::of(&module),
        bytes: module.len() as u64,
        pushed_by: who.name,
        pushed_at: api.clock.now(),
    };
    let pushed = api.records.plugins.push(&release, &module).await;
    pushed.map_err(conflict)?;
    // Nothing is done of what is only monitored, neither of this release nor of the one before it.
    if mode == Some(PluginMode::Monitor) {
        modes::change(&api, &name, PluginMode::Monitor).await?;
    }
    if query.serve != Some(false) {
        let from = match query.over {
            Some(over) => Some(over).filter(|over| !over.is_empty()),
            None => find(&api, &name).await?.serving,
        };
        serve(&api, &name, from.as_deref(), Some(&release.version)).await?;
    }
    if mode == Some(PluginMode::Enforce) {
        modes::change(&api, &name, PluginMode::Enforce).await?;
    }
    Ok(Json(dto(&api, info, Some(&find(&api, &name).await?))))
}

/// What a module is, which was tried. If it is to serve, it has the hooks that its uses need, and accepts what they say.
async fn checked(api: &Api, artifact: Artifact, serves: bool) -> Result<PluginInfo, Problem> {
    let name = artifact.name.clone();
    let uses = match serves {
        true => uses::of(api, &name).await?,
        false => Vec::new(),
    };
    let distinct = uses::distinct(&uses);
    let configs = distinct.iter().map(|used| &used.hook.config);
    let checked = api.plugins.check_with(artifact, configs).await;
    let (info, refused) = checked.map_err(|error| refusal("(the body)", &name, &error))?;
    let installed = api.plugins.list().into_iter();
    let mut installed = installed.filter(|old| old.name == name);
    let lost = installed.find_map(|old| uses::lost_hook(&old, &info, &uses));
    let refused = refused.and_then(|(at, error)| Some(uses::refusal(distinct.get(at)?, &error)));
    match lost.or(refused) {
        Some(why) => Err(Problem::conflict(format!(
            "the release may not serve: {why}"
        ))),
        None => Ok(info),
    }
}

/// Lets serve again what served before.
#[utoipa::path(
    post,
    path = "/plugins/{name}/rollback",
    operation_id = "plugin.rollback",
    tag = "plugins",
    params(("name" = String, Path, description = "The plugin")),
    responses((status = 204, description = "It serves")),
)]
pub async fn roll_back(State(api): State<Api>, Id(name): Id) -> Result<StatusCode, Problem> {
    let plugin = find(&api, &name).await?;
    let Some(before) = plugin.before else {
        let why = format!("no release of plugin {name} served before the one that does");
        return Err(Problem::conflict(why));
    };
    serve(&api, &name, plugin.serving.as_deref(), Some(&before)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a plugin out of service and forgets its releases and what it has kept.
///
/// With `version`, that release, which must not serve. A plugin that is used stays, unless a standard plugin takes its place or
/// `force=true`.
#[utoipa::path(
    delete,
    path = "/plugins/{name}",
    operation_id = "plugin.remove",
    tag = "plugins",
    params(("name" = String, Path, description = "The plugin"), RemoveQuery),
    responses((status = 204, description = "It is gone")),
)]
pub async fn remove(
    State(api): State<Api>,
    Id(name): Id,
    Query(query): Query<RemoveQuery>,
) -> Result<StatusCode, Problem> {
    let plugin = find(&api, &name).await?;
    let store = &api.records.plugins;
    if let Some(version) = query.version {
        if !plugin
            .releases
            .iter()
            .any(|release| release.version == version)
        {
            return Err(Problem::not_found(format!(
                "plugin {name} has no release {version}"
            )));
        }
        let withdrawn = store.withdraw(&name, &version).await;
        withdrawn.map_err(|error| match error.kind {
            ErrorKind::Conflict => {
                let why = format!(
                    "release {version} of plugin {name} serves: push another one, or roll back"
                );
                Problem::conflict(why)
            }
            _ => error.into(),
        })?;
        if plugin.releases.len() == 1 {
            api.records.kv.clear(&name).await?;
        }
        return Ok(StatusCode::NO_CONTENT);
    }
    if query.force != Some(true) && !is_standard(&name) {
        let uses = uses::of(&api, &name).await?;
        if !uses.is_empty() {
            let by = uses::named(&uses);
            return Err(Problem::conflict(format!(
                "plugin {name} is used by {by}, whose output would be withheld without it: unbind it first, or remove it with force=true (--force)"
            )));
        }
    }
    if plugin.serving.is_some() {
        serve(&api, &name, plugin.serving.as_deref(), None).await?;
    }
    for release in &plugin.releases {
        store
            .withdraw(&name, &release.version)
            .await
            .map_err(conflict)?;
    }
    // A later plugin of the name may be somebody else's.
    api.records.kv.clear(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The plugin in the store.
pub async fn find(api: &Api, name: &str) -> Result<StoredPlugin, Problem> {
    let plugins = api.records.plugins.list().await?;
    let found = plugins.into_iter().find(|plugin| plugin.name == name);
    found.ok_or_else(|| Problem::not_found(format!("no release of plugin {name} was pushed")))
}

/// Changes what serves, here at once and elsewhere soon.
async fn serve(api: &Api, name: &str, from: Option<&str>, to: Option<&str>) -> Result<(), Problem> {
    let served = api.records.plugins.serve(name, from, to).await;
    served.map_err(|error| match error.kind {
        ErrorKind::Conflict => Problem::conflict(format!(
            "another release of plugin {name} began to serve meanwhile"
        )),
        _ => error.into(),
    })?;
    request::in_time(api.rollout.follow()).await;
    Ok(())
}

/// A conflict in the store's words.
pub fn conflict(error: BackendError) -> Problem {
    match error.kind {
        ErrorKind::Conflict => Problem::conflict(error.without_op(&error.to_string()).to_owned()),
        _ => error.into(),
    }
}

/// Why the module that stands in `field` is not taken.
pub fn refusal(field: &str, name: &str, error: &InstallError) -> FieldError {
    match error {
        InstallError::Name { .. } => FieldError::new("name", name, PLUGIN_NAMES),
        _ => FieldError::new(field, "this module", error.to_string()),
    }
}

fn dto(api: &Api, info: PluginInfo, stored: Option<&StoredPlugin>) -> PluginDto {
    let releases = stored.map_or(&[][..], |stored| &stored.releases);
    PluginDto {
        shadow_refused: api.rollout.shadow_refusal(&info.name),
        shadow: stored.and_then(|stored| stored.shadow.clone()),
        name: info.name,
        version: info.version,
        description: info.description,
        config_members: info
            .schema
            .as_ref()
            .map_or_else(Vec::new, ConfigSchema::members),
        config_schema: info.schema.map(|schema| schema.written().clone()),
        api: info.api.to_owned(),
        hooks: info
            .hooks
            .iter()
            .map(|hook| hook.as_str().to_owned())
            .collect(),
        capabilities: info.capabilities,
        requested: info.requested,
        granted: info.granted,
        open_breakers: (info.open_breakers.iter())
            .map(|(hook, open)| (hook.as_str().to_owned(), *open))
            .collect(),
        sha256: info.sha256,
        signed_by: info.signed_by,
        size_bytes: info.bytes,
        status: match info.status {
            PluginStatus::Ready => "ready".to_owned(),
            PluginStatus::Outdated(why) => format!("a newer version was refused: {why}"),
        },
        last_failure: info.last_failure.map(|failure| failure.to_string()),
        serving: stored.and_then(|stored| stored.serving.clone()),
        before: stored.and_then(|stored| stored.before.clone()),
        mode: stored
            .map_or(PluginMode::Enforce, |stored| stored.mode)
            .as_str()
            .to_owned(),
        releases: releases.iter().map(ReleaseDto::of).collect(),
    }
}

/// A plugin that is not in service here: nobody knows what it has until it is installed.
fn not_here(api: &Api, stored: &StoredPlugin) -> PluginDto {
    let refusal = api.rollout.refusal(&stored.name);
    let newest = stored.releases.first();
    PluginDto {
        name: stored.name.clone(),
        version: None,
        description: None,
        config_members: Vec::new(),
        config_schema: None,
        api: String::new(),
        hooks: Vec::new(),
        capabilities: Vec::new(),
        requested: Vec::new(),
        granted: Vec::new(),
        open_breakers: BTreeMap::new(),
        sha256: newest.map_or_else(String::new, |release| release.digest.to_string()),
        signed_by: None,
        size_bytes: newest.map_or(0, |release| {
            usize::try_from(release.bytes).unwrap_or(usize::MAX)
        }),
        status: match (&stored.serving, refusal) {
            (Some(_), Some(why)) => format!("cannot serve here: {why}"),
            (Some(_), None) => "about to serve".to_owned(),
            (None, _) => "not in service".to_owned(),
        },
        last_failure: None,
        serving: stored.serving.clone(),
        before: stored.before.clone(),
        shadow: stored.shadow.clone(),
        shadow_refused: api.rollout.shadow_refusal(&stored.name),
        mode: stored.mode.as_str().to_owned(),
        releases: stored.releases.iter().map(ReleaseDto::of).collect(),
    }
}
