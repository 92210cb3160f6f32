//! The plugins that come with the program.
//!
//! What is kept with the sources is the bare module, which serves tests under any name. What the plugin says of itself is put into it
//! here; its version is the program's.

use std::sync::LazyLock;

use anyhow::Context as _;
use sandclock_core::backend::ModuleDigest;
use sandclock_hooks::manifest::Configuration;
use sandclock_hooks::{Artifact, ConfigSchema, Manifest};

/// A plugin of `examples/plugins`: its module, its manifest, and the schema of its configuration.
struct Sources {
    module: &'static [u8],
    manifest: &'static str,
    schema: &'static str,
}

macro_rules! sources {
    ($name:literal) => {
        Sources {
            module: include_bytes!(concat!(
                "../../../examples/plugins/artifacts/",
                $name,
                ".wasm"
            )),
            manifest: include_str!(concat!("../../../examples/plugins/", $name, "/plugin.toml")),
            schema: include_str!(concat!(
                "../../../examples/plugins/",
                $name,
                "/config.schema.json"
            )),
        }
    };
}

const SOURCES: [Sources; 3] = [
    sources!("redact-secrets"),
    sources!("timeout-ladder"),
    sources!("webhook-alert"),
];

/// All of them, made once.
static STANDARD: LazyLock<anyhow::Result<Vec<Artifact>>> =
    LazyLock::new(|| SOURCES.iter().map(Sources::artifact).collect());

impl Sources {
    fn artifact(&self) -> anyhow::Result<Artifact> {
        let mut manifest: Manifest = toml::from_str(self.manifest)?;
        crate::VERSION.clone_into(&mut manifest.plugin.version);
        let schema: ConfigSchema = serde_json::from_str(self.schema)?;
        manifest.config = Some(Configuration { schema });
        let name = manifest.plugin.name.clone();
        let artifact = manifest.embed(self.module);
        let artifact = artifact.with_context(|| format!("plugin {name}"))?;
        Ok(Artifact::new(
            name,
            Some(crate::VERSION.to_owned()),
            artifact,
        ))
    }
}

/// The plugins that come with the program.
///
/// # Errors
/// Names the one that cannot be made, which a test would have seen.
pub(super) fn all() -> anyhow::Result<&'static [Artifact]> {
    match &*STANDARD {
        Ok(artifacts) => Ok(artifacts),
        Err(error) => Err(anyhow::anyhow!("{error:#}")),
    }
}

/// The one with this name.
pub(super) fn named(name: &str) -> Option<&'static Artifact> {
    let mut artifacts = all().ok()?.iter();
    artifacts.find(|artifact| artifact.name == name)
}

/// Whether a standard plugin serves under this name where no other does.
pub fn is_standard(name: &str) -> bool {
    named(name).is_some()
}

/// The bytes of a standard plugin, if they have this digest.
pub fn module(name: &str, digest: &ModuleDigest) -> Option<Vec<u8>> {
    let bytes = &named(name)?.bytes;
    (ModuleDigest::of(bytes) == *digest).then(|| bytes.clone())
}
