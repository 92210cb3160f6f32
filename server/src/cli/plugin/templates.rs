//! What `sandclock plugin new` writes: a table of files for each language and hook.
//!
//! `{{name}}` in a file becomes the plugin's name, and so with other gaps. To add a language, add it to [`Language`] and to [`template`].

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
    /// Go, by its usual compiler.
    Go,
    /// C, by Zig's clang.
    C,
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
type File = (&'static str, &'static str);

macro_rules! file {
    ($path:literal, $template:literal) => {
        ($path, include_str!(concat!("templates/", $template)))
    };
}

/// What is of one language in a new plugin.
struct Template {
    /// The steps of CI that install the language's tools, and run its own tests if it has any.
    steps: &'static str,
    /// What is enough for a template.
    memory: &'static str,
    /// What is enough for a limit, in milliseconds.
    cpu_ms: &'static str,
    /// The files of every plugin.
    files: &'static [File],
    /// The sources of this one.
    sources: &'static [File],
}

/// The files of a new plugin.
pub(super) fn files(
    language: Language,
    kind: Kind,
    name: &str,
) -> anyhow::Result<Vec<(String, String)>> {
    let template = template(language, kind);
    let filled = |(path, text): &File| {
        let text = text
            .replace("{{tools}}", template.steps)
            .replace("{{world}}", world(kind))
            .replace("{{sdk features}}", features(kind))
            .replace("{{memory}}", template.memory)
            .replace("{{cpu-ms}}", template.cpu_ms)
            .replace("{{name}}", name);
        ((*path).to_owned(), text)
    };
    let all = cases(kind).iter().chain(&CI).chain(template.files);
    let all = all.chain(template.sources);
    let mut files: Vec<_> = all.map(filled).collect();
    match language {
        Language::Rust => files.extend(vendor::files()?),
        Language::Js | Language::Python | Language::C => files.extend(CONTRACT.iter().map(filled)),
        Language::Go => files.extend(CONTRACT.iter().chain(vendor::GO).map(filled)),
    }
    Ok(files)
}

/// How every plugin is built and tested elsewhere.
const CI: [File; 1] = [file!(".github/workflows/plugin.yml", "ci.yml")];

/// What a plugin without an SDK implements.
const CONTRACT: [File; 2] = [
    ("wit/plugin.wit", vendor::CONTRACT),
    file!("wit/world.wit", "world.wit"),
];

fn world(kind: Kind) -> &'static str {
    match kind {
        Kind::Timeout => "timeout-plugin",
        Kind::Redaction => "redaction-plugin",
        Kind::Alert => "alert-plugin",
    }
}

/// What a plugin needs of the Rust SDK: the schema of its configuration, and only for redaction an automaton engine.
fn features(kind: Kind) -> &'static str {
    match kind {
        Kind::Redaction => ", features = [\"schema\"]",
        Kind::Timeout | Kind::Alert => ", default-features = false, features = [\"schema\"]",
    }
}

/// The manifest and the cases, which are the same in every language.
fn cases(kind: Kind) -> &'static [File] {
    match kind {
        Kind::Timeout => &[
            file!("plugin.toml", "timeout/plugin.toml"),
            file!("config.schema.json", "timeout/config.schema.json"),
            file!("cases/history.toml", "timeout/history.toml"),
            file!("cases/young.toml", "timeout/young.toml"),
            file!("cases/wrong-config.toml", "timeout/wrong-config.toml"),
        ],
        Kind::Redaction => &[
            file!("plugin.toml", "redaction/plugin.toml"),
            file!("config.schema.json", "redaction/config.schema.json"),
            file!("cases/words.toml", "redaction/words.toml"),
            file!("cases/nothing.toml", "redaction/nothing.toml"),
            file!("cases/wrong-config.toml", "redaction/wrong-config.toml"),
        ],
        Kind::Alert => &[
            file!("plugin.toml", "alert/plugin.toml"),
            file!("config.schema.json", "alert/config.schema.json"),
            file!("cases/failure.toml", "alert/failure.toml"),
            file!("cases/again.toml", "alert/again.toml"),
            file!("cases/wrong-config.toml", "alert/wrong-config.toml"),
        ],
    }
}

/// What the language has for the hook.
fn template(language: Language, kind: Kind) -> Template {
    match language {
        Language::Rust => rust(kind),
        Language::Js => js(kind),
        Language::Python => python(kind),
        Language::Go => go(kind),
        Language::C => c(kind),
    }
}

