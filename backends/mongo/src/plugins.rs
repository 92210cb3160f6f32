//! The plugin store.
//!
//! A plugin is one document with all its releases, and each change of it one conditional step. The document stays when
//! its last release is withdrawn. What an answer rests on is read as a majority has it.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::{ReadConcern, ReadPreference, ReturnDocument, SelectionCriteria};
use sandclock_core::backend::{
    ModuleDigest, PluginMode, PluginStore, Release, Result, StoredPlugin,
};
use sandclock_core::time::Timestamp;
use sandclock_core::{BackendError, Effect, ErrorKind};

use crate::schema::plugin::{
    BEFORE, DIGEST, FIRST_RELEASE, MODE, NAME, RELEASES, SERVING, SHADOW, VERSION,
};
use crate::store::Store;

/// How often a change looks again for what it met. Each time somebody else was faster.
const TRIES: u32 = 8;

/// A release in its plugin's document.
fn document(release: &Release, file: &Bson) -> Document {
    doc! {
        "version": &release.version,
        "digest": release.digest.as_str(),
        "bytes": i64::try_from(release.bytes).unwrap_or(i64::MAX),
        "by": &release.pushed_by,
        "at": release.pushed_at.as_millis(),
        "file": file,
    }
}

fn release(plugin: &str, document: &Document) -> Option<Release> {
    Some(Release {
        plugin: plugin.to_owned(),
        version: document.get_str("version").ok()?.to_owned(),
        digest: ModuleDigest::parse(document.get_str("digest").ok()?)?,
        bytes: u64::try_from(document.get_i64("bytes").ok()?).ok()?,
        pushed_by: document.get_str("by").ok()?.to_owned(),
        pushed_at: Timestamp::from_millis(document.get_i64("at").ok()?),
    })
}

/// The releases in a plugin's document, the last pushed first.
fn releases(document: &Document) -> impl Iterator<Item = &Document> {
    let releases = document.get_array(RELEASES).map_or(&[][..], Vec::as_slice);
    releases.iter().rev().filter_map(Bson::as_document)
}

fn plugin(document: &Document) -> Option<StoredPlugin> {
    let name = document.get_str(NAME).ok()?;
    let text = |member| document.get_str(member).ok().map(str::to_owned);
    let releases: Vec<_> = releases(document)
        .filter_map(|document| release(name, document))
        .collect();
    (!releases.is_empty()).then(|| StoredPlugin {
        name: name.to_owned(),
        releases,
        serving: text(SERVING),
        before: text(BEFORE),
        shadow: text(SHADOW),
        mode: PluginMode::stored(document.get_str(MODE).ok()),
    })
}

/// The release of this version in a plugin's document.
fn of_version<'a>(document: &'a Document, version: &str) -> Option<&'a Document> {
    releases(document).find(|release| release.get_str("version").is_ok_and(|it| it == version))
}

impl Store {
    /// The plugin's document, as a majority has it.
    async fn plugin(&self, op: &'static str, name: &str) -> Result<Option<Document>> {
        let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
        let find = self
            .plugins
            .find_one(doc! { NAME: name })
            .read_concern(ReadConcern::majority())
            .selection_criteria(primary);
        self.read(op, async { find.await }).await
    }

    /// Adds the release to its plugin. False if one of its version is there.
    async fn add(&self, op: &'static str, new: &Release, file: &Bson) -> Result<bool> {
        let without = doc! { NAME: &new.plugin, VERSION: { "$ne": &new.version } };
        let push = doc! { "$push": { RELEASES: document(new, file) } };
        let update = self.plugins.update_one(without, push).upsert(true);
        self.write_unless_taken(op, update).await
    }

    /// Pushes a release whose module is in this file. False if the same one is there, with another file.
    async fn push_file(&self, op: &'static str, new: &Release, file: &Bson) -> Result<bool> {
        for _ in 0..TRIES {
            if self.add(op, new, file).await? {
                return Ok(true);
            }
            if let Some(old) = self.pushed(op, &new.plugin, &new.version).await? {
                old.is_repeated_by(new)?;
                return Ok(false);
            }
        }
        Err(again_and_again(op, &new.plugin))
    }

