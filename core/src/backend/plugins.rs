//! The plugin store: which plugins a fleet has, in which releases, and which of them serves.
//!
//! A module is kept under the digest of its bytes, so that two releases can share one and nobody can change what
//! a release stands for. What is read is checked against its digest: a store may be damaged, or written to by
//! others. Capabilities, signatures and validity are judged by whoever pushes and loads, not here.

use std::fmt::{self, Debug};

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::Result;
use crate::error::{BackendError, ErrorKind};
use crate::run::hex;
use crate::time::Timestamp;

/// The largest module, in bytes. A Python guest has 18 MiB.
pub const MAX_MODULE_BYTES: usize = 32 << 20;

/// The most bytes in the name of a plugin or a release.
const NAME_BYTES: usize = 64;

/// What [`is_plugin_name`] accepts, for refusals.
pub const PLUGIN_NAMES: &str = "1 to 64 letters, digits, '.', '_' and '-', first a letter or digit";

/// What [`is_release_name`] accepts, for refusals.
pub const RELEASE_NAMES: &str =
    "1 to 64 letters, digits, '.', '_', '-' and '+', first a letter or digit";

/// Whether a plugin can have this name: 1 to 64 letters, digits, `.`, `_` and `-`, the first of them a letter or digit.
pub fn is_plugin_name(name: &str) -> bool {
    (1..=NAME_BYTES).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Whether a release can have this name: 1 to 64 letters, digits, `.`, `_`, `-` and `+`, the first of them a letter or
/// digit, as in semantic versions.
pub fn is_release_name(name: &str) -> bool {
    is_plugin_name(&name.replace('+', "-"))
}

/// The SHA-256 of a module's bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleDigest(String);

impl ModuleDigest {
    /// The digest of these bytes.
    pub fn of(module: &[u8]) -> Self {
        Self(hex(&Sha256::digest(module), 32))
    }

    /// Reads 64 lowercase hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 64 && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// As hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes, if they are the ones that this is the digest of.
    ///
    /// # Errors
    /// `Corrupt` if they are others.
    pub fn verified(&self, module: Bytes) -> Result<Bytes> {
        let found = Self::of(&module);
        if found == *self {
            return Ok(module);
        }
        let corrupt = BackendError::new("plugins.module", ErrorKind::Corrupt);
        Err(corrupt.context(format!("the module of digest {self} has digest {found}")))
    }
}

impl fmt::Display for ModuleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A version of a plugin. While it is there it stands for the same module; withdrawn, it can be pushed anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The plugin.
    pub plugin: String,
    /// What people call this version.
    pub version: String,
    /// Its module.
    pub digest: ModuleDigest,
    /// The size of its module in bytes.
    pub bytes: u64,
    /// Who pushed it.
    pub pushed_by: String,
    /// When, by the clock of whoever pushed it.
    pub pushed_at: Timestamp,
}

impl Release {
    /// Refuses a release that no store may keep.
    ///
    /// # Errors
    /// `InvalidConfig`, naming what is wrong, if a name cannot be, or if the module is too large or not the
    /// one that the release names.
    pub fn check(&self, module: &[u8]) -> Result<()> {
        let wrong = if !is_plugin_name(&self.plugin) {
            format!("plugin {:?}: use {PLUGIN_NAMES}", self.plugin)
        } else if !is_release_name(&self.version) {
            format!("version {:?}: use {RELEASE_NAMES}", self.version)
        } else if module.len() > MAX_MODULE_BYTES {
            format!(
                "the module has {} bytes, at most {MAX_MODULE_BYTES} are allowed",
                module.len()
            )
        } else if u64::try_from(module.len()) != Ok(self.bytes) {
            format!(
                "the module has {} bytes and not the {} that were named",
                module.len(),
                self.bytes
            )
        } else {
            let found = ModuleDigest::of(module);
            if found == self.digest {
                return Ok(());
            }
            format!(
                "the module has digest {found} and not the {} that was named",
                self.digest
            )
        };
        Err(BackendError::new("plugins.push", ErrorKind::InvalidConfig).context(wrong))
    }

    /// Whether a push of `new` only repeats this one.
    ///
    /// # Errors
    /// `Conflict` if its module is another.
    pub fn is_repeated_by(&self, new: &Self) -> Result<()> {
        if self.digest == new.digest {
            return Ok(());
        }
        let conflict = BackendError::new("plugins.push", ErrorKind::Conflict);
        Err(conflict.context(format!(
            "release {} of plugin {} is there with digest {}; a release never changes",
            self.version, self.plugin, self.digest
        )))
    }
}

/// What becomes of a plugin's answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PluginMode {
    /// They apply.
    #[default]
    Enforce,
    /// They are recorded, and nothing follows from them.
    Monitor,
}

impl PluginMode {
    /// The name in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Monitor => "monitor",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Enforce, Self::Monitor];
        all.into_iter().find(|mode| mode.as_str() == text)
    }

    /// Reads what a store has kept. What cannot be read enforces: nobody has said that it need not hide anything.
    pub fn stored(text: Option<&str>) -> Self {
        text.and_then(Self::parse).unwrap_or_default()
    }
}

