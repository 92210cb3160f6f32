//! `sandclock plugin new`: a folder in which everything works from the start.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::templates::{self, Kind, Language};
use crate::cli::table::{self, say};
use crate::cli::{Output, Told};

/// What to make.
#[derive(Debug, Args)]
pub(in crate::cli) struct NewArgs {
    /// The plugin's name, and that of its folder
    name: String,
    /// What to write it in: rust, js, python, go or c
    #[arg(long, value_enum, default_value_t = Language::Rust, hide_possible_values = true)]
    lang: Language,
    /// What it is asked
    #[arg(long, value_enum)]
    hook: Kind,
    /// The folder to make [default: the name, in this one]
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Writes the folder.
///
/// # Errors
/// If the name cannot be, there is something already, or it cannot be written.
pub(super) fn run(args: &NewArgs, output: Output) -> anyhow::Result<()> {
    let name = &args.name;
    let first = |c: char| c.is_ascii_lowercase();
    let fits = |c: char| first(c) || c.is_ascii_digit() || c == '-';
    if !name.starts_with(first) || !name.chars().all(fits) || name.len() > 64 {
        let told = format!(
            "name: {name} is not accepted: 1 to 64 small letters, digits and '-', first a letter, so that \
             every language can call it so"
        );
        return Err(Told(told).into());
    }
    let folder = args.dir.clone().unwrap_or_else(|| PathBuf::from(name));
    if fs::symlink_metadata(&folder).is_ok() {
        let told = format!(
            "{} is there already, and nothing is overwritten: choose another name, or --dir",
            folder.display()
        );
        return Err(Told(told).into());
    }
    let files = templates::files(args.lang, args.hook, name)?;
    for (path, text) in &files {
        write(&folder.join(path), text)?;
    }
    let written: Vec<_> = files.iter().map(|(path, _)| path).collect();
    let done = json!({ "plugin": name, "folder": folder, "files": written });
    table::either(output, &done, |_| {
        say(&format!("wrote {}", folder.display()));
        say(&format!("next: cd {}", folder.display()));
        say("      sandclock plugin build");
        say("      sandclock plugin test");
    });
    Ok(())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let fail = || format!("write {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(fail)?;
    }
    fs::write(path, text).with_context(fail)
}
