//! `[coordination]` and `[run_log]`: where a fleet's stores are.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use sandclock_core::go::prefix;
use sandclock_core::job::DEFAULT_SHELL;
use serde::{Deserialize, Deserializer, Serialize};

use super::kinds::{self, Kinds, Nothing};
use crate::document::FieldError;

/// `[coordination]`: where workers agree.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum CoordinationSection {
    /// One file in `data`, for one process.
    Embedded {},
    /// A cluster of etcd, for any number of servers and workers.
    Etcd(Box<EtcdSection>),
}

/// What `type` may say.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CoordinationKind {
    Embedded,
    Etcd,
}

impl<'de> Kinds<'de> for CoordinationSection {
    type Kind = CoordinationKind;

    fn read<D: Deserializer<'de>>(kind: CoordinationKind, rest: D) -> Result<Self, D::Error> {
        match kind {
            CoordinationKind::Embedded => Nothing::deserialize(rest).map(|_| Self::Embedded {}),
            CoordinationKind::Etcd => {
                EtcdSection::deserialize(rest).map(|etcd| Self::Etcd(Box::new(etcd)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for CoordinationSection {
    fn deserialize<D: Deserializer<'de>>(section: D) -> Result<Self, D::Error> {
        kinds::read(section)
    }
}

impl Default for CoordinationSection {
    fn default() -> Self {
        Self::Embedded {}
    }
}

/// `[coordination]` with `type = "etcd"`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EtcdSection {
    /// `host:port` each.
    pub endpoints: Vec<String>,
    /// The user, where the cluster asks for one.
    #[serde(default)]
    pub user: Option<String>,
    /// The user's password.
    #[serde(default)]
    pub password: Option<String>,
    /// A file that holds the password instead; white space around it is not part of it.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Set for encrypted connections.
    #[serde(default)]
    pub tls: Option<EtcdTls>,
    /// What our own keys begin with; fleets that share a cluster differ here.
    #[serde(default = "own_prefix")]
    pub prefix: String,
    /// The key that says which server leads; `None` is `/cron/master`, or with another `prefix` than the default
    /// `leader` below that.
    #[serde(default)]
    pub leader: Option<String>,
    /// What the Go fleet's keys begin with.
    #[serde(default)]
    pub go: GoSection,
    /// Go workers run the same jobs: claims take their lock, and every job admits one run at a time. If it is not set,
    /// that begins when one is noticed.
    #[serde(default)]
    pub beside_go: bool,
    /// As which address workers register for Go masters: an address of IPv4, or `auto` for this host's first one that
    /// is not loopback; `None` registers nowhere.
    #[serde(default)]
    pub register_as: Option<String>,
    /// The lease of a worker's session, in seconds: once it is over, others may act. A worker's registration among the
    /// Go fleet's and its locks hang on it, too.
    #[serde(default = "session_ttl_s")]
    pub session_ttl_s: u64,
    /// How long a call may take, in milliseconds.
    #[serde(default = "call_timeout_ms")]
    pub call_timeout_ms: u64,
}

impl EtcdSection {
    /// Whether its times are such that a fleet can work.
    pub(super) fn check_times(&self) -> Result<(), FieldError> {
        let within = |field, given: u64, accepted: RangeInclusive<u64>, why: &str| {
            let (least, most) = (accepted.start(), accepted.end());
            let told = || format!("seconds from {least} to {most}: {why}");
            match accepted.contains(&given) {
                true => Ok(()),
                false => Err(FieldError::new(field, given, told())),
            }
        };
        // A worker renews every 3 s and starts nothing in the last 4; a tick counts as late from 30 s on.
        let lease =
            "a shorter lease ends between renewals, a longer one makes ticks of a dead worker late";
        let (session, mark) = (self.session_ttl_s, self.go.kill_ttl_s);
        within("coordination.session_ttl_s", session, 8..=25, lease)?;
        let put = "workers look at it when it is put";
        within("coordination.go.kill_ttl_s", mark, 1..=3_600, put)
    }
}

/// Without the password.
impl fmt::Debug for EtcdSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdSection")
            .field("endpoints", &self.endpoints)
            .field("user", &self.user)
            .field("prefix", &self.prefix)
            .field("go", &self.go)
            .field("beside_go", &self.beside_go)
            .field("register_as", &self.register_as)
            .finish_non_exhaustive()
    }
}

fn own_prefix() -> String {
    "/sandclock/".to_owned()
}

const fn session_ttl_s() -> u64 {
    12
}

const fn call_timeout_ms() -> u64 {
    5_000
}

/// `[coordination.tls]`: files in PEM.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EtcdTls {
    /// The authorities that may vouch for the cluster.
    pub ca_file: PathBuf,
    /// Our certificate, where the cluster asks for one.
    #[serde(default)]
    pub cert_file: Option<PathBuf>,
    /// The certificate's key.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// The name in the cluster's certificate, if it is not the endpoint's host.
    #[serde(default)]
    pub server_name: Option<String>,
}

