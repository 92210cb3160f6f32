//! One timeout policy in five languages, from `examples/plugins/languages`, and the invocations that were recorded of it.
//!
//! Each language is built as its README says: what is run here is the shell block below its heading `Build`, so the recipe that people
//! read is the one that works.

mod recorded;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use self::recorded::{Recorded, decided, recorded};

/// Where the toolchains are put, below the target directory.
const TOOLS: &str = "tools/languages";

/// How a person gets them there.
const GET: &str = "cargo xtask tools";

/// The contract's folder, which recipes expect as `wit`.
const WIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins-sdk/wit");

/// The examples.
const PLUGINS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/plugins");

/// What the policy is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// With the SDK; its artifact is committed.
    Rust,
    /// With zig's clang.
    C,
    /// On QuickJS.
    JavaScript,
    /// On CPython.
    Python,
    /// With the usual Go.
    Go,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Rust,
        Self::C,
        Self::JavaScript,
        Self::Python,
        Self::Go,
    ];

    /// The folder's name, which is a plugin's as well.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
            Self::JavaScript => "js",
            Self::Python => "python",
            Self::Go => "go",
        }
    }

    /// Builds the plugin, which takes up to a minute. What comes out is what the toolchain writes: for Go a core module that does not say
    /// what it implements.
    ///
    /// # Panics
    /// If the toolchain is not installed, with the command that installs it, or if the build fails, with what it printed.
    pub fn build(self) -> Vec<u8> {
        let plugins = Path::new(PLUGINS);
        if self == Self::Rust {
            let artifact = plugins.join("artifacts/times-p99.wasm");
            return fs::read(artifact).expect("the artifact, made by `cargo xtask plugins`");
        }
        let source = plugins.join("languages").join(self.name());
        let place = tempfile::tempdir().expect("a folder to build in");
        copy(&source, place.path());
        copy(Path::new(WIT), &place.path().join("wit"));
        let readme = fs::read_to_string(source.join("README.md")).expect("a README.md");
        run(&recipe(&readme), place.path());
        fs::read(place.path().join("plugin.wasm")).expect("the recipe makes plugin.wasm")
    }
}

/// The shell block below the heading `Build`.
fn recipe(readme: &str) -> String {
    let (_, build) = readme
        .split_once("\n## Build\n")
        .expect("a heading `Build`");
    let (_, block) = build.split_once("```sh\n").expect("a shell block");
    let (block, _) = block.split_once("```").expect("the block ends");
    block.to_owned()
}

#[expect(
    clippy::disallowed_methods,
    reason = "compilers are programs, found on the path"
)]
fn run(recipe: &str, place: &Path) {
    let mut shell = Command::new("sh");
    let output = with_toolchains(&mut shell)
        .args(["-euc", recipe])
        .current_dir(place)
        .output()
        .expect("a shell");
    assert!(
        output.status.success(),
        "{recipe}fails; if a toolchain is missing, get it with: {GET}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Lets a command find the toolchains, which fetch nothing.
///
/// # Panics
/// If they are not installed, with the command that installs them.
#[expect(
    clippy::disallowed_methods,
    reason = "compilers are programs, found on the path"
)]
pub fn with_toolchains(command: &mut Command) -> &mut Command {
    let tools = tools();
    let path = std::env::var("PATH").unwrap_or_default();
    let (bin, npm) = (tools.join("bin"), tools.join("node_modules/.bin"));
    command
        .env(
            "PATH",
            format!("{}:{}:{path}", bin.display(), npm.display()),
        )
        .env("ZIG_GLOBAL_CACHE_DIR", tools.join("zig-cache"))
        // What Go needs is in the example, and nothing is fetched.
        .env("GOPROXY", "off")
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=vendor")
}

/// Where the toolchains are. Tests lie below the target directory, and so do they.
fn tools() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    let mut found = test.ancestors().map(|folder| folder.join(TOOLS));
    let found = found.find(|tools| tools.exists());
    found.unwrap_or_else(|| {
        panic!("the toolchains of other languages are missing ({TOOLS}); get them with: {GET}")
    })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().expect("a type").is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("copies");
        }
    }
}
