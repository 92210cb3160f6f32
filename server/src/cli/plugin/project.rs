//! A plugin's folder as its author keeps it: `plugin.toml`, the sources, the cases, and the file that is built of them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use sandclock_hooks::manifest::Configuration;
use sandclock_hooks::{Artifact, Manifest};

use super::bindings;
use crate::cli::file::Written;
use crate::cli::{Told, table};

/// The manifest's file.
const MANIFEST: &str = "plugin.toml";

/// The schema of the plugin's configuration, beside the manifest, of which it becomes a part.
const SCHEMA: &str = "config.schema.json";

/// The folder of the cases, from the plugin's.
pub(super) const CASES: &str = "cases";

/// A folder with a manifest.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) folder: PathBuf,
    pub(super) manifest: Manifest,
}

impl Project {
    /// Reads the folder's manifest.
    ///
    /// # Errors
    /// If there is none, or names the line and the field that is not accepted.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(MANIFEST);
        if !path.exists() {
            let told = format!(
                "{} has no {MANIFEST}: name the plugin's folder, or make one with sandclock plugin new",
                folder.display()
            );
            return Err(Told(told).into());
        }
        let mut manifest: Manifest = Written::read(&path)?.whole()?;
        let schema = folder.join(SCHEMA);
        if schema.exists() {
            if manifest.config.is_some() {
                let told = format!(
                    "{} and {} both say how the plugin is configured: take [config] out of the manifest, or the file away",
                    path.display(),
                    schema.display()
                );
                return Err(Told(told).into());
            }
            let schema = Written::read(&schema)?.schema()?;
            manifest.config = Some(Configuration { schema });
        }
        Ok(Self {
            manifest,
            folder: folder.to_owned(),
        })
    }

    /// Where the built file is.
    pub(super) fn built(&self) -> PathBuf {
        let file = format!("{}.wasm", self.manifest.plugin.name);
        match self.folder.to_str() {
            Some(".") => PathBuf::from(file),
            _ => self.folder.join(file),
        }
    }
}

/// A built plugin, and where its cases are.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) file: PathBuf,
    pub(super) artifact: Artifact,
    pub(super) cases: PathBuf,
}

impl Built {
    /// Reads what is at `path`: a folder's built file, or a file.
    ///
    /// # Errors
    /// If it is not there, or has a manifest that is not accepted.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        if !path.is_dir() {
            let folder = path.parent().unwrap_or_else(|| Path::new(""));
            return Ok(Self {
                artifact: artifact(path)?,
                cases: folder.join(CASES),
                file: path.to_owned(),
            });
        }
        let file = Project::read(path)?.built();
        if !file.exists() {
            let told = format!(
                "{} is not built: sandclock plugin build {} does that",
                file.display(),
                path.display()
            );
            return Err(Told(told).into());
        }
        if let Some(source) = newer_source(path, modified(&file)) {
            table::aside(&format!(
                "sandclock: {} is newer than {}: sandclock plugin build {} builds it anew",
                source.display(),
                file.display(),
                path.display()
            ));
        }
        Ok(Self {
            artifact: artifact(&file)?,
            cases: path.join(CASES),
            file,
        })
    }
}

/// Folders that a build makes or does not look at.
const NO_SOURCES: [&str; 6] = [
    bindings::FOLDER,
    CASES,
    "__pycache__",
    "node_modules",
    "target",
    "vendor",
];

/// The sources in a folder, and when each was written. What is built of them is none.
pub(super) fn sources(folder: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut found = BTreeMap::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or(".");
        if name.starts_with('.') || NO_SOURCES.contains(&name) || name.contains(".wasm") {
            continue;
        }
        if path.is_dir() {
            found.append(&mut sources(&path));
        } else if let Some(at) = modified(&path) {
            found.insert(path, at);
        }
    }
    found
}

/// A source that was written after the file that is built of it, which may be no more what the author means.
fn newer_source(folder: &Path, built: Option<SystemTime>) -> Option<PathBuf> {
    let mut sources = sources(folder).into_iter();
    sources.find_map(|(path, at)| (Some(at) > built).then_some(path))
}

fn modified(file: &Path) -> Option<SystemTime> {
    file.metadata().ok()?.modified().ok()
}

/// A file as an artifact, under the name that its manifest gives it, or else its own.
///
/// # Errors
/// If it cannot be read, or has a manifest that is not accepted.
pub(super) fn artifact(file: &Path) -> anyhow::Result<Artifact> {
    let bytes = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
    let manifest = Manifest::of(&bytes).with_context(|| file.display().to_string())?;
    let (name, version) = match manifest {
        Some(Manifest { plugin, .. }) => (Some(plugin.name), Some(plugin.version)),
        None => (
            file.file_stem().and_then(OsStr::to_str).map(str::to_owned),
            None,
        ),
    };
    let told = || Told(format!("{} names no plugin: say --name", file.display()));
    Ok(Artifact::new(name.ok_or_else(told)?, version, bytes))
}
