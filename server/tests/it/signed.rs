//! Plugins of a place where only signed ones are taken: the key, the signature, what is refused, and that what served
//! before goes on.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as a user does"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sandclock_hooks::Manifest;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::product::{PROGRAM, Product, told};

/// A plugin command without a server.
pub(crate) fn plugin(args: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("plugin").args(args).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A standard plugin as a release of `hide`, by its manifest.
pub(crate) fn release(home: &Path, version: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let artifact = root.join("../examples/plugins/artifacts/redact-secrets.wasm");
    let manifest = json!({ "plugin": { "name": "hide", "version": version } });
    let manifest: Manifest = serde_json::from_value(manifest).unwrap();
    let file = home.join(format!("hide-{version}.wasm"));
    let built = manifest.embed(&fs::read(artifact).unwrap()).unwrap();
    fs::write(&file, built).unwrap();
    file
}

/// Makes a key; its file, and the half to trust.
pub(crate) fn key(home: &Path, name: &str) -> (PathBuf, String) {
    let file = home.join(name);
    let made = plugin(&["keygen", text(&file), "--output", "json"]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    (file, made["public_key"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_trusted_key_has_signed_is_taken() {
    let home = TempDir::new().unwrap();
    let (ours, public) = key(home.path(), "ours.pem");
    let (theirs, _) = key(home.path(), "theirs.pem");
    let again = told(&plugin(&["keygen", text(&ours)]));
    assert!(again.contains("is there already"), "{again}");
    let config = home.path().join("sandclock.toml");
    let trusted = format!(
        "[plugins]\nrequire_signature = true\n[plugins.trusted_keys]\nrelease = \"{public}\"\n"
    );
    fs::write(&config, trusted).unwrap();
    let args = ["--no-examples", "--config", text(&config)];
    let product = Product::start(&args);

    let file = release(home.path(), "1.0.0");
    let push = |file: &Path| told(&product.cli(&["plugin", "push", text(file)]));
    let refused = push(&file);
    assert!(refused.contains("it is not signed"), "{refused}");
    assert!(refused.contains("trusted are release"), "{refused}");
    let sign = |file: &Path, key: &Path| told(&plugin(&["sign", text(file), "--key", text(key)]));
    sign(&file, &theirs);
    let refused = push(&file);
    assert!(refused.contains("no trusted key"), "{refused}");
    let signed = sign(&file, &ours);
    assert!(signed.contains(&public), "{signed}");
    assert_eq!(push(&file), "serving hide 1.0.0\n");
    let serves = async || {
        let plugins = product.get("/plugins").await;
        let mut items = plugins["items"].as_array().unwrap().iter();
        let hide = items.find(|plugin| plugin["name"] == "hide").unwrap();
        (hide["version"].clone(), hide["signed_by"].clone())
    };
    assert_eq!(serves().await, (json!("1.0.0"), json!("release")));

    let newer = release(home.path(), "2.0.0");
    sign(&newer, &ours);
    let mut tampered = fs::read(&newer).unwrap();
    let middle = tampered.len() / 2;
    tampered[middle] ^= 1;
    fs::write(&newer, tampered).unwrap();
    let refused = push(&newer);
    assert!(refused.contains("was changed after"), "{refused}");
    assert_eq!(serves().await.0, json!("1.0.0"));
    let checked = told(&plugin(&["check", text(&newer)]));
    assert!(checked.contains("was changed after"), "{checked}");
    let checked = told(&plugin(&["check", text(&file)]));
    assert!(checked.contains(&public), "{checked}");
}

/// What was pushed before the key was withdrawn does not serve after that.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_trusted_no_more_is_refused_at_the_next_start() {
    let product = Product::start(&["--no-examples"]);
    let home = TempDir::new().unwrap();
    let (ours, _) = key(home.path(), "ours.pem");
    let (_, other) = key(home.path(), "other.pem");
    let file = release(home.path(), "1.0.0");
    plugin(&["sign", text(&file), "--key", text(&ours)]);
    let pushed = product.cli(&["plugin", "push", text(&file)]);
    assert_eq!(told(&pushed), "serving hide 1.0.0\n");

    let config = home.path().join("sandclock.toml");
    let trusted =
        format!("[plugins]\nrequire_signature = true\ntrusted_keys = {{ o = \"{other}\" }}\n");
    fs::write(&config, trusted).unwrap();
    let product = product.restart_after_kill(&["--no-examples", "--config", text(&config)]);
    let plugins = product.get("/plugins").await;
    let mut items = plugins["items"].as_array().unwrap().iter();
    let hide = items.find(|plugin| plugin["name"] == "hide").unwrap();
    let status = hide["status"].as_str().unwrap();
    assert!(status.starts_with("cannot serve here: "), "{status}");
    assert!(status.contains("no trusted key"), "{status}");
}