    fn verified(&self, digest: &ModuleDigest, module: Bytes) -> Result<Bytes> {
        match self.guards.digest {
            true => digest.verified(module),
            false => Ok(module),
        }
    }

    /// The release, if it is there.
    async fn pushed(&self, op: &'static str, name: &str, version: &str) -> Result<Option<Release>> {
        match self.plugin(op, name).await? {
            Some(plugin) => readable(op, &plugin, version),
            None => Ok(None),
        }
    }
}

/// The release of this version in a plugin's document.
fn readable(op: &'static str, plugin: &Document, version: &str) -> Result<Option<Release>> {
    let corrupt = |what: &str| BackendError::new(op, ErrorKind::Corrupt).context(what);
    if plugin.get_array(RELEASES).is_err() {
        return Err(corrupt("the releases of the plugin are no list"));
    }
    let Some(found) = of_version(plugin, version) else {
        return Ok(None);
    };
    let name = plugin.get_str(NAME).unwrap_or_default();
    let broken = || {
        corrupt(&format!(
            "release {version} of plugin {name} cannot be read"
        ))
    };
    release(name, found).ok_or_else(broken).map(Some)
}

fn again_and_again(op: &'static str, plugin: &str) -> BackendError {
    let why = format!("plugin {plugin} is changed again and again");
    BackendError::new(op, ErrorKind::Throttled).context(why)
}

#[async_trait]
impl PluginStore for Store {
    async fn push(&self, release: &Release, module: &Bytes) -> Result<()> {
        const OP: &str = "plugins.push";
        release.check(module)?;
        if let Some(old) = self.pushed(OP, &release.plugin, &release.version).await? {
            return old.is_repeated_by(release);
        }
        // What others have left behind is no reason to refuse.
        let _swept = self.sweep_modules(OP).await;
        let file = self.keep_module(OP, &release.digest, module).await?;
        let pushed = self.push_file(OP, release, &file).await;
        // After an unknown effect the release may be there, with this file.
        let is_elsewhere = match &pushed {
            Ok(is_ours) => !is_ours,
            Err(error) => error.effect == Effect::None,
        };
        if is_elsewhere {
            self.discard_module(OP, file).await;
        }
        pushed.map(drop)
    }

    async fn list(&self) -> Result<Vec<StoredPlugin>> {
        let find = self.plugins.find(doc! {}).sort(doc! { NAME: 1 });
        let found = self.read("plugins.list", async { find.await?.try_collect().await });
        let found: Vec<Document> = found.await?;
        Ok(found.iter().filter_map(plugin).collect())
    }

