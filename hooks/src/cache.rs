//! Compiled plugins on disk, so that a process which starts does not compile what an earlier one has.
//!
//! To load machine code is to run it, and wasmtime looks at it only lightly. So a file is loaded only if its beginning is
//! the MAC of the rest under a key that this host keeps elsewhere: it was written here, and it is whole. What is checked
//! is what is loaded, since the file is read once. Its name says for which component, engine settings and version of
//! wasmtime it is; a file of others is never looked at. A cache that cannot be used costs time and nothing else.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash as _, Hasher};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hmac::{Hmac, KeyInit as _, Mac as _};
use nix::sys::stat::futimens;
use nix::sys::time::TimeSpec;
use sandclock_core::run::hex;
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::mutants::{Mutant, Mutation};

/// How many compiled plugins are kept; the one that was not used for the longest time goes first.
const KEPT: usize = 64;

/// The largest file that is read, in bytes. A Python guest has 35 MiB.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// What the names of files end in.
const ENDING: &str = "cwasm";

const MAC_BYTES: usize = 32;

/// A folder of compiled plugins. Several processes may share it.
#[derive(Clone)]
pub struct CompileCache {
    folder: PathBuf,
    key: [u8; 64],
}

impl std::fmt::Debug for CompileCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompileCache")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl CompileCache {
    /// In this folder, which is made if it is missing. `key` is random and secret, and the same for as long as what is
    /// kept shall be of use.
    ///
    /// # Errors
    /// If the folder cannot be made, belongs to somebody else, or can be written by others.
    pub fn open(folder: &Path, key: [u8; 64]) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let found = fs::metadata(folder)?;
        let own = found.uid() == nix::unistd::geteuid().as_raw();
        if !own || found.mode() & 0o022 != 0 {
            let why = format!("{} can be written by others", folder.display());
            return Err(io::Error::new(ErrorKind::PermissionDenied, why));
        }
        Ok(Self {
            folder: folder.to_owned(),
            key,
        })
    }

    /// The component, if it was compiled here before for an engine like this.
    pub(crate) fn load(
        &self,
        engine: &Engine,
        component: &[u8],
        mutation: Mutation,
    ) -> Option<Component> {
        let name = name(engine, component);
        let path = self.path(&name);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => return unusable(&path, &error),
        };
        let mut bytes = Vec::new();
        if let Err(error) = (&mut file).take(MAX_FILE_BYTES).read_to_end(&mut bytes) {
            return unusable(&path, &error);
        }
        let (mac, compiled) = bytes.split_at_checked(MAC_BYTES)?;
        let genuine = self.mac(&name, compiled).verify_slice(mac).is_ok();
        if !genuine && !mutation.is(Mutant::TrustTheCache) {
            return unusable(&path, &"it is not what was written here");
        }
        match deserialize(engine, compiled) {
            Ok(component) => {
                // Only the order in which files go.
                let _ = futimens(&file, &TimeSpec::UTIME_NOW, &TimeSpec::UTIME_NOW);
                Some(component)
            }
            Err(error) => unusable(&path, &error),
        }
    }

    /// Keeps what was compiled, or says why not.
    pub(crate) fn keep(&self, engine: &Engine, component: &[u8], compiled: &Component) {
        let name = name(engine, component);
        let kept = compiled
            .serialize()
            .map_err(io::Error::other)
            .and_then(|compiled| self.write(&name, &compiled))
            .and_then(|()| self.make_room());
        if let Err(error) = kept {
            let folder = self.folder.display();
            tracing::warn!(%folder, %error, "a compiled plugin is not kept: it is compiled again at the next start");
        }
    }

    fn write(&self, name: &str, compiled: &[u8]) -> io::Result<()> {
        let new = self.folder.join(format!("{name}.{}", std::process::id()));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| {
                file.write_all(&self.mac(name, compiled).finalize().into_bytes())?;
                file.write_all(compiled)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&new, self.path(name)));
        if written.is_err() {
            // Half a file helps nobody.
            let _ = fs::remove_file(&new);
        }
        written
    }

    /// Deletes what was not used for the longest time, and what a crash has left half done.
    fn make_room(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for file in fs::read_dir(&self.folder)? {
            let file = file?;
            let used = file
                .metadata()?
                .modified()
                .unwrap_or(SystemTime::UNIX_EPOCH);
            files.push((used, file.path()));
        }
        files.sort();
        let surplus = files.len().saturating_sub(KEPT);
        for (_, path) in files.into_iter().take(surplus) {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name).with_extension(ENDING)
    }

    fn mac(&self, name: &str, compiled: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new(&self.key.into());
        mac.update(name.as_bytes());
        mac.update(compiled);
        mac
    }
}

/// What tells this component for this engine from every other.
fn name(engine: &Engine, component: &[u8]) -> String {
    let mut digest = Digesting(Sha256::new());
    digest.write(component);
    engine.precompile_compatibility_hash().hash(&mut digest);
    hex(&digest.0.finalize(), 32)
}

/// Digests what would be hashed: hashes of the standard library differ between programs.
struct Digesting(Sha256);

impl Hasher for Digesting {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

fn unusable<T>(path: &Path, why: &dyn std::fmt::Display) -> Option<T> {
    tracing::warn!(path = %path.display(), %why, "a compiled plugin cannot be used; it is compiled again");
    None
}

#[expect(
    unsafe_code,
    reason = "wasmtime has no other way to load what it has compiled"
)]
fn deserialize(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes have the MAC that only this host's processes can make, and what these write is what
    // `Component::serialize` has returned. They are in memory, so that nobody changes them any more.
    unsafe { Component::deserialize(engine, compiled) }
}
