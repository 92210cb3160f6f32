//! From the sections of the configuration to stores: the one place that names backends.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use nix::ifaddrs::getifaddrs;
use sandclock_backend_embedded::{Embedded, EmbeddedConfig};
use sandclock_backend_etcd::{EtcdConfig, GoKeys, Login, Tls};
use sandclock_backend_mongo::MongoConfig;
pub use sandclock_backend_mongo::RunLog;
use sandclock_core::backend::{Coordination, GoFleet, GoLog, Records};
use sandclock_core::error::WithSources;
use sandclock_core::go::GoDefaults;
use sandclock_core::{BackendError, ErrorKind};
use tokio::time::sleep;

use crate::config::{
    Config, CoordinationSection, EtcdSection, EtcdTls, MongodbSection, RunLogSection,
};

/// The embedded store's file in a data folder.
pub const FILE: &str = "sandclock.db";

/// The pause before a run log that is away is looked for again.
const AGAIN: Duration = Duration::from_secs(1);

/// Where workers agree, and where runs are kept.
#[derive(Clone, Debug)]
pub struct Stores {
    /// Definitions and claims.
    pub coordination: Coordination,
    /// Run log and alerts.
    pub records: Records,
    /// Both as a Go fleet's master sees them, where such a fleet could use them.
    pub go: Option<GoStores>,
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
                coordination: file.coordination(),
                records: file.records(),
                go: None,
                away: None,
            }
        }
        (CoordinationSection::Embedded {}, RunLogSection::Mongodb(section)) => {
            let coordination = file()?.coordination();
            let (log, away) = mongodb(section).await?;
            Stores {
                coordination,
                records: log.records.clone(),
                go: None,
                away,
            }
        }
        (CoordinationSection::Etcd(section), RunLogSection::Mongodb(log)) => {
            let (coordination, fleet) = etcd(section, config).await?;
            let (log, away) = mongodb(log).await?;
            Stores {
                coordination,
                records: log.records.clone(),
                go: Some(GoStores {
                    fleet,
                    log: Arc::clone(&log.go),
                }),
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
fn remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Corrupt => {
            " (it is damaged: put a backup in its place, or save what is left with \"sqlite3 FILE .recover\"; \
             or move it and the files beside it whose names begin like its own away to begin with an empty one)"
        }
        ErrorKind::Denied => " (give this user the right to read and write it and its folder)",
        _ => "",
    }
}

async fn etcd(
    section: &EtcdSection,
    config: &Config,
) -> anyhow::Result<(Coordination, Arc<dyn GoFleet>)> {
    let config = etcd_config(section, config)?;
    let endpoints = config.endpoints.join(", ");
    sandclock_backend_etcd::connect_as_master(config)
        .await
        .with_context(|| format!("connect to etcd at {endpoints}"))
}

/// The run log, and once more if it has to be opened yet, because no server answers now.
async fn mongodb(section: &MongodbSection) -> anyhow::Result<(Arc<RunLog>, Option<Arc<RunLog>>)> {
    let config = MongoConfig {
        database: section.database.clone(),
        collection: section.collection.clone(),
        connect_timeout: Duration::from_millis(section.connect_timeout_ms),
        call_timeout: Duration::from_millis(section.call_timeout_ms),
        ..MongoConfig::new(section.uri.clone())
    };
    let at = config.address();
    let refused = |error: BackendError| {
        let remedy = match error.kind {
            ErrorKind::Denied => format!(
                "; check the user, its password and authSource in run_log.uri, and that the user has the role \
                 readWrite on run_log.database {:?}",
                section.database
            ),
            _ => String::new(),
        };
        let error = WithSources(&error);
        anyhow!("run_log.uri: MongoDB at {at} cannot be used: {error}{remedy}")
    };
    let log = Arc::new(RunLog::new(&config).await.map_err(refused)?);
    match log.open().await {
        Ok(()) => Ok((log, None)),
        Err(error) if error.is_transient() => {
            let error = WithSources(&error);
            tracing::error!(
                at,
                %error,
                "the run log (run_log.uri) does not answer; started without it, and connects when it is back"
            );
            Ok((Arc::clone(&log), Some(log)))
        }
        Err(error) => Err(refused(error)),
    }
}

