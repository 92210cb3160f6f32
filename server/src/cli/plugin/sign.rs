//! `sandclock plugin keygen` and `sign`: who vouches for a plugin.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use sandclock_hooks::signature::{public_key, sign};
use serde_json::json;

use super::build::replace;
use crate::cli::Output;
use crate::cli::table;
use crate::{private_file, random};

/// How a key of Ed25519 begins in PKCS#8 (RFC 8410, section 7); 32 random bytes follow.
const PKCS8_BEGIN: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

/// Where the key goes.
#[derive(Debug, Args)]
pub(in crate::cli) struct KeygenArgs {
    /// The file of the private key, which only its owner can read; it is new
    file: PathBuf,
}

/// What to sign, and as whom.
#[derive(Debug, Args)]
pub(in crate::cli) struct SignArgs {
    /// The built file; a signature that it has is replaced
    file: PathBuf,
    /// The private key: Ed25519, PKCS#8 in PEM, as keygen or openssl make it
    #[arg(long)]
    key: PathBuf,
}

/// Makes a key, and prints the half of it that operators trust.
///
/// # Errors
/// If the file is there already, or cannot be written.
pub(super) fn keygen(args: &KeygenArgs, output: Output) -> anyhow::Result<()> {
    let file = args.file.display();
    if args.file.exists() {
        bail!("{file} is there already: a key that is lost cannot sign any more");
    }
    let mut seed = [0; 32];
    random::fill(&mut seed);
    let key = [PKCS8_BEGIN.as_slice(), &seed].concat();
    let text = STANDARD.encode(&key);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    let public = public_key(&key)?.to_string();
    private_file::write(&args.file, pem.as_bytes())?;
    let done = json!({ "file": args.file, "public_key": public });
    table::either(output, &done, |_| {
        table::say(&format!(
            "wrote {file}; processes that shall trust it have in their configuration"
        ));
        table::say("[plugins.trusted_keys]");
        table::say(&format!("NAME = \"{public}\""));
    });
    Ok(())
}

/// Signs a file in its place.
///
/// # Errors
/// If a file cannot be read or written, or the key is none.
pub(super) fn run(args: &SignArgs, output: Output) -> anyhow::Result<()> {
    let artifact = read(&args.file)?;
    let shown = || args.key.display().to_string();
    let key = PrivatePkcs8KeyDer::from_pem_slice(&read(&args.key)?);
    let key = key.with_context(|| format!("{} is no private key in PEM", shown()))?;
    let key = key.secret_pkcs8_der();
    let signed = sign(&artifact, key).with_context(shown)?;
    replace(&args.file, &signed)?;
    let public = public_key(key).with_context(shown)?.to_string();
    let done = json!({ "file": args.file, "signed_by": public });
    table::either(output, &done, |_| {
        table::say(&format!("signed {} as {public}", args.file.display()));
    });
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("read {}", file.display()))
}
