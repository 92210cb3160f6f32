//! What `sandclock plugin new` writes: a table of files for each language and hook.
//!
//! `{{name}}` in a file becomes the plugin's name. To add a language, add it to [`Language`] and a row for each hook.

use clap::ValueEnum;

use super::vendor;

/// A language to write plugins in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// Rust, for wasm32-unknown-unknown.
    Rust,
}

/// What a new plugin is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Before a run: its time limit.
    Timeout,
    /// During a run: what to hide of its output.
    Redaction,
    /// After a run: whom to tell.
    Alert,
}

/// A file, by its path in the plugin's folder.
pub(super) type File = (&'static str, &'static str);

/// The files of a new plugin.
pub(super) fn files(
    language: Language,
    kind: Kind,
    name: &str,
) -> anyhow::Result<Vec<(String, String)>> {
    let own = match language {
        Language::Rust => rust(kind),
    };
    let filled = |(path, text): &File| {
        let text = text
            .replace("{{name}}", name)
            .replace("{{sdk features}}", features(kind));
        ((*path).to_owned(), text)
    };
    let mut files: Vec<_> = cases(kind).iter().chain(own).map(filled).collect();
    match language {
        Language::Rust => files.extend(vendor::files()?),
    }
    Ok(files)
}

/// What a plugin needs of the Rust SDK: only redaction brings an automaton engine along.
fn features(kind: Kind) -> &'static str {
    match kind {
        Kind::Redaction => "",
        Kind::Timeout | Kind::Alert => ", default-features = false",
    }
}

/// The manifest and the cases, which are the same in every language.
fn cases(kind: Kind) -> &'static [File] {
    match kind {
        Kind::Timeout => &[
            ("plugin.toml", include_str!("templates/timeout/plugin.toml")),
            (
                "cases/history.toml",
                include_str!("templates/timeout/history.toml"),
            ),
            (
                "cases/young.toml",
                include_str!("templates/timeout/young.toml"),
            ),
            (
                "cases/wrong-config.toml",
                include_str!("templates/timeout/wrong-config.toml"),
            ),
        ],
        Kind::Redaction => &[
            (
                "plugin.toml",
                include_str!("templates/redaction/plugin.toml"),
            ),
            (
                "cases/words.toml",
                include_str!("templates/redaction/words.toml"),
            ),
            (
                "cases/nothing.toml",
                include_str!("templates/redaction/nothing.toml"),
            ),
            (
                "cases/wrong-config.toml",
                include_str!("templates/redaction/wrong-config.toml"),
            ),
        ],
        Kind::Alert => &[
            ("plugin.toml", include_str!("templates/alert/plugin.toml")),
            (
                "cases/failure.toml",
                include_str!("templates/alert/failure.toml"),
            ),
            (
                "cases/again.toml",
                include_str!("templates/alert/again.toml"),
            ),
            (
                "cases/wrong-config.toml",
                include_str!("templates/alert/wrong-config.toml"),
            ),
        ],
    }
}

macro_rules! rust {
    ($source:literal) => {
        &[
            ("Cargo.toml", include_str!("templates/rust/Cargo.toml.txt")),
            (
                "src/lib.rs",
                include_str!(concat!("templates/rust/", $source)),
            ),
            ("README.md", include_str!("templates/rust/README.md")),
            (".gitignore", include_str!("templates/rust/gitignore")),
            (
                ".github/workflows/plugin.yml",
                include_str!("templates/rust/ci.yml"),
            ),
        ]
    };
}

fn rust(kind: Kind) -> &'static [File] {
    match kind {
        Kind::Timeout => rust!("timeout.rs"),
        Kind::Redaction => rust!("redaction.rs"),
        Kind::Alert => rust!("alert.rs"),
    }
}