/// Opens a run log that was away, once it is there.
pub async fn open_later(log: &RunLog) {
    let mut told = String::new();
    while let Err(error) = log.open().await {
        let said = WithSources(&error).to_string();
        if !error.is_transient() && said != told {
            tracing::error!(
                error = said,
                "the run log is there and cannot be used; trying on"
            );
            told = said;
        }
        sleep(AGAIN).await;
    }
    tracing::info!("the run log is there: connected, and its indexes are made");
}

fn etcd_config(section: &EtcdSection, config: &Config) -> anyhow::Result<EtcdConfig> {
    let go = &section.go;
    let register_as = match section.register_as.as_deref() {
        Some("auto") => Some(own_address()?.to_string()),
        other => other.map(str::to_owned),
    };
    Ok(EtcdConfig {
        tls: section.tls.as_ref().map(tls).transpose()?,
        login: login(section)?,
        prefix: section.prefix.clone(),
        leader: section.leader.clone(),
        go: GoKeys {
            jobs: go.jobs.clone(),
            locks: go.locks.clone(),
            kills: go.kills.clone(),
            workers: go.workers.clone(),
        },
        go_defaults: GoDefaults {
            time_zone: config.time_zone(),
            shell: vec![go.shell.clone(), "-c".to_owned()],
        },
        register_as,
        beside_go: section.beside_go,
        call_timeout: Duration::from_millis(section.call_timeout_ms),
        ..EtcdConfig::at(section.endpoints.clone())
    })
}

/// The host's first address of IPv4 that is not loopback, which is the one that Go workers register.
fn own_address() -> anyhow::Result<Ipv4Addr> {
    let addresses = getifaddrs().context("list the addresses of this host")?;
    let mut own = addresses.filter_map(|interface| {
        let address = interface.address?.as_sockaddr_in()?.ip();
        (!address.is_loopback()).then_some(address)
    });
    own.next().context(
        "this host has no address of IPv4 but loopback to register as: set coordination.register_as, in the \
         environment SANDCLOCK__COORDINATION__REGISTER_AS",
    )
}

fn login(section: &EtcdSection) -> anyhow::Result<Option<Login>> {
    let from_file = |path: &PathBuf| {
        let text = fs::read_to_string(path)
            .with_context(|| format!("coordination.password_file {}", path.display()))?;
        anyhow::Ok(text.trim().to_owned())
    };
    let password = match (&section.password, &section.password_file) {
        (Some(_), Some(_)) => {
            bail!("coordination.password and coordination.password_file are both set: keep one")
        }
        (Some(password), None) => Some(password.clone()),
        (None, Some(path)) => Some(from_file(path)?),
        (None, None) => None,
    };
    match (section.user.clone(), password) {
        (Some(user), Some(password)) => Ok(Some(Login { user, password })),
        (None, None) => Ok(None),
        (Some(_), None) => bail!("coordination.user is set without coordination.password_file"),
        (None, Some(_)) => bail!("coordination.password is set without coordination.user"),
    }
}

fn tls(section: &EtcdTls) -> anyhow::Result<Tls> {
    let read = |key: &str, path: &Path| {
        fs::read(path).with_context(|| format!("coordination.tls.{key} {}", path.display()))
    };
    let identity = match (&section.cert_file, &section.key_file) {
        (Some(cert), Some(key)) => Some((read("cert_file", cert)?, read("key_file", key)?)),
        (None, None) => None,
        _ => bail!("coordination.tls needs cert_file and key_file together"),
    };
    Ok(Tls {
        authorities: read("ca_file", &section.ca_file)?,
        identity,
        server_name: section.server_name.clone(),
    })
}
