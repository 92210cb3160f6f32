//! Where things are: the repository's root, cargo's target directory, and the workspaces in the tree.
//!
//! The root comes from the environment that `cargo run` sets and not from a compile-time constant, so that
//! several worktrees may share one target directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// The two directories that every command needs.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The repository's root.
    pub(crate) root: PathBuf,
    /// Cargo's target directory, `CARGO_TARGET_DIR` included.
    pub(crate) target: PathBuf,
}

impl Place {
    /// Asks cargo. Errors when not started through `cargo xtask`.
    pub(crate) fn find() -> Result<Self> {
        let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR")
            .context("CARGO_MANIFEST_DIR is not set: start this as `cargo xtask`")?;
        let root = Path::new(&manifest_dir)
            .parent()
            .context("xtask lies in the root of the repository")?
            .to_path_buf();
        let metadata = metadata(&root)?;
        let target = metadata
            .get("target_directory")
            .and_then(serde_json::Value::as_str)
            .context("cargo metadata names the target directory")?;
        Ok(Self {
            root,
            target: PathBuf::from(target),
        })
    }

    /// Where downloaded tools are kept: `target/tools`.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// A cargo command in the root, ready for arguments.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(args).current_dir(&self.root);
        command
    }
}

/// `cargo metadata` of the workspace at `root`, members only: nothing is resolved or fetched.
pub(crate) fn metadata(root: &Path) -> Result<serde_json::Value> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(root);
    let text = process::output(&mut command)?;
    serde_json::from_str(&text).context("cargo metadata prints JSON")
}
