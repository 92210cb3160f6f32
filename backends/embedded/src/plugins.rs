//! The plugin store. Each request is one transaction, so that a release is there with its module or not at all.

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row};
use sandclock_core::backend::{
    ModuleDigest, PluginMode, PluginStore, Release, Result, StoredPlugin,
};
use sandclock_core::time::Timestamp;
use sandclock_core::{BackendError, ErrorKind};

use crate::error::{DbError, DbResult};
use crate::store::Store;
use crate::txn::Txn;

const COLUMNS: &str = "plugin, version, digest, bytes, pushed_by, pushed_at";

/// A row in the order of `COLUMNS`.
fn release(row: &Row<'_>) -> DbResult<Release> {
    let digest: String = row.get(2)?;
    Ok(Release {
        plugin: row.get(0)?,
        version: row.get(1)?,
        digest: ModuleDigest::parse(&digest).ok_or(DbError::Column {
            column: "releases.digest",
            value: digest,
        })?,
        bytes: row.get(3)?,
        pushed_by: row.get(4)?,
        pushed_at: Timestamp::from_millis(row.get(5)?),
    })
}

fn find(db: &Connection, plugin: &str, version: &str) -> DbResult<Option<Release>> {
    let sql = format!("SELECT {COLUMNS} FROM releases WHERE plugin = ?1 AND version = ?2");
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query((plugin, version))?;
    rows.next()?.map(release).transpose()
}

/// The release that serves, if the plugin is there.
fn serving(db: &Connection, plugin: &str) -> DbResult<Option<Option<String>>> {
    let mut select = db.prepare_cached("SELECT serving FROM plugins WHERE name = ?1")?;
    Ok(select.query_row([plugin], |row| row.get(0)).optional()?)
}

fn push(db: &Connection, new: &Release, module: &[u8]) -> DbResult<()> {
    if let Some(old) = find(db, &new.plugin, &new.version)? {
        return Ok(old.is_repeated_by(new)?);
    }
    let sql = "INSERT INTO plugins (name) VALUES (?1) ON CONFLICT DO NOTHING";
    db.prepare_cached(sql)?.execute([&new.plugin])?;
    let sql = "INSERT INTO releases VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6)";
    db.prepare_cached(sql)?.execute((
        &new.plugin,
        &new.version,
        new.digest.as_str(),
        new.bytes,
        &new.pushed_by,
        new.pushed_at.as_millis(),
    ))?;
    let mut replace = db.prepare_cached("REPLACE INTO modules VALUES (?1, ?2)")?;
    replace.execute((new.digest.as_str(), module))?;
    Ok(())
}

fn list(db: &Connection) -> DbResult<Vec<StoredPlugin>> {
    const OP: &str = "plugins.list";
    let sql = "SELECT name, serving, served_before, shadow, mode FROM plugins ORDER BY name";
    let mut select = db.prepare_cached(sql)?;
    let plugin = |row: &Row<'_>| {
        Ok(StoredPlugin {
            name: row.get(0)?,
            releases: Vec::new(),
            serving: row.get(1)?,
            before: row.get(2)?,
            shadow: row.get(3)?,
            mode: PluginMode::stored(row.get::<_, Option<String>>(4)?.as_deref()),
        })
    };
    let plugins = select.query_map([], plugin)?;
    let mut plugins: Vec<StoredPlugin> = plugins.collect::<rusqlite::Result<_>>()?;
    let sql = format!("SELECT {COLUMNS} FROM releases WHERE plugin = ?1 ORDER BY place DESC");
    let mut select = db.prepare_cached(&sql)?;
    for plugin in &mut plugins {
        let mut rows = select.query([&plugin.name])?;
        while let Some(row) = rows.next()? {
            match release(row).map_err(|error| error.at(OP)) {
                Err(error) if error.kind == ErrorKind::Corrupt => {}
                release => plugin.releases.push(release?),
            }
        }
    }
    plugins.retain(|plugin| !plugin.releases.is_empty());
    Ok(plugins)
}

fn serve(db: &Connection, plugin: &str, from: Option<&str>, to: Option<&str>) -> DbResult<()> {
    let refuse = |kind| {
        let refused = BackendError::new("plugins.serve", kind);
        Err(DbError::from(refused.context(plugin)))
    };
    let Some(serving) = serving(db, plugin)? else {
        return refuse(ErrorKind::NotFound);
    };
    if let Some(to) = to
        && find(db, plugin, to)?.is_none()
    {
        return refuse(ErrorKind::NotFound);
    }
    if serving.as_deref() == to {
        return Ok(());
    }
    if serving.as_deref() != from {
        return refuse(ErrorKind::Conflict);
    }
    let sql =
        "UPDATE plugins SET served_before = serving, serving = ?2, shadow = nullif(shadow, ?2)
               WHERE name = ?1";
    db.prepare_cached(sql)?.execute((plugin, to))?;
    Ok(())
}

