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
    /// `JavaScript`, on `QuickJS`.
    #[value(help = "JavaScript, on QuickJS")]
    Js,
    /// Python, on `CPython`.
    #[value(help = "Python, on CPython")]
    Python,
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
        Language::Js => js(kind),
        Language::Python => python(kind),
    };
    let filled = |(path, text): &File| {
        let text = text
            .replace("{{tools}}", tools(language))
            .replace("{{world}}", world(kind))
            .replace("{{sdk features}}", features(kind))
            .replace("{{memory}}", memory(language))
            .replace("{{cpu-ms}}", cpu_ms(language))
            .replace("{{name}}", name);
        ((*path).to_owned(), text)
    };
    let all = cases(kind).iter().chain(&CI).chain(own);
    let mut files: Vec<_> = all.map(filled).collect();
    match language {
        Language::Rust => files.extend(vendor::files()?),
        Language::Js | Language::Python => files.extend(CONTRACT.iter().map(filled)),
    }
    Ok(files)
}

/// How every plugin is built and tested elsewhere.
const CI: [File; 1] = [(
    ".github/workflows/plugin.yml",
    include_str!("templates/ci.yml"),
)];

/// What a plugin without an SDK implements.
const CONTRACT: [File; 2] = [
    ("wit/plugin.wit", vendor::CONTRACT),
    ("wit/world.wit", include_str!("templates/world.wit")),
];

/// What is enough for a template.
fn memory(language: Language) -> &'static str {
    match language {
        Language::Rust | Language::Js => "16MiB",
        Language::Python => "64MiB",
    }
}

/// What is enough for a limit, in milliseconds; for Python's engine, which is slow to start, all that operators allow by default.
fn cpu_ms(language: Language) -> &'static str {
    match language {
        Language::Rust | Language::Js => "10",
        Language::Python => "25",
    }
}

/// The steps that install a language's tools, and run its own tests if it has any.
fn tools(language: Language) -> &'static str {
    match language {
        Language::Rust => {
            "      - run: rustup target add wasm32-unknown-unknown\n      - run: cargo test"
        }
        Language::Js => "      - run: npm install",
        Language::Python => concat!(
            "      - uses: actions/setup-python@v6\n        with:\n          python-version: \"3.13\"\n",
            "      - run: pip install -r requirements.txt"
        ),
    }
}

fn world(kind: Kind) -> &'static str {
    match kind {
        Kind::Timeout => "timeout-plugin",
        Kind::Redaction => "redaction-plugin",
        Kind::Alert => "alert-plugin",
    }
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

macro_rules! js {
    ($source:literal) => {
        &[
            ("package.json", include_str!("templates/js/package.json")),
            ("plugin.js", include_str!(concat!("templates/js/", $source))),
            ("README.md", include_str!("templates/js/README.md")),
            (".gitignore", include_str!("templates/js/gitignore")),
        ]
    };
}

fn js(kind: Kind) -> &'static [File] {
    match kind {
        Kind::Timeout => js!("timeout.js"),
        Kind::Redaction => js!("redaction.js"),
        Kind::Alert => js!("alert.js"),
    }
}

macro_rules! python {
    ($source:literal) => {
        &[
            (
                "requirements.txt",
                include_str!("../../../../examples/plugins/languages/python/requirements.txt"),
            ),
            (
                "plugin.py",
                include_str!(concat!("templates/python/", $source)),
            ),
            ("README.md", include_str!("templates/python/README.md")),
            (".gitignore", include_str!("templates/python/gitignore")),
        ]
    };
}

fn python(kind: Kind) -> &'static [File] {
    match kind {
        Kind::Timeout => python!("timeout.py"),
        Kind::Redaction => python!("redaction.py"),
        Kind::Alert => python!("alert.py"),
    }
}