    async fn module(&self, digest: &ModuleDigest) -> Result<Bytes> {
        const OP: &str = "plugins.module";
        let find = self.plugins.find(doc! { DIGEST: digest.as_str() });
        let found = self.read(OP, async { find.await?.try_collect().await });
        let found: Vec<Document> = found.await?;
        let mut failed = BackendError::new(OP, ErrorKind::NotFound).context(digest);
        // Of two releases with one module each has a file.
        for release in found.iter().flat_map(releases) {
            let (Some(file), Ok(bytes)) = (release.get("file"), release.get_i64("bytes")) else {
                continue;
            };
            if release.get_str("digest").ok() != Some(digest.as_str()) {
                continue;
            }
            let bytes = u64::try_from(bytes).unwrap_or_default();
            let module = self.read_module(OP, file, bytes).await;
            match module.and_then(|module| self.verified(digest, module)) {
                Ok(module) => return Ok(module),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn serve(&self, plugin: &str, from: Option<&str>, to: Option<&str>) -> Result<()> {
        const OP: &str = "plugins.serve";
        let mut as_seen = doc! { NAME: plugin };
        if self.guards.as_seen {
            as_seen.insert(SERVING, from);
        }
        if let Some(to) = to {
            as_seen.insert(VERSION, to);
        }
        let change = vec![doc! { "$set": {
            BEFORE: { "$ifNull": [format!("${SERVING}"), Bson::Null] },
            SERVING: { "$literal": to },
            SHADOW: unless(SHADOW, to),
        } }];
        let refused = |kind| BackendError::new(OP, kind).context(plugin);
        for _ in 0..TRIES {
            let found = self.plugin(OP, plugin).await?;
            let found = found.filter(|found| releases(found).next().is_some());
            let found = found.ok_or_else(|| refused(ErrorKind::NotFound))?;
            if let Some(to) = to {
                let release = readable(OP, &found, to)?;
                release.ok_or_else(|| refused(ErrorKind::NotFound))?;
            }
            let serving = found.get_str(SERVING).ok();
            if serving == to {
                return Ok(());
            }
            if serving != from && self.guards.as_seen {
                return Err(refused(ErrorKind::Conflict));
            }
            let update = self.plugins.update_one(as_seen.clone(), change.clone());
            if self.write(OP, update).await?.matched_count > 0 {
                return Ok(());
            }
        }
        Err(again_and_again(OP, plugin))
    }

    async fn shadow(&self, plugin: &str, version: Option<&str>) -> Result<()> {
        const OP: &str = "plugins.shadow";
        let refused = |kind| BackendError::new(OP, kind).context(plugin);
        let found = self.plugin(OP, plugin).await?;
        let found = found.filter(|found| releases(found).next().is_some());
        let found = found.ok_or_else(|| refused(ErrorKind::NotFound))?;
        let mut idle = doc! { NAME: plugin };
        let change = match version {
            None => doc! { "$unset": { SHADOW: "" } },
            Some(version) => {
                let release = readable(OP, &found, version)?;
                release.ok_or_else(|| refused(ErrorKind::NotFound))?;
                idle.insert(VERSION, version);
                idle.insert(SERVING, doc! { "$ne": version });
                doc! { "$set": { SHADOW: version } }
            }
        };
        let update = self.plugins.update_one(idle, change);
        match self.write(OP, update).await?.matched_count {
            0 => Err(refused(ErrorKind::Conflict)),
            _ => Ok(()),
        }
    }

    async fn set_mode(&self, plugin: &str, mode: PluginMode) -> Result<()> {
        const OP: &str = "plugins.set_mode";
        let there = doc! { NAME: plugin, FIRST_RELEASE: { "$exists": true } };
        let change = doc! { "$set": { MODE: mode.as_str() } };
        let update = self.plugins.update_one(there, change);
        match self.write(OP, update).await?.matched_count {
            0 => Err(BackendError::new(OP, ErrorKind::NotFound).context(plugin)),
            _ => Ok(()),
        }
    }

    async fn withdraw(&self, plugin: &str, version: &str) -> Result<()> {
        const OP: &str = "plugins.withdraw";
        let idle = doc! { NAME: plugin, VERSION: version, SERVING: { "$ne": version } };
        let update = self
            .plugins
            .find_one_and_update(idle, vec![without(version)])
            .return_document(ReturnDocument::Before);
        if let Some(before) = self.write(OP, update).await? {
            let file = of_version(&before, version).and_then(|release| release.get("file"));
            if let Some(file) = file {
                self.discard_module(OP, file.clone()).await;
            }
            return Ok(());
        }
        let found = self.plugin(OP, plugin).await?;
        match found.and_then(|found| of_version(&found, version).map(drop)) {
            Some(()) => Err(BackendError::new(OP, ErrorKind::Conflict).context(plugin)),
            None => Ok(()),
        }
    }
}

/// Takes a release out of its plugin's document. The document stays after the last one, and then forgets its mode: a
/// later plugin of the name may be somebody else's.
fn without(version: &str) -> Document {
    let others = doc! { "$filter": {
        "input": format!("${RELEASES}"),
        "cond": { "$ne": ["$$this.version", { "$literal": version }] },
    } };
    let mode = doc! { "$cond": [
        { "$eq": [others.clone(), []] },
        "$$REMOVE",
        { "$ifNull": [format!("${MODE}"), "$$REMOVE"] },
    ] };
    doc! { "$set": {
        RELEASES: others,
        MODE: mode,
        BEFORE: unless(BEFORE, Some(version)),
        SHADOW: unless(SHADOW, Some(version)),
    } }
}

/// What the member says, unless it is this version; the member goes then, and if it says nothing.
fn unless(member: &str, version: Option<&str>) -> Document {
    doc! { "$cond": [
        { "$eq": [format!("${member}"), { "$literal": version }] },
        "$$REMOVE",
        { "$ifNull": [format!("${member}"), "$$REMOVE"] },
    ] }
}
