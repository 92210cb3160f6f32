//! Durable writes of the embedded backend, one by one and together.
//!
//! One by one the disk's sync is the price, so that the other side is a bare SQLite commit of one row with the same
//! durability. Together, what queues while a sync is under way shares the next one.

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use rusqlite::Connection;
use sandclock_backend_embedded::{Embedded, EmbeddedConfig};
use sandclock_core::backend::{JobStore, Precondition};
use sandclock_core::job::{Job, JobName};

use crate::figure::{Figure, Work, compare};

/// Writers at once.
const TOGETHER: usize = 64;

pub(crate) fn run() -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let bare = bare_sqlite(&folder.path().join("bare.db"))?;
    let path = folder.path().join("store.db");
    let store = Embedded::open(EmbeddedConfig { path })?;
    let jobs = store.coordination().jobs;
    let definitions = (0..TOGETHER).map(definition).collect::<Result<Vec<_>>>()?;
    let first = definitions.first().context("a job")?;

    let one_by_one = &mut || {
        runtime.block_on(put(&*jobs, first))?;
        Ok(1.0)
    };
    let alone = compare(
        "embedded.put",
        "commits",
        Work {
            label: "puts one by one",
            step: one_by_one,
        },
        Work {
            label: "bare SQLite, one row",
            step: &mut || {
                bare.execute("UPDATE t SET x = x + 1", [])?;
                Ok(1.0)
            },
        },
    )?;
    let together = compare(
        "embedded.together",
        "puts",
        Work {
            label: "64 writers at once",
            step: &mut || {
                runtime.block_on(try_join_all(definitions.iter().map(|job| put(&*jobs, job))))?;
                Ok(64.0)
            },
        },
        Work {
            label: "one by one",
            step: one_by_one,
        },
    )?;
    Ok(vec![alone, together])
}

fn definition(n: usize) -> Result<Job> {
    let name = JobName::parse(&format!("bench/job-{n}"))?;
    Ok(Job::shell(name, "true"))
}

async fn put(jobs: &dyn JobStore, job: &Job) -> Result<()> {
    jobs.put(job, Precondition::Any).await?;
    Ok(())
}

fn bare_sqlite(path: &std::path::Path) -> Result<Connection> {
    let db = Connection::open(path)?;
    db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (0)")?;
    Ok(db)
}
