//! The composition root: from configuration to a product.
//!
//! Only here are backends ([`stores`]) and plugins named. Everything else sees contracts.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sandclock_core::backend::Candidate;
use sandclock_core::fleet::WorkerHandle;
use sandclock_hooks::{KnownSecrets, PluginHost};
use tokio::net::TcpListener;

use crate::access::Gate;
use crate::api::Api;
use crate::api::go::GoMaster;
use crate::api::pace::Pace;
use crate::api::sign_in::Cookies;
use crate::audit::{Places, Trail};
use crate::clock::SystemClock;
use crate::config::{Config, Environment, RunLogSection};
use crate::deliver::{Delivery, Figures, Tried};
use crate::events::Watches;
use crate::front::Tls;
use crate::leader::{Chores, Leads};
use crate::random;
use crate::recorder::RecordingQueue;
use crate::reload::Accepted;
use crate::rollout::Rollout;
use crate::spool::{Spool, SpoolConfig};
use crate::telemetry::Telemetry;

pub mod checkup;
mod confidential;
mod etcd;
mod files;
mod mongodb;
mod parts;
mod plugins;
mod stores;
mod worker;

pub(crate) use self::confidential::password_in;
pub use self::etcd::Certificates;
pub use self::files::check_files;
pub use self::mongodb::{RunLog, open_later};
pub(crate) use self::worker::limits;
pub use stores::{FILE, GoStores, Stores, open as open_stores};

/// What every role has.
#[derive(Debug)]
pub struct Parts {
    /// Where workers agree, and where runs are kept.
    pub stores: Stores,
    /// Plugins.
    pub plugins: Arc<PluginHost>,
    /// What keeps them as the fleet has them.
    pub rollout: Arc<Rollout>,
    /// Where their calls are told, if they are.
    pub recorder: Option<Arc<RecordingQueue>>,
    /// Whether this process leads.
    leads: Leads,
    /// Where it is written who changes what.
    trail: Arc<Trail>,
    /// What this process has counted of alerts.
    deliveries: Figures,
    /// What it has tried to deliver, and the outbox does not know yet.
    tried: Tried,
    /// Where output waits for a run log that is away; `None` if the run log is a file of this process.
    pub spool: Option<Arc<Spool>>,
    /// What its listener shows, if it speaks TLS.
    pub tls: Option<Arc<Tls>>,
    /// Whether its configuration was of use when it was read last.
    pub accepted: Accepted,
    /// What leaves by no way.
    known: KnownSecrets,
    /// What its API tells of changes.
    watches: Arc<Watches>,
    /// Where traces go, if they do.
    pub telemetry: Option<Telemetry>,
}

impl Parts {
    /// Loads the standard plugins and those that the fleet serves. What is `known` as a secret leaves by no way; the
    /// environment may hold those of plugins' targets. What the next
    /// start shall have is kept in `data`.
    ///
    /// # Errors
    /// If a standard plugin does not load, or bindings cannot be read.
    pub async fn new(
        stores: Stores,
        known: (&Environment, KnownSecrets),
        config: &Config,
        data: &Path,
    ) -> anyhow::Result<Self> {
        let (_, secrets) = &known;
        let secrets = secrets.clone();
        confidential::learn(config, &secrets);
        let section = &config.plugins;
        let recordings = &stores.records.recordings;
        let record = || Arc::new(RecordingQueue::new(Arc::clone(recordings)));
        let recorder = section.record_calls.then(record);
        let kv = Arc::clone(&stores.records.kv);
        let plugins = plugins::open(section, kv, recorder.clone(), known, data).await?;
        let plugins = Arc::new(plugins);
        let store = Arc::clone(&stores.records.plugins);
        let docs = Arc::clone(&stores.coordination.docs);
        let rollout = Rollout::new(
            store,
            docs,
            Arc::clone(&plugins),
            data.join(plugins::MODULES),
        );
        rollout.begin().await?;
        let leads = Leads::default();
        let trail = trail(&stores, leads.clone(), config);
        let watches = Watches::new(stores.coordination.clone(), Arc::new(SystemClock));
        Ok(Self {
            stores,
            plugins,
            rollout: Arc::new(rollout),
            recorder,
            leads,
            trail: Arc::new(trail),
            deliveries: Figures::default(),
            tried: Tried::default(),
            spool: None,
            tls: None,
            accepted: Accepted::default(),
            known: secrets,
            telemetry: None,
            watches: Arc::new(watches),
        })
    }

    /// Hears that another configuration counts: what it holds in confidence leaves by no way, and the trail is kept for
    /// as long as it says.
    pub fn follow(&self, config: &Config) {
        confidential::learn(config, &self.known);
        self.trail.keep(days_kept(config.retention.audit_days));
    }

