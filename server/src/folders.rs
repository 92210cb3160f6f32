//! Where this host keeps what belongs to the product.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use etcetera::BaseStrategy as _;

use crate::config::Config;

/// Where things are kept.
#[derive(Debug)]
pub(crate) struct Folders {
    /// What the product keeps.
    pub(crate) data: PathBuf,
    /// What must not lie there.
    pub(crate) config: PathBuf,
}

impl Folders {
    /// The folder that was asked for, or that the configuration names, or the user's own; made if it is not
    /// there.
    ///
    /// # Errors
    /// If there is none, or it cannot be made.
    pub(crate) fn of(asked: Option<&Path>, config: &Config) -> anyhow::Result<Self> {
        let data = data(asked, config)?;
        let config = match etcetera::choose_base_strategy() {
            Ok(user) => own(user.config_dir()),
            Err(_) => beside(&data)?,
        };
        private_folder(&data)?;
        Ok(Self { data, config })
    }
}

/// The folder that was asked for, or that the configuration names, or the user's own; nothing is made.
///
/// # Errors
/// If there is none.
pub(crate) fn data(asked: Option<&Path>, config: &Config) -> anyhow::Result<PathBuf> {
    asked
        .map(Path::to_owned)
        .or_else(|| config.data.clone())
        .or_else(|| {
            let user = etcetera::choose_base_strategy().ok()?;
            Some(own(user.data_dir()))
        })
        .context("there is no home directory: say where data is kept with --data DIR, or data in the configuration")
}

fn own(folder: PathBuf) -> PathBuf {
    folder.join("sandclock")
}

/// Without a home, what must not lie in the data directory lies beside it.
fn beside(data: &Path) -> anyhow::Result<PathBuf> {
    let mut name = data
        .file_name()
        .context("--data / is not accepted: name a folder")?
        .to_owned();
    name.push("-config");
    Ok(data.with_file_name(name))
}

/// Makes a folder that only its owner can enter; one that is there keeps its mode.
fn private_folder(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
        .create(path)
        .with_context(|| format!("create the data directory {}", path.display()))
}