/// A plugin with its releases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPlugin {
    /// Its name.
    pub name: String,
    /// All of them, the last pushed first; at least one.
    pub releases: Vec<Release>,
    /// The version of the release that serves, if one does. It may be one that cannot be read.
    pub serving: Option<String>,
    /// What served just before that, for going back; none if nothing did, or if it is withdrawn.
    pub before: Option<String>,
    /// The version of the release that is asked beside the one that serves, and decides nothing.
    pub shadow: Option<String>,
    /// What becomes of its answers, whichever release serves.
    pub mode: PluginMode,
}

impl StoredPlugin {
    /// The release that is only asked, if one is and it can be read.
    pub fn shadow_release(&self) -> Option<&Release> {
        self.release(self.shadow.as_deref()?)
    }

    /// The release that serves, if one does and it can be read.
    pub fn serving_release(&self) -> Option<&Release> {
        self.release(self.serving.as_deref()?)
    }

    /// The release of this version.
    pub fn release(&self, version: &str) -> Option<&Release> {
        let mut releases = self.releases.iter();
        releases.find(|release| release.version == version)
    }
}

/// The plugins of a fleet, some hundreds at most. A release whose record cannot be read is left out of lists, and so is
/// a plugin that has no other.
#[async_trait]
pub trait PluginStore: Debug + Send + Sync + 'static {
    /// Keeps a release and its module. A repeat changes nothing, and neither who pushed it nor when. It does
    /// not serve by that. A module of the largest size may take minutes.
    ///
    /// # Errors
    /// `Conflict` if the plugin has this version with another module; `InvalidConfig` as [`Release::check`];
    /// `Corrupt` if the release is there and cannot be read.
    async fn push(&self, release: &Release, module: &Bytes) -> Result<()>;

    /// Every plugin with a release, by name.
    async fn list(&self) -> Result<Vec<StoredPlugin>>;

    /// The bytes of a module that a release has.
    ///
    /// # Errors
    /// `NotFound` if there is none; `Corrupt` if they are not those that were pushed.
    async fn module(&self, digest: &ModuleDigest) -> Result<Bytes>;

    /// Lets the release of version `to` serve, or none, if `from` does now. What served becomes `before`. A release that
    /// serves is no shadow any more. A repeat changes nothing.
    ///
    /// # Errors
    /// `NotFound` if there is no such plugin, or if it has no such release; `Conflict` if neither `from` nor `to`
    /// serves; `Corrupt` if the release cannot be read.
    async fn serve(&self, plugin: &str, from: Option<&str>, to: Option<&str>) -> Result<()>;

    /// Lets the release of this version be asked beside the one that serves, or none. A repeat changes nothing.
    ///
    /// # Errors
    /// `NotFound` if there is no such plugin, or if it has no such release; `Conflict` if it serves; `Corrupt` if it
    /// cannot be read.
    async fn shadow(&self, plugin: &str, version: Option<&str>) -> Result<()>;

    /// Says what becomes of the plugin's answers, from its next call on. A repeat changes nothing.
    ///
    /// # Errors
    /// `NotFound` if there is no such plugin.
    async fn set_mode(&self, plugin: &str, mode: PluginMode) -> Result<()>;

    /// Forgets a release, and its module if no other release has it; with the last one, the plugin with all that was
    /// said of it. A repeat changes nothing.
    ///
    /// # Errors
    /// `Conflict` if it serves.
    async fn withdraw(&self, plugin: &str, version: &str) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for (name, plugin, release) in [
            ("redact-secrets", true, true),
            ("Acme.redact_2", true, true),
            ("1.2.0+build.7", false, true),
            ("", false, false),
            ("a/b", false, false),
            ("..", false, false),
            ("+1", false, false),
            ("ä", false, false),
            (&"x".repeat(64), true, true),
            (&"x".repeat(65), false, false),
        ] {
            assert_eq!(is_plugin_name(name), plugin, "{name:?}");
            assert_eq!(is_release_name(name), release, "{name:?}");
        }
    }

    #[test]
    fn a_digest_is_that_of_sha256() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let digest = ModuleDigest::of(b"");
        assert_eq!(digest.as_str(), empty);
        assert_eq!(ModuleDigest::parse(empty), Some(digest));
        for wrong in [&empty[1..], &empty.to_uppercase(), &empty.replace('e', "g")] {
            assert_eq!(ModuleDigest::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_a_release_names_is_compared() {
        let module = b"\0asm";
        let right = Release {
            plugin: "a".to_owned(),
            version: "1.0.0".to_owned(),
            digest: ModuleDigest::of(module),
            bytes: 4,
            pushed_by: "ann".to_owned(),
            pushed_at: Timestamp::default(),
        };
        assert!(right.check(module).is_ok());
        let wrong = |change: fn(&mut Release)| {
            let mut release = right.clone();
            change(&mut release);
            release.check(module).unwrap_err().to_string()
        };
        for (said, release) in [
            ("plugin \"a b\"", wrong(|r| r.plugin = "a b".to_owned())),
            ("version \"\"", wrong(|r| r.version.clear())),
            ("4 bytes and not the 5", wrong(|r| r.bytes = 5)),
            ("digest", wrong(|r| r.digest = ModuleDigest::of(b"x"))),
        ] {
            assert!(release.contains(said), "{release}");
        }
    }
}
