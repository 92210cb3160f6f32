//! The example jobs that `dev` creates in an empty store: the three hooks at work, within a minute.
//!
//! One job prints a secret that nobody will see, one is ended by the timeout plugin with everything it
//! started, and one fails and recovers so that both are told.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sandclock_core::backend::{JobStore, Precondition};
use sandclock_core::time::Clock;
use serde_json::json;

use crate::api::dto::job::JobDto;

/// Creates the examples if the store holds no job at all, readable or not. `secret` is a file with the secret that the
/// first example prints.
///
/// # Errors
/// If the store fails.
pub async fn create(
    jobs: &dyn JobStore,
    clock: &dyn Clock,
    zone: &str,
    secret: &Path,
) -> anyhow::Result<()> {
    let there = jobs.snapshot().await?;
    if !there.jobs.is_empty() || !there.broken.is_empty() {
        return Ok(());
    }
    for document in documents(secret) {
        let dto: JobDto =
            serde_json::from_value(document).context("an example is no job document")?;
        let name = dto.name.clone().unwrap_or_default();
        let mut job = dto.to_core(&name, zone)?;
        job.schedule_since = Some(clock.now());
        jobs.put(&job, Precondition::Absent).await?;
    }
    Ok(())
}

fn documents(secret: &Path) -> [serde_json::Value; 3] {
    let greet = "Prints a secret. What is stored and shown has a mark in its place.";
    let stuck =
        "Never ends by itself. The plugin timeout-ladder ends it with everything it started.";
    let flaky =
        "Fails every other time. The plugin webhook-alert tells of the failure and the recovery.";
    [
        json!({
            "name": "examples/upload",
            "description": greet,
            "schedule": "@every 10s",
            "command": "echo \"uploading with the token $UPLOAD_TOKEN\"\n\
                        echo \"debug: $(printf %s \"$UPLOAD_TOKEN\" | base64 -w0)\"\n\
                        echo done",
            "secrets": { "UPLOAD_TOKEN": { "file": secret } },
            "hooks": [{ "plugin": "redact-secrets" }],
        }),
        json!({
            "name": "examples/stuck-report",
            "description": stuck,
            "schedule": "@every 20s",
            "command": "echo 'collecting figures'\n\
                        (setsid sleep 3600 &)\n\
                        sleep 3600",
            "grace_s": 1,
            "hooks": [{
                "plugin": "timeout-ladder",
                "config": { "floor_ms": 1000, "default_ms": 3000, "ceiling_ms": 5000, "warn_at": 0.5 },
            }],
        }),
        json!({
            "name": "examples/flaky-import",
            "description": flaky,
            "schedule": "@every 10s",
            "command": "at=$(date -d \"$SANDCLOCK_FIRE_TIME\" +%s)\n\
                        echo \"import of $SANDCLOCK_FIRE_TIME\"\n\
                        if [ $((at / 10 % 2)) -eq 0 ]; then echo 'the source is not there' >&2; exit 3; fi\n\
                        echo 'imported 42 rows'",
            "hooks": [{ "plugin": "webhook-alert", "config": { "target": "log" } }],
        }),
    ]
}

/// Draws the secret of the examples at random, unless there is one. It is kept outside the data directory,
/// so that a search of that directory shows whether it has leaked there.
///
/// # Errors
/// If the file cannot be written.
pub fn secret_file(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join("example-upload-token");
    if !path.exists() {
        let value = format!("upload-{}", crate::random::token_hex(16));
        crate::private_file::write(&path, value.as_bytes())?;
    }
    Ok(path)
}
