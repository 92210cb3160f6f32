//! The plugin store.
//!
//! A plugin is one document with all its releases, and each change of it one conditional step. A module is a file
//! in GridFS that belongs to one release and is there before it, so that nobody ever finds a release without one.
//! What a push that came to nothing has left behind goes with a later push.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::io::{AsyncReadExt, AsyncWriteExt};
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::{Error, ErrorKind as Driver, GridFsErrorKind, Result as Driven};
use mongodb::options::ReturnDocument;
use sandclock_core::backend::{ModuleDigest, PluginStore, Release, Result, StoredPlugin};
use sandclock_core::time::Timestamp;
use sandclock_core::{BackendError, ErrorKind};

use crate::error::Access;
use crate::outbox::is_duplicate;
use crate::schema::plugin::{BEFORE, DIGEST, FILE, NAME, RELEASES, SERVING, VERSION};
use crate::store::Store;

/// How often a push looks again for what it met. Each time somebody else was faster.
const PUSH_TRIES: u32 = 8;

/// A file that no release has is left alone for so long: its push may still be under way.
const ABANDONED_MS: i64 = 24 * 3_600_000;

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
    })
}

/// The release in a plugin's document whose member holds this text.
fn with<'a>(document: &'a Document, member: &str, text: &str) -> Option<&'a Document> {
    releases(document).find(|release| release.get_str(member).is_ok_and(|found| found == text))
}

/// The release of this version in a plugin's document.
fn of_version<'a>(document: &'a Document, version: &str) -> Option<&'a Document> {
    with(document, "version", version)
}

/// What a stream of GridFS says, as the driver would.
fn of_stream(error: io::Error) -> Error {
    error.downcast::<Error>().unwrap_or_else(Error::from)
}

fn is_missing(error: &Error) -> bool {
    let missing = |kind: &GridFsErrorKind| matches!(kind, GridFsErrorKind::FileNotFound { .. });
    matches!(error.kind.as_ref(), Driver::GridFs(kind) if missing(kind))
}

impl Store {
    async fn plugin(&self, op: &'static str, name: &str) -> Result<Option<Document>> {
        self.read(op, async {
            self.plugins.find_one(doc! { NAME: name }).await
        })
        .await
    }

    /// Keeps the bytes as a file of their own.
    async fn upload(&self, digest: &ModuleDigest, module: &[u8]) -> Driven<Bson> {
        let mut file = self.modules.open_upload_stream(digest.as_str()).await?;
        file.write_all(module).await.map_err(of_stream)?;
        file.close().await.map_err(of_stream)?;
        Ok(file.id().clone())
    }

    async fn download(&self, file: &Bson) -> Driven<Vec<u8>> {
        let mut module = Vec::new();
        let mut stream = self.modules.open_download_stream(file.clone()).await?;
        stream.read_to_end(&mut module).await.map_err(of_stream)?;
        Ok(module)
    }

    /// Deletes a file, unless somebody else has.
    async fn discard(&self, file: Bson) -> Driven<()> {
        match self.modules.delete(file).await {
            Err(error) if is_missing(&error) => Ok(()),
            deleted => deleted,
        }
    }

    /// Adds the release to its plugin. False if one of its version is there.
    async fn add(&self, op: &'static str, release: &Release, file: &Bson) -> Result<bool> {
        let without = doc! { NAME: &release.plugin, VERSION: { "$ne": &release.version } };
        let push = doc! { "$push": { RELEASES: document(release, file) } };
        let update = self.plugins.update_one(without, push).upsert(true);
        let outcome = async {
            match update.await {
                Ok(_) => Ok(true),
                Err(error) if is_duplicate(&error) => Ok(false),
                Err(error) => Err(error),
            }
        };
        self.write(op, Box::pin(outcome)).await
    }

    /// Deletes files that no release has and no push can still mean.
    async fn sweep(&self, op: &'static str) -> Result<()> {
        let kept = self.plugins.distinct(FILE, doc! {});
        let kept = self.read(op, async { kept.await }).await?;
        let old = doc! { "$lt": ["$uploadDate", { "$subtract": ["$$NOW", ABANDONED_MS] }] };
        let abandoned = doc! { "_id": { "$nin": kept }, "$expr": old };
        let work = async {
            let mut files = self.modules.find(abandoned).await?;
            while files.advance().await? {
                self.discard(files.deserialize_current()?.id).await?;
            }
            Ok(())
        };
        self.transfer(op, Access::Write, work).await
    }
}

