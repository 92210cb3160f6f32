//! The configuration read again while the process runs, on SIGHUP.
//!
//! It is taken as a whole or not at all: one that a start would refuse changes nothing. What follows from it is made
//! anew and put in the place of what was there, and what has begun ends as it began: a request with its router, an
//! alert with its target. So nothing that reads a setting has to know that settings change.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Config, Environment};

/// Whether the configuration was of use when it was read last.
#[derive(Clone, Debug)]
pub struct Accepted(Arc<AtomicBool>);

impl Default for Accepted {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Accepted {
    /// Whether it was.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where a configuration comes from.
#[derive(Debug)]
pub struct Source {
    /// The file.
    pub file: PathBuf,
    /// What counts more than the file.
    pub environment: Environment,
    /// What the role does not start with, it does not go on with either.
    pub fits: fn(&Config) -> anyhow::Result<()>,
}

impl Source {
    /// Reads and checks it.
    ///
    /// # Errors
    /// Names the file, and the field where one is at fault.
    pub fn read(&self) -> anyhow::Result<Config> {
        let config = Config::load(Some(&self.file), &self.environment)?;
        let fits = (self.fits)(&config);
        fits.with_context(|| format!("configuration {}", self.file.display()))?;
        Ok(config)
    }
}

/// Puts what follows from a configuration in the place of what was there, or leaves all of that. It may block.
pub type Apply = Box<dyn Fn(&Config) -> anyhow::Result<()> + Send + Sync>;

/// From now on SIGHUP does not end the process. It is heard later, if it came before there was anything to read it for.
///
/// # Errors
/// If signals cannot be received.
pub fn hangups() -> anyhow::Result<Signal> {
    signal(SignalKind::hangup()).context("receive signals")
}

/// Reads the configuration whenever it is asked to.
pub struct Reload {
    hangups: Signal,
    work: Arc<Work>,
    /// As it counts.
    config: Config,
    accepted: Accepted,
}

struct Work {
    source: Source,
    apply: Apply,
}

impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reload").finish_non_exhaustive()
    }
}

impl Reload {
    /// Whatever is asked for by a signal from now on.
    pub fn new(
        hangups: Signal,
        (source, config): (Source, Config),
        accepted: Accepted,
        apply: Apply,
    ) -> Self {
        Self {
            hangups,
            work: Arc::new(Work { source, apply }),
            config,
            accepted,
        }
    }

    /// Reads it again with each signal, for ever.
    pub async fn run(&mut self) {
        loop {
            self.hangups.recv().await;
            let read = self.read().await;
            self.accepted.0.store(read.is_ok(), Ordering::Relaxed);
            match read {
                Ok(later) if later.is_empty() => tracing::info!("the configuration was read again"),
                Ok(later) => {
                    let later = later.join(", ");
                    tracing::warn!(
                        later,
                        "the configuration was read again; what is named as later counts from the next start"
                    );
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::error!(
                        error,
                        "the configuration was read again and is of no use; the earlier one counts on"
                    );
                }
            }
        }
    }

    /// Returns what counts only from the next start. Files and what is made of them may take long, so that is done beside
    /// this task, in which a worker holds its session.
    async fn read(&mut self) -> anyhow::Result<Vec<String>> {
        let (work, mut config) = (Arc::clone(&self.work), self.config.clone());
        let taken = tokio::task::spawn_blocking(move || {
            let later = config.adopt(&work.source.read()?);
            (work.apply)(&config)?;
            anyhow::Ok((config, later))
        });
        let (config, later) = taken.await.context("the thread that reads it")??;
        self.config = config;
        Ok(later)
    }
}
