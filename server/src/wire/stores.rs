//! From the sections of the configuration to stores; with [`etcd`] and [`mongodb`] the one place that names backends.

use std::path::Path;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use sandclock_backend_embedded::{Embedded, EmbeddedConfig};
use sandclock_core::ErrorKind;
use sandclock_core::backend::layer::Layered;
use sandclock_core::backend::{Coordination, GoFleet, GoLog, Records};

use super::etcd::{Certificates, etcd};
use super::mongodb::{RunLog, mongodb};
use super::parts::{ETCD, FILE_OF_JOBS, FILE_OF_RUNS, InPart, MONGODB};
use crate::config::{Config, CoordinationSection, RunLogSection};

/// The embedded store's file in a data folder.
pub const FILE: &str = "sandclock.db";

/// Where workers agree, and where runs are kept.
#[derive(Clone, Debug)]
pub struct Stores {
    /// Definitions and claims.
    pub coordination: Coordination,
    /// Run log and alerts.
    pub records: Records,
    /// Both as a Go fleet's master sees them, where such a fleet could use them.
    pub go: Option<GoStores>,
    /// The certificates of the connection to etcd, if it has any.
    pub certificates: Option<Certificates>,
    /// The run log, if it was away when this process started: it has to be opened yet.
    pub away: Option<Arc<RunLog>>,
}

/// The stores of a Go fleet.
#[derive(Clone, Debug)]
pub struct GoStores {
    /// Jobs, kill marks, registered workers.
    pub fleet: Arc<dyn GoFleet>,
    /// What workers logged.
    pub log: Arc<dyn GoLog>,
}

/// Opens what the configuration names; a file lies in `data`. A run log that is elsewhere may be away.
///
/// # Errors
/// If a store of coordination cannot be reached, or any store does not let us in, or the file belongs to another
/// process or is damaged; the message names the store.
pub async fn open(config: &Config, data: &Path) -> anyhow::Result<Stores> {
    let file = || {
        let path = data.join(FILE);
        Embedded::open(EmbeddedConfig { path }).map_err(|error| {
            let remedy = remedy(error.kind);
            anyhow!("cannot open the store{}{remedy}", error.context)
        })
    };
    Ok(match (&config.coordination, &config.run_log) {
        (CoordinationSection::Embedded {}, RunLogSection::Embedded {}) => {
            let file = file()?;
            Stores {
                coordination: file.coordination().behind(&InPart(&FILE_OF_JOBS)),
                records: file.records().behind(&InPart(&FILE_OF_RUNS)),
                go: None,
                certificates: None,
                away: None,
            }
        }
        (CoordinationSection::Embedded {}, RunLogSection::Mongodb(section)) => {
            let coordination = file()?.coordination();
            let (log, away) = mongodb(section).await?;
            Stores {
                coordination: coordination.behind(&InPart(&FILE_OF_JOBS)),
                records: log.records.clone().behind(&InPart(&MONGODB)),
                go: None,
                certificates: None,
                away,
            }
        }
        (CoordinationSection::Etcd(section), RunLogSection::Mongodb(log)) => {
            let (coordination, fleet, certificates) = etcd(section, config).await?;
            let (log, away) = mongodb(log).await?;
            Stores {
                coordination: coordination.behind(&InPart(&ETCD)),
                records: log.records.clone().behind(&InPart(&MONGODB)),
                go: Some(GoStores {
                    fleet: Layered::new(&InPart(&ETCD), fleet),
                    log: Layered::new(&InPart(&MONGODB), Arc::clone(&log.go)),
                }),
                certificates,
                away,
            }
        }
        // The configuration was checked for this.
        (CoordinationSection::Etcd(_), RunLogSection::Embedded {}) => {
            bail!("a fleet needs a run log that it shares")
        }
    })
}

/// What to do about a file that cannot be opened, where the error itself does not say it.
pub(super) fn remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Corrupt => {
            " (it is damaged: put a backup in its place, or save what is left with \"sqlite3 FILE .recover\"; \
             or move it and the files beside it whose names begin like its own away to begin with an empty one)"
        }
        ErrorKind::Denied => " (give this user the right to read and write it and its folder)",
        _ => "",
    }
}