#[async_trait]
impl PluginStore for Store {
    async fn push(&self, release: &Release, module: &Bytes) -> Result<()> {
        const OP: &str = "plugins.push";
        release.check(module)?;
        let mut file = None;
        for _ in 0..PUSH_TRIES {
            let plugin = self.plugin(OP, &release.plugin).await?;
            let there = plugin.and_then(|plugin| {
                let document = of_version(&plugin, &release.version)?;
                Some(self::release(&release.plugin, document))
            });
            if let Some(old) = there {
                if let Some(file) = file {
                    self.write(OP, Box::pin(self.discard(file))).await?;
                }
                let corrupt =
                    || BackendError::new(OP, ErrorKind::Corrupt).context(&release.version);
                return old.ok_or_else(corrupt)?.is_repeated_by(release);
            }
            let file = match &file {
                Some(file) => file,
                None => {
                    self.sweep(OP).await?;
                    let upload = self.upload(&release.digest, module);
                    file.insert(self.transfer(OP, Access::Write, upload).await?)
                }
            };
            if self.add(OP, release, file).await? {
                return Ok(());
            }
        }
        let why = format!("plugin {} is changed again and again", release.plugin);
        Err(BackendError::new(OP, ErrorKind::Throttled).context(why))
    }

    async fn list(&self) -> Result<Vec<StoredPlugin>> {
        let find = self.plugins.find(doc! {}).sort(doc! { NAME: 1 });
        let found = self.read("plugins.list", async { find.await?.try_collect().await });
        let found: Vec<Document> = found.await?;
        Ok(found.iter().filter_map(plugin).collect())
    }

    async fn module(&self, digest: &ModuleDigest) -> Result<Bytes> {
        const OP: &str = "plugins.module";
        let any = self.plugins.find_one(doc! { DIGEST: digest.as_str() });
        let plugin = self.read(OP, async { any.await }).await?;
        let release = plugin.as_ref();
        let release = release.and_then(|plugin| with(plugin, "digest", digest.as_str()));
        let file = release.and_then(|release| release.get("file"));
        let missing = || BackendError::new(OP, ErrorKind::NotFound).context(digest);
        let download = self.download(file.ok_or_else(missing)?);
        let module = self.transfer(OP, Access::Read, download).await?.into();
        match self.guards.digest {
            true => digest.verified(module),
            false => Ok(module),
        }
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
        let change = doc! { "$set": {
            BEFORE: { "$ifNull": [format!("${SERVING}"), Bson::Null] },
            SERVING: { "$literal": to },
        } };
        if from != to {
            let update = self.plugins.update_one(as_seen, vec![change]);
            if self.write(OP, update).await?.matched_count > 0 {
                return Ok(());
            }
        }
        let refuse = |kind| Err(BackendError::new(OP, kind).context(plugin));
        match self.plugin(OP, plugin).await? {
            Some(found) if to.is_none_or(|to| of_version(&found, to).is_some()) => {
                match found.get_str(SERVING).ok() == to {
                    true => Ok(()),
                    false => refuse(ErrorKind::Conflict),
                }
            }
            _ => refuse(ErrorKind::NotFound),
        }
    }

    async fn withdraw(&self, plugin: &str, version: &str) -> Result<()> {
        const OP: &str = "plugins.withdraw";
        let idle = doc! { NAME: plugin, VERSION: version, SERVING: { "$ne": version } };
        let literal = doc! { "$literal": version };
        let change = doc! { "$set": {
            RELEASES: { "$filter": {
                "input": format!("${RELEASES}"),
                "cond": { "$ne": ["$$this.version", &literal] },
            } },
            BEFORE: { "$cond": [
                { "$eq": [format!("${BEFORE}"), &literal] },
                Bson::Null,
                { "$ifNull": [format!("${BEFORE}"), Bson::Null] },
            ] },
        } };
        let update = self
            .plugins
            .find_one_and_update(idle, vec![change])
            .return_document(ReturnDocument::Before);
        if let Some(before) = self.write(OP, update).await? {
            let file = of_version(&before, version).and_then(|release| release.get("file"));
            if let Some(file) = file {
                self.write(OP, Box::pin(self.discard(file.clone()))).await?;
            }
            return Ok(());
        }
        match self.plugin(OP, plugin).await? {
            Some(found) if of_version(&found, version).is_some() => {
                Err(BackendError::new(OP, ErrorKind::Conflict).context(plugin))
            }
            _ => Ok(()),
        }
    }
}
