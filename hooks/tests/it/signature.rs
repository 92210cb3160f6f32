//! Signatures: what a trusted key has signed is taken, and nothing else where one is needed.

use std::collections::BTreeMap;
use std::time::Duration;

use sandclock_hooks::signature::{public_key, sign, signed_by};
use sandclock_hooks::{
    InstallError, KnownSecrets, Manifest, PluginHost, PluginInfo, PluginStatus, Trust,
};
use serde_json::json;

use crate::fixture::{artifact, config, limits, run};
use crate::guests::{DATA, Guest, decision};

/// A key as `openssl genpkey -algorithm ed25519` makes it, with this seed.
fn key(seed: u8) -> Vec<u8> {
    let begin = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    [&begin[..], &[seed; 32]].concat()
}

fn host(required: bool) -> PluginHost {
    let mut config = config(&KnownSecrets::new());
    let ops = public_key(&key(1)).expect("a key");
    config.trust = Trust {
        keys: BTreeMap::from([(ops, "ops".to_owned())]),
        required,
    };
    PluginHost::new(config).expect("a host")
}

/// A plugin that decides on this limit, with a manifest that names it `decides` 1.0.0.
fn plugin(limit_s: u32) -> Vec<u8> {
    let guest = Guest {
        decide: format!("(i32.const {DATA})"),
        data: decision(limit_s * 1000, b"why"),
        ..Guest::harmless()
    };
    let manifest = json!({ "plugin": { "name": "decides", "version": "1.0.0" } });
    let manifest: Manifest = serde_json::from_value(manifest).expect("a manifest");
    manifest.embed(&guest.build()).expect("a plugin")
}

async fn install(host: &PluginHost, bytes: Vec<u8>) -> Result<PluginInfo, InstallError> {
    host.install(artifact("decides", bytes)).await
}

/// Why it is refused.
async fn refusal(host: &PluginHost, bytes: Vec<u8>) -> String {
    let error = install(host, bytes).await.expect_err("refused");
    let told = error.to_string();
    assert!(matches!(error, InstallError::Signature { .. }), "{told}");
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_signed_is_told_by_the_operators_name() {
    let host = host(false);
    let signer = async |bytes| install(&host, bytes).await.expect("installs").signed_by;
    assert_eq!(signer(plugin(5)).await, None);
    let by_ops = sign(&plugin(5), &key(1)).expect("signed");
    assert_eq!(signer(by_ops.clone()).await.as_deref(), Some("ops"));
    let by_other = sign(&by_ops, &key(2)).expect("signed");
    assert_eq!(
        by_other.len(),
        by_ops.len(),
        "one signature replaces another"
    );
    assert_eq!(signer(by_other.clone()).await, None);
    let other = public_key(&key(2)).ok();
    assert_eq!(signed_by(&by_other).expect("right"), other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_one_is_needed_only_trusted_signatures_count() {
    let host = host(true);
    let good = sign(&plugin(5), &key(1)).expect("signed");
    install(&host, good.clone()).await.expect("installs");

    let told = refusal(&host, plugin(9)).await;
    assert!(
        told.contains("not signed") && told.contains("trusted are ops"),
        "{told}"
    );
    let other = sign(&plugin(9), &key(2)).expect("signed");
    let told = refusal(&host, other).await;
    let named = public_key(&key(2)).expect("a key").to_string();
    assert!(
        told.contains(&named) && told.contains("no trusted key"),
        "{told}"
    );
    // What follows a signature is signed by nobody.
    let followed = [good.as_slice(), b"\x00\x02\x01x"].concat();
    let told = refusal(&host, followed).await;
    assert!(told.contains("not signed"), "{told}");
    let guest = sign(&Guest::harmless().build(), &key(1)).expect("signed");
    let told = refusal(&host, guest).await;
    assert!(told.contains("no manifest"), "{told}");

    // The one before serves, and says why no newer one does.
    let limit = limits(&host, &run(&["decides"])).await.limit;
    assert_eq!(limit, Some(Duration::from_secs(5)));
    let info = host.list().remove(0);
    assert!(matches!(info.status, PluginStatus::Outdated(_)), "{info:?}");
    let own = artifact("shipped", Guest::harmless().build());
    host.install_own(own).await.expect("it is the program's");
}

/// Whatever byte is changed, it is refused, whether a signature is needed or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_after_it_was_signed_is_refused() {
    let good = sign(&plugin(5), &key(1)).expect("signed");
    let bare = plugin(5).len();
    let name = b"\x00\x74\x13sandclock:signature".len();
    for host in [host(false), host(true)] {
        for at in [
            0,
            8,
            bare / 2,
            bare - 1,
            bare + name,
            bare + name + 32,
            good.len() - 1,
        ] {
            let mut changed = good.clone();
            changed[at] ^= 0x20;
            let told = refusal(&host, changed).await;
            assert!(told.contains("was changed after"), "byte {at}: {told}");
        }
        assert_eq!(host.list(), []);
    }
}