fn shadow(db: &Connection, plugin: &str, version: Option<&str>) -> DbResult<()> {
    let refuse = |kind| {
        let refused = BackendError::new("plugins.shadow", kind);
        Err(DbError::from(refused.context(plugin)))
    };
    let Some(serving) = serving(db, plugin)? else {
        return refuse(ErrorKind::NotFound);
    };
    if let Some(version) = version {
        if find(db, plugin, version)?.is_none() {
            return refuse(ErrorKind::NotFound);
        }
        if serving.as_deref() == Some(version) {
            return refuse(ErrorKind::Conflict);
        }
    }
    let sql = "UPDATE plugins SET shadow = ?2 WHERE name = ?1";
    db.prepare_cached(sql)?.execute((plugin, version))?;
    Ok(())
}

fn set_mode(db: &Connection, plugin: &str, mode: PluginMode) -> DbResult<()> {
    let sql = "UPDATE plugins SET mode = ?2 WHERE name = ?1";
    let changed = db.prepare_cached(sql)?.execute((plugin, mode.as_str()))?;
    if changed == 0 {
        let missing = BackendError::new("plugins.set_mode", ErrorKind::NotFound);
        return Err(missing.context(plugin).into());
    }
    Ok(())
}

fn withdraw(db: &Connection, plugin: &str, version: &str) -> DbResult<()> {
    if serving(db, plugin)?.flatten().as_deref() == Some(version) {
        let conflict = BackendError::new("plugins.withdraw", ErrorKind::Conflict);
        return Err(conflict.context(plugin).into());
    }
    for sql in [
        "DELETE FROM releases WHERE plugin = ?1 AND version = ?2",
        "UPDATE plugins SET served_before = NULL WHERE name = ?1 AND served_before = ?2",
        "UPDATE plugins SET shadow = NULL WHERE name = ?1 AND shadow = ?2",
    ] {
        db.prepare_cached(sql)?.execute((plugin, version))?;
    }
    for sql in [
        "DELETE FROM plugins WHERE name NOT IN (SELECT plugin FROM releases)",
        "DELETE FROM modules WHERE digest NOT IN (SELECT digest FROM releases)",
    ] {
        db.prepare_cached(sql)?.execute([])?;
    }
    Ok(())
}

#[async_trait]
impl PluginStore for Store {
    async fn push(&self, release: &Release, module: &Bytes) -> Result<()> {
        release.check(module)?;
        let (release, module) = (release.clone(), module.clone());
        let work = move |txn: &mut Txn<'_>| push(txn.db, &release, &module);
        self.writer.write("plugins.push", work).await
    }

    async fn list(&self) -> Result<Vec<StoredPlugin>> {
        self.readers.read("plugins.list", list).await
    }

    async fn module(&self, digest: &ModuleDigest) -> Result<Bytes> {
        const OP: &str = "plugins.module";
        let wanted = digest.clone();
        let read = move |db: &Connection| {
            let mut select = db.prepare_cached("SELECT module FROM modules WHERE digest = ?1")?;
            let module = select.query_row([wanted.as_str()], |row| row.get::<_, Vec<u8>>(0));
            Ok(module.optional()?)
        };
        let module = self.readers.read(OP, read).await?;
        let missing = || BackendError::new(OP, ErrorKind::NotFound).context(digest);
        digest.verified(module.ok_or_else(missing)?.into())
    }

    async fn serve(&self, plugin: &str, from: Option<&str>, to: Option<&str>) -> Result<()> {
        let plugin = plugin.to_owned();
        let (from, to) = (from.map(str::to_owned), to.map(str::to_owned));
        let work = move |txn: &mut Txn<'_>| serve(txn.db, &plugin, from.as_deref(), to.as_deref());
        self.writer.write("plugins.serve", work).await
    }

    async fn shadow(&self, plugin: &str, version: Option<&str>) -> Result<()> {
        let (plugin, version) = (plugin.to_owned(), version.map(str::to_owned));
        let work = move |txn: &mut Txn<'_>| shadow(txn.db, &plugin, version.as_deref());
        self.writer.write("plugins.shadow", work).await
    }

    async fn set_mode(&self, plugin: &str, mode: PluginMode) -> Result<()> {
        let plugin = plugin.to_owned();
        let work = move |txn: &mut Txn<'_>| set_mode(txn.db, &plugin, mode);
        self.writer.write("plugins.set_mode", work).await
    }

    async fn withdraw(&self, plugin: &str, version: &str) -> Result<()> {
        let (plugin, version) = (plugin.to_owned(), version.to_owned());
        let work = move |txn: &mut Txn<'_>| withdraw(txn.db, &plugin, &version);
        self.writer.write("plugins.withdraw", work).await
    }
}
