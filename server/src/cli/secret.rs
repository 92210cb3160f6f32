//! `sandclock secret`: values that jobs name, sealed here before anything leaves this process.

use std::io::{IsTerminal as _, Read as _, stdin};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use reqwest::Method;
use sandclock_core::vault;
use sandclock_hooks::secrets::{MAX_SECRET_BYTES, MIN_SECRET_BYTES};
use serde_json::{Value, json};

use super::client::{Client, segment};
use super::table::{self, age, rows, text};
use super::transfer::{self, Stores};
use super::{Output, Target, Told};
use crate::private_file;
use crate::vault::{Keys, new_key};

/// What to do with secrets.
#[derive(Debug, Subcommand)]
pub(super) enum SecretCommand {
    /// Make a key that seals and opens secrets, in a new file
    ///
    /// It belongs to the workers (worker.secrets_key) and to whoever sets
    /// secrets; no server needs it.
    #[command(verbatim_doc_comment)]
    Keygen {
        /// The file to make
        file: PathBuf,
    },
    /// Set a secret: its value is read from standard input
    ///
    /// Without the newline at its end. It is sealed here, so that neither
    /// server nor store sees it.
    #[command(verbatim_doc_comment)]
    Set {
        /// What jobs call it
        name: String,
        #[command(flatten)]
        key: KeyFile,
        #[command(flatten)]
        stores: Stores,
    },
    /// List secrets, without their values
    Ls {
        #[command(flatten)]
        stores: Stores,
    },
    /// Forget a secret
    Rm {
        /// What jobs call it
        name: String,
        #[command(flatten)]
        stores: Stores,
    },
}

/// Where the key is.
#[derive(Debug, Args)]
pub(super) struct KeyFile {
    /// The workers' keys; the first seals
    #[arg(
        long = "key",
        value_name = "FILE",
        env = "SANDCLOCK_SECRETS_KEY",
        hide_env_values = true
    )]
    file: PathBuf,
}

/// Runs a secret command.
///
/// # Errors
/// If the value or the key is of no use, or the server refuses or does not answer, or the stores cannot be used.
pub(super) async fn main(command: &SecretCommand, target: &Target) -> anyhow::Result<()> {
    let output = target.output;
    match command {
        SecretCommand::Keygen { file } => keygen(file, output),
        SecretCommand::Set { name, key, stores } => {
            // Before anything is asked: a wrong name or value is not worth a connection.
            let body = sealed(name, &key.file)?;
            transfer::on_api(stores, target, async |client| {
                let route = format!("/secrets/{}", segment(name));
                client.call(Method::PUT, &route, Some(body)).await?;
                done(output, name, "set");
                Ok(())
            })
            .await
        }
        SecretCommand::Ls { stores } => {
            transfer::on_api(stores, target, async |client| list(client, output).await).await
        }
        SecretCommand::Rm { name, stores } => {
            transfer::on_api(stores, target, async |client| {
                let route = format!("/secrets/{}", segment(name));
                client.call(Method::DELETE, &route, None).await?;
                done(output, name, "removed");
                Ok(())
            })
            .await
        }
    }
}

fn keygen(file: &Path, output: Output) -> anyhow::Result<()> {
    if file.exists() {
        return Err(Told(format!(
            "{} is there already: what it holds may open secrets; name a new file",
            file.display()
        ))
        .into());
    }
    private_file::write(file, new_key().as_bytes())?;
    let made = json!({ "file": file.display().to_string(), "outcome": "made" });
    table::either(output, &made, |_| {
        table::say(&format!("made {}", file.display()));
        table::aside(
            "give it to the workers (worker.secrets_key), and keep a copy: nothing else opens what it seals",
        );
    });
    Ok(())
}

/// What is sent of the value on standard input.
fn sealed(name: &str, key: &Path) -> anyhow::Result<Value> {
    if !vault::is_name(name) {
        return Err(Told(format!("{name:?} is no name of a secret: {}", vault::NAMES)).into());
    }
    let keys = Keys::read(key)?;
    let (key, sealed) = keys.seal(name, &value(name)?)?;
    Ok(json!({ "key": key, "sealed": sealed }))
}

/// The value, without one newline at its end.
fn value(name: &str) -> anyhow::Result<Vec<u8>> {
    if stdin().is_terminal() {
        return Err(Told(format!(
            "the value is read from standard input, where nobody sees it: sandclock secret set {name} < FILE"
        ))
        .into());
    }
    let mut value = Vec::new();
    let most = MAX_SECRET_BYTES as u64 + 2;
    let read = stdin().lock().take(most).read_to_end(&mut value);
    read.context("read the value from standard input")?;
    if value.last() == Some(&b'\n') {
        value.pop();
    }
    let wrong = if value.len() > MAX_SECRET_BYTES {
        format!("has more than {MAX_SECRET_BYTES} bytes")
    } else if value.trim_ascii().len() < MIN_SECRET_BYTES {
        format!("has less than {MIN_SECRET_BYTES} bytes")
    } else if std::str::from_utf8(&value).is_err() || value.contains(&0) {
        "is no text, which a variable must be".to_owned()
    } else {
        return Ok(value);
    };
    Err(Told(format!(
        "the value of {name} {wrong}: it could not be kept out of the output of jobs"
    ))
    .into())
}

async fn list(client: &Client, output: Output) -> anyhow::Result<()> {
    let secrets = client.get("/secrets").await?;
    table::either(output, &secrets, |secrets| {
        rows(secrets, &["NAME", "KEY", "SET", "BY"], row);
    });
    Ok(())
}

fn row(secret: &Value) -> Vec<String> {
    let key = match secret["broken"].is_string() {
        true => "broken".to_owned(),
        false => text(secret, "key"),
    };
    vec![
        text(secret, "name"),
        key,
        age(secret, "set_at"),
        text(secret, "set_by"),
    ]
}

fn done(output: Output, name: &str, outcome: &str) {
    let done = json!({ "secret": name, "outcome": outcome });
    table::either(output, &done, |_| table::say(&format!("{outcome} {name}")));
}