fn rust(kind: Kind) -> Template {
    Template {
        steps: concat!(
            "      - run: rustup target add wasm32-unknown-unknown\n",
            "      - run: cargo test"
        ),
        memory: "16MiB",
        cpu_ms: "10",
        files: &[
            file!("Cargo.toml", "rust/Cargo.toml.txt"),
            file!("README.md", "rust/README.md"),
            file!(".gitignore", "rust/gitignore"),
        ],
        sources: match kind {
            Kind::Timeout => &[file!("src/lib.rs", "rust/timeout.rs")],
            Kind::Redaction => &[file!("src/lib.rs", "rust/redaction.rs")],
            Kind::Alert => &[file!("src/lib.rs", "rust/alert.rs")],
        },
    }
}

fn js(kind: Kind) -> Template {
    Template {
        steps: "      - run: npm install",
        memory: "16MiB",
        cpu_ms: "10",
        files: &[
            file!("package.json", "js/package.json"),
            file!("README.md", "js/README.md"),
            file!(".gitignore", "js/gitignore"),
        ],
        sources: match kind {
            Kind::Timeout => &[file!("plugin.js", "js/timeout.js")],
            Kind::Redaction => &[file!("plugin.js", "js/redaction.js")],
            Kind::Alert => &[file!("plugin.js", "js/alert.js")],
        },
    }
}

fn python(kind: Kind) -> Template {
    Template {
        steps: concat!(
            "      - uses: actions/setup-python@v6\n        with:\n          python-version: \"3.13\"\n",
            "      - run: pip install -r requirements.txt"
        ),
        memory: "64MiB",
        // All that operators allow by default: its engine is slow to start.
        cpu_ms: "25",
        files: &[
            (
                "requirements.txt",
                include_str!("../../../../examples/plugins/languages/python/requirements.txt"),
            ),
            file!("README.md", "python/README.md"),
            file!(".gitignore", "python/gitignore"),
        ],
        sources: match kind {
            Kind::Timeout => &[file!("plugin.py", "python/timeout.py")],
            Kind::Redaction => &[file!("plugin.py", "python/redaction.py")],
            Kind::Alert => &[file!("plugin.py", "python/alert.py")],
        },
    }
}

fn go(kind: Kind) -> Template {
    Template {
        steps: concat!(
            "      - uses: actions/setup-go@v6\n        with:\n",
            "          go-version: \"1.25\"\n          cache: false"
        ),
        memory: "32MiB",
        cpu_ms: "10",
        files: &[
            file!("go.mod", "go/go.mod.txt"),
            (
                "go.sum",
                include_str!("../../../../examples/plugins/languages/go/go.sum"),
            ),
            file!("main.go", "go/main.go"),
            file!(
                "export_sandclock_plugin_lifecycle/lifecycle.go",
                "go/lifecycle.go"
            ),
            file!("README.md", "go/README.md"),
            file!(".gitignore", "go/gitignore"),
        ],
        sources: match kind {
            Kind::Timeout => &[
                file!(
                    "export_sandclock_plugin_timeout_policy/timeout.go",
                    "go/timeout.go"
                ),
                file!("settings/settings.go", "go/timeout-settings.go"),
            ],
            Kind::Redaction => &[
                file!(
                    "export_sandclock_plugin_output_redaction/redaction.go",
                    "go/redaction.go"
                ),
                file!("settings/settings.go", "go/redaction-settings.go"),
            ],
            Kind::Alert => &[
                file!("export_sandclock_plugin_run_end/alert.go", "go/alert.go"),
                file!("settings/settings.go", "go/alert-settings.go"),
            ],
        },
    }
}

fn c(kind: Kind) -> Template {
    Template {
        steps: concat!(
            "      - uses: actions/setup-python@v6\n        with:\n          python-version: \"3.13\"\n",
            "      - run: pip install -r requirements.txt"
        ),
        memory: "16MiB",
        cpu_ms: "10",
        files: &[
            (
                "requirements.txt",
                include_str!("../../../../examples/plugins/languages/c/requirements.txt"),
            ),
            file!("text.h", "c/text.h"),
            file!("text.c", "c/text.c"),
            file!("README.md", "c/README.md"),
            file!(".gitignore", "c/gitignore"),
        ],
        sources: match kind {
            Kind::Timeout => &[file!("plugin.c", "c/timeout.c")],
            Kind::Redaction => &[file!("plugin.c", "c/redaction.c")],
            Kind::Alert => &[file!("plugin.c", "c/alert.c")],
        },
    }
}
