//! The configuration: one tree, from a file, then the environment, then flags.
//!
//! Unknown keys are refused. An environment variable `SANDCLOCK__SECTION__KEY` sets `section.key`; its
//! value is read as TOML where it is TOML, else as text. This is the only place that reads the
//! environment.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use sandclock_core::job::SecretSource;
use sandclock_core::vault;
use serde::{Deserialize, Serialize};

use crate::clock::local_zone;
use crate::document::FieldError;

mod again;
mod alerts;
mod api;
mod breakers;
mod check;
mod checked;
mod environment;
mod go;
mod go_api;
mod header;
mod inspect;
mod kinds;
mod labels;
mod load;
mod oidc;
mod plugins;
mod secret;
mod sessions;
mod show;
mod stores;
mod telemetry;
mod tls;

pub use alerts::{
    AlertSection, EmailTarget, EmailTls, LogTarget, NatsTarget, PolicySection, SlackTarget, Target,
    WebhookTarget, signing_key,
};
pub use api::ApiSection;
pub use environment::Environment;
pub use go::GoFile;
pub use go_api::GoApiSection;
pub use header::header_name;
pub use inspect::{Fault, Inspection};
pub use oidc::{OidcSection, RuleSection, Whom};
pub use plugins::{GrantSection, HttpSection, PluginSection};
pub use secret::{SecretSection, secret};
pub use sessions::SessionSection;
pub use show::{Origin, Setting};
pub use stores::{
    CoordinationSection, EtcdSection, EtcdTls, GoSection, MongodbSection, RunLogSection,
};
pub use telemetry::{LogFormat, LogSection, TelemetrySection};
pub use tls::{TlsFiles, TlsSection};

/// The whole tree.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the API listens.
    #[serde(deserialize_with = "checked::address")]
    pub listen: SocketAddr,
    /// A proxy in front ends TLS: only then, or with `tls`, may `listen` be other than loopback.
    pub behind_proxy: bool,
    /// TLS on what listens here, the API or a worker's probes.
    pub tls: TlsSection,
    /// Where data is kept; `None` is the user's data directory.
    pub data: Option<PathBuf>,
    /// For jobs that name no zone; `None` is UTC, or with `dev` or a file of the Go fleet's the local zone.
    #[serde(deserialize_with = "checked::zone")]
    pub default_time_zone: Option<String>,
    /// Where workers agree.
    pub coordination: CoordinationSection,
    /// Where runs and their output are kept.
    pub run_log: RunLogSection,
    /// The worker in this process.
    pub worker: WorkerSection,
    /// Alerts.
    pub alerts: AlertSection,
    /// Whose plugins are taken, and what they may do.
    pub plugins: PluginSection,
    /// How long records are kept.
    pub retention: RetentionSection,
    /// How fast callers may ask.
    pub api: ApiSection,
    /// How long people stay signed in.
    pub sessions: SessionSection,
    /// Where people sign in, if they do.
    pub oidc: Option<Box<OidcSection>>,
    /// Where traces of runs go.
    pub telemetry: TelemetrySection,
    /// How the process writes its log.
    pub log: LogSection,
    /// The routes of a Go fleet's master.
    pub go_api: GoApiSection,
    /// It was read from this file of the Go fleet.
    #[serde(skip)]
    pub from_go: Option<GoFile>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8070)),
            behind_proxy: false,
            tls: TlsSection::default(),
            data: None,
            default_time_zone: None,
            coordination: CoordinationSection::default(),
            run_log: RunLogSection::default(),
            worker: WorkerSection::default(),
            alerts: AlertSection::default(),
            plugins: PluginSection::default(),
            retention: RetentionSection::default(),
            api: ApiSection::default(),
            sessions: SessionSection::default(),
            oidc: None,
            telemetry: TelemetrySection::default(),
            log: LogSection::default(),
            go_api: GoApiSection::default(),
            from_go: None,
        }
    }
}

