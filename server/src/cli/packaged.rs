//! What a package installs beside the program: completions of shells, and man pages. Both are made of the command
//! line itself.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, out, table};

/// For whom to complete.
#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS)]
pub(super) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

/// How completions are installed.
const COMPLETIONS: &str = "\
For yourself, in bash:
  mkdir -p ~/.local/share/bash-completion/completions
  sandclock completions bash \\
    > ~/.local/share/bash-completion/completions/sandclock
in zsh, into a folder of $fpath:   sandclock completions zsh > _sandclock
in fish:
  sandclock completions fish > ~/.config/fish/completions/sandclock.fish";

/// Where to write man pages.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The folder, such as /usr/local/share/man/man1
    folder: PathBuf,
}

/// Prints a script that completes the command line in a shell.
pub(super) fn completions(args: &CompletionsArgs) {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "sandclock", &mut text);
    out::write(&text);
}

/// Writes a man page for each command, and says how many.
///
/// # Errors
/// If the folder cannot be written.
pub(super) fn man(args: &ManArgs) -> anyhow::Result<()> {
    let failed = || format!("write man pages to {}", args.folder.display());
    std::fs::create_dir_all(&args.folder).with_context(failed)?;
    clap_mangen::generate_to(Cli::command(), &args.folder).with_context(failed)?;
    let pages = pages(&args.folder).with_context(failed)?;
    table::say(&format!("wrote {pages} man pages"));
    Ok(())
}

fn pages(folder: &Path) -> std::io::Result<usize> {
    let mut pages = 0;
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        pages += usize::from(name.starts_with("sandclock") && name.ends_with(".1"));
    }
    Ok(pages)
}