    /// Opens the spool in `data`, if the run log is elsewhere. For what runs jobs.
    ///
    /// # Errors
    /// If another process has it.
    pub fn with_spool(mut self, config: &Config, data: &Path) -> anyhow::Result<Self> {
        if let RunLogSection::Mongodb(_) = config.run_log {
            let log = Arc::clone(&self.stores.records.sink);
            let spool = SpoolConfig::new(data, config.worker.spool_max_bytes);
            self.spool = Some(Arc::new(Spool::open(log, spool, Arc::new(SystemClock))?));
        }
        Ok(self)
    }

    /// Opens what the listener shows, if it is to speak TLS. For what listens to others.
    ///
    /// # Errors
    /// Names the file that is of no use.
    pub fn with_tls(mut self, config: &Config) -> anyhow::Result<Self> {
        let clock = Arc::new(SystemClock);
        let tls = config.tls.files().map(|files| Tls::open(files, clock));
        self.tls = tls.transpose()?.map(Arc::new);
        Ok(self)
    }

    /// Tells of runs and requests, if the configuration says where. `role` is what this process is.
    ///
    /// # Errors
    /// If the client cannot be made.
    pub fn with_telemetry(mut self, config: &Config, role: &str) -> anyhow::Result<Self> {
        let name = config.worker.name.clone().unwrap_or_else(host);
        self.telemetry = Telemetry::start(&config.telemetry, role, &name)?;
        Ok(self)
    }

    /// Where clients find what listens there.
    ///
    /// # Errors
    /// If the system does not say where it listens.
    pub fn url(&self, listener: &TcpListener) -> io::Result<String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://{}", listener.local_addr()?))
    }

    /// What a server does while it leads.
    pub fn chores(&self) -> Chores {
        Chores {
            leadership: Arc::clone(&self.stores.coordination.leadership),
            me: Candidate {
                name: format!("{}, process {}", host(), std::process::id()),
                nonce: random::nonce(),
            },
            leads: self.leads.clone(),
            trail: Arc::clone(&self.trail),
            docs: Arc::clone(&self.stores.coordination.docs),
            clock: Arc::new(SystemClock),
        }
    }

    /// What sends alerts.
    ///
    /// # Errors
    /// If a target cannot be made of its configuration.
    pub fn delivery(&self, config: &Config) -> anyhow::Result<Delivery> {
        let outbox = Arc::clone(&self.stores.records.outbox);
        let so_far = (self.deliveries.clone(), self.tried.clone());
        let delivery = Delivery::new(outbox, &config.alerts, so_far)?;
        Ok(delivery.with_telemetry(self.telemetry.clone()))
    }

    /// What lets requests in: whoever has a token of the fleet. It has not read them yet.
    pub fn gate(&self) -> Gate {
        let docs = Arc::clone(&self.stores.coordination.docs);
        Gate::new(docs, Arc::new(SystemClock))
    }

    /// What the API's handlers share; `worker` is the one in this process. Nobody signs in at a provider there yet.
    pub fn api(&self, config: &Config, worker: Option<WorkerHandle>, gate: Arc<Gate>) -> Api {
        let go_api = &config.go_api;
        let go = self.stores.go.clone().map(|stores| GoMaster {
            stores,
            open: go_api.open,
            read_timeout: go_api.read_timeout(),
            write_timeout: go_api.write_timeout(),
        });
        Api {
            watches: Arc::clone(&self.watches),
            coordination: self.stores.coordination.clone(),
            records: self.stores.records.clone(),
            plugins: Arc::clone(&self.plugins),
            rollout: Arc::clone(&self.rollout),
            recorder: self.recorder.clone(),
            worker,
            spool: self.spool.clone(),
            clock: Arc::new(SystemClock),
            gate,
            pace: Arc::new(Pace::new(config.api)),
            trail: Arc::clone(&self.trail),
            behind_proxy: config.behind_proxy,
            sessions: config.sessions.lifetimes(),
            cookies: Cookies::new(config.has_tls()),
            provider: None,
            alert_targets: config.alerts.targets.keys().cloned().collect(),
            default_time_zone: config.time_zone(),
            go,
            leads: self.leads.clone(),
            deliveries: self.deliveries.clone(),
            tls: self.tls.clone(),
            accepted: self.accepted.clone(),
            telemetry: self.telemetry.clone(),
        }
    }
}

fn trail(stores: &Stores, leads: Leads, config: &Config) -> Trail {
    let places = Places {
        log: Arc::clone(&stores.records.audit),
        docs: Arc::clone(&stores.coordination.docs),
    };
    let days = config.retention.audit_days;
    Trail::new(places, leads, Arc::new(SystemClock), days_kept(days))
}

/// How long something is kept for so many days; 0 is for ever.
fn days_kept(days: u32) -> Option<Duration> {
    (days > 0).then(|| Duration::from_secs(u64::from(days) * 86_400))
}

/// This host's name.
pub(crate) fn host() -> String {
    nix::unistd::gethostname().map_or_else(
        |_| "localhost".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}