/// `[worker]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerSection {
    /// Its name in the fleet; `None` is the host's name.
    pub name: Option<String>,
    /// What people tell it from others by, such as `zone = "eu-1"`.
    pub labels: BTreeMap<String, String>,
    /// Where it answers those who watch it, if it has no API in its process; `None` is nowhere.
    #[serde(deserialize_with = "checked::address_if_any")]
    pub listen: Option<SocketAddr>,
    /// How many runs it takes at once.
    pub max_concurrent_runs: u32,
    /// Where it finds the values of secrets that jobs name; what is not here is looked up among the fleet's.
    pub secrets: BTreeMap<String, SecretSection>,
    /// The keys that open the fleet's secrets, as `sandclock secret keygen` makes them.
    pub secrets_key: Option<PathBuf>,
    /// Variables of its environment that commands see; `*` is all but those that configure Sandclock.
    pub pass_env: Vec<String>,
    /// Where commands start that name no folder; `None` is the home of the user that they run as.
    pub workdir: Option<PathBuf>,
    /// The limit of a run that neither its job nor a plugin limits, in seconds; `None` is no limit.
    pub default_timeout_s: Option<u64>,
    /// How long running jobs may take to end when the worker stops, in seconds.
    pub drain_s: u64,
    /// How much may wait on this host's disk while the run log is away, in bytes: output, and in a very long
    /// outage ends of runs, for which an eighth is kept free.
    pub spool_max_bytes: u64,
}

impl Default for WorkerSection {
    fn default() -> Self {
        let (name, default_timeout_s) = (None, None);
        Self {
            name,
            labels: BTreeMap::new(),
            listen: None,
            max_concurrent_runs: 64,
            secrets: BTreeMap::new(),
            secrets_key: None,
            pass_env: Vec::new(),
            workdir: None,
            default_timeout_s,
            drain_s: 30,
            spool_max_bytes: 1 << 30,
        }
    }
}

impl WorkerSection {
    /// Where the worker itself finds values of secrets.
    ///
    /// # Errors
    /// Names the secret without a source, or whose name no job can give.
    pub fn secrets(&self) -> Result<BTreeMap<String, SecretSource>, FieldError> {
        if let Some(name) = self.secrets.keys().find(|name| !vault::is_name(name)) {
            return Err(FieldError::new("worker.secrets", name, vault::NAMES));
        }
        secret::sources("worker.secrets", &self.secrets)
    }
}

/// `[retention]`
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionSection {
    /// Days that ended runs and their output are kept.
    pub runs_days: u32,
    /// Days that entries of the audit trail are kept; 0 is for ever.
    pub audit_days: u32,
}

impl Default for RetentionSection {
    fn default() -> Self {
        Self {
            runs_days: 30,
            audit_days: 400,
        }
    }
}

impl Config {
    /// Whether other hosts reach the API without encryption.
    pub fn is_exposed(&self) -> bool {
        self.exposes(self.listen)
    }

    /// Whether other hosts reach what listens there without encryption.
    fn exposes(&self, address: SocketAddr) -> bool {
        !address.ip().is_loopback() && !self.behind_proxy && self.tls.files().is_none()
    }

    /// Whether people reach the API by TLS, so that browsers may be told to send cookies by nothing else.
    pub fn has_tls(&self) -> bool {
        let oidc = self.oidc.as_ref();
        self.behind_proxy
            || self.tls.files().is_some()
            || oidc.is_some_and(|oidc| oidc.is_public_by_tls())
    }

    /// The zone of jobs that name none: without a setting this host's, in which crontab and a Go worker read their
    /// schedules; but UTC in a fleet, whose hosts may differ.
    pub fn time_zone(&self) -> String {
        let zone = self.default_time_zone.clone();
        zone.unwrap_or_else(|| match (&self.coordination, self.from_go) {
            (CoordinationSection::Etcd(_), None) => "UTC".to_owned(),
            _ => local_zone(),
        })
    }
}

#[cfg(test)]
mod tests;
