//! Compiled plugins on disk: found by the next process, and loaded only if they are what was written here.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sandclock_hooks::mutants::Mutant;
use sandclock_hooks::{CompileCache, KnownSecrets, PluginHost};
use tempfile::TempDir;

use crate::fixture::{config, install, limits, run};
use crate::guests::{DATA, Guest, decision};

const KEY: [u8; 64] = [7; 64];

fn deciding(limit_ms: u32) -> Guest {
    Guest {
        decide: format!("(i32.const {DATA})"),
        data: decision(limit_ms, b"why"),
        ..Guest::harmless()
    }
}

fn host(folder: &Path, key: [u8; 64]) -> PluginHost {
    host_with(folder, key, None)
}

fn host_with(folder: &Path, key: [u8; 64], mutant: Option<Mutant>) -> PluginHost {
    let mut config = config(&KnownSecrets::new());
    config.cache = Some(CompileCache::open(folder, key).expect("a cache"));
    config.mutant = mutant;
    PluginHost::new(config).expect("a host")
}

/// Installs the guest on a new host, and says what it decides, in seconds, and how many were compiled.
async fn installed(folder: &Path, key: [u8; 64], limit_s: u32) -> (u64, u64) {
    let host = host(folder, key);
    install(&host, "decides", &deciding(limit_s * 1000)).await;
    let limit = limits(&host, &run(&["decides"])).await.limit;
    (limit.expect("a limit").as_secs(), host.compilations())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder");
    entries.map(|entry| entry.expect("a file").path()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_host_need_not_compile() {
    let folder = TempDir::new().expect("a folder");
    let folder = folder.path().join("compiled");
    assert_eq!(installed(&folder, KEY, 5).await, (5, 1));
    assert_eq!(installed(&folder, KEY, 5).await, (5, 0));
    assert_eq!(installed(&folder, KEY, 9).await, (9, 1));
    let mode = |path: &Path| fs::metadata(path).expect("it").permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let files = files(&folder);
    assert_eq!(files.len(), 2);
    assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");
}

/// Whatever is done to a file, the plugin is compiled anew from its module, and the file is mended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_as_it_was_written_is_never_loaded() {
    let folder = TempDir::new().expect("a folder");
    let folder = folder.path();
    installed(folder, KEY, 5).await;
    let path = files(folder).remove(0);
    let whole = fs::read(&path).expect("the file");
    let middle = whole.len() / 2;
    let mut flipped = whole.clone();
    flipped[middle] ^= 1;
    let mut other_mac = whole.clone();
    other_mac[0] ^= 1;
    for damaged in [
        flipped,
        other_mac,
        whole[..middle].to_vec(),
        whole[..16].to_vec(),
        Vec::new(),
    ] {
        fs::write(&path, damaged).expect("damage");
        assert_eq!(installed(folder, KEY, 5).await, (5, 1));
        assert_eq!(installed(folder, KEY, 5).await, (5, 0));
    }
    // Of another host.
    assert_eq!(installed(folder, [8; 64], 5).await, (5, 1));
}

/// Both files are written here; one has the other's name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_another_plugin_is_not_loaded() {
    let folder = TempDir::new().expect("a folder");
    let folder = folder.path();
    installed(folder, KEY, 5).await;
    let path = files(folder).remove(0);
    installed(folder, KEY, 9).await;
    let other = files(folder).into_iter().find(|other| *other != path);
    fs::copy(other.expect("two files"), &path).expect("a copy");

    let trusting = host_with(folder, KEY, Some(Mutant::TrustTheCache));
    install(&trusting, "decides", &deciding(5000)).await;
    let fooled = limits(&trusting, &run(&["decides"])).await.limit;
    assert_eq!(
        fooled.expect("a limit").as_secs(),
        9,
        "the mutant is caught"
    );
    assert_eq!(installed(folder, KEY, 5).await, (5, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_cannot_be_used_is_no_obstacle() {
    let folder = TempDir::new().expect("a folder");
    let folder = folder.path().join("compiled");
    let host = host(&folder, KEY);
    fs::remove_dir_all(&folder).expect("gone");
    install(&host, "decides", &deciding(5000)).await;
    assert_eq!(host.compilations(), 1);

    fs::create_dir(&folder).expect("a folder");
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).expect("open to all");
    let refused = CompileCache::open(&folder, KEY).expect_err("others can write");
    assert!(
        refused.to_string().contains("written by others"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_folder_does_not_grow_for_ever() {
    let folder = TempDir::new().expect("a folder");
    let folder = folder.path();
    drop(host(folder, KEY));
    for number in 0..80 {
        fs::write(folder.join(format!("{number}.cwasm")), "old").expect("a file");
    }
    installed(folder, KEY, 5).await;
    assert_eq!(files(folder).len(), 64);
    assert_eq!(installed(folder, KEY, 5).await, (5, 0));
}