/// `[coordination.go]`: what the Go fleet agreed on.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct GoSection {
    /// Jobs.
    pub jobs: String,
    /// Locks.
    pub locks: String,
    /// Kill marks.
    pub kills: String,
    /// Registered workers.
    pub workers: String,
    /// What runs the command of a job that a Go master has saved.
    pub shell: String,
    /// How long a kill mark of that fleet lives that a server of ours puts, in seconds. etcd raises it to what it can
    /// keep, some two seconds.
    pub kill_ttl_s: u64,
}

impl Default for GoSection {
    fn default() -> Self {
        Self {
            jobs: prefix::JOBS.to_owned(),
            locks: prefix::LOCKS.to_owned(),
            kills: prefix::KILLS.to_owned(),
            workers: prefix::WORKERS.to_owned(),
            shell: DEFAULT_SHELL[0].to_owned(),
            kill_ttl_s: 1,
        }
    }
}

/// `[run_log]`: where runs and their output are kept.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum RunLogSection {
    /// One file in `data`, for one process.
    Embedded {},
    /// MongoDB, as the Go fleet's log.
    Mongodb(MongodbSection),
}

/// What `type` may say.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RunLogKind {
    Embedded,
    Mongodb,
}

impl<'de> Kinds<'de> for RunLogSection {
    type Kind = RunLogKind;

    fn read<D: Deserializer<'de>>(kind: RunLogKind, rest: D) -> Result<Self, D::Error> {
        match kind {
            RunLogKind::Embedded => Nothing::deserialize(rest).map(|_| Self::Embedded {}),
            RunLogKind::Mongodb => MongodbSection::deserialize(rest).map(Self::Mongodb),
        }
    }
}

impl<'de> Deserialize<'de> for RunLogSection {
    fn deserialize<D: Deserializer<'de>>(section: D) -> Result<Self, D::Error> {
        kinds::read(section)
    }
}

impl Default for RunLogSection {
    fn default() -> Self {
        Self::Embedded {}
    }
}

/// `[run_log]` with `type = "mongodb"`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MongodbSection {
    /// `mongodb://…`, with what the server asks for.
    pub uri: String,
    /// The database.
    #[serde(default = "database")]
    pub database: String,
    /// The collection of the runs.
    #[serde(default = "collection")]
    pub collection: String,
    /// How long the first contact may take, in milliseconds.
    #[serde(default = "connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// How long a later call may take, in milliseconds.
    #[serde(default = "call_timeout_ms")]
    pub call_timeout_ms: u64,
}

/// Without the address, which may hold a password.
impl fmt::Debug for MongodbSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongodbSection")
            .field("database", &self.database)
            .field("collection", &self.collection)
            .finish_non_exhaustive()
    }
}

fn database() -> String {
    "cron".to_owned()
}

fn collection() -> String {
    "log".to_owned()
}

const fn connect_timeout_ms() -> u64 {
    10_000
}
