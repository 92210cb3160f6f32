//! What no single member of the configuration can say: whether members fit each other.
//!
//! Each check names what it rests on, so that whoever looks for all faults does not tell of one that only another fault
//! has made.

use super::{Config, CoordinationSection, GoFile, RunLogSection, labels};
use crate::document::FieldError;

/// The least [`spool_max_bytes`](super::WorkerSection::spool_max_bytes): what one run stores by default.
const SPOOL_AT_LEAST: u64 = 1 << 20;

/// One of the checks.
pub(super) struct Check {
    /// The members and sections that it looks at.
    pub(super) rests_on: &'static [&'static str],
    /// What it found.
    pub(super) found: Result<(), FieldError>,
}

impl Config {
    /// Checks what no single member can say.
    ///
    /// # Errors
    /// Says which members do not fit, and what would.
    pub fn check(&self) -> Result<(), FieldError> {
        self.checks().into_iter().try_for_each(|check| check.found)
    }

    /// All of it.
    pub(super) fn checks(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        let mut add = |rests_on, found| checks.push(Check { rests_on, found });
        add(&["tls"], self.tls.check());
        // Who starts a Go fleet's master has yet to say whether it may be open.
        let of_a_master = self.from_go == Some(GoFile::Master);
        if !of_a_master {
            let found = self.check_exposure("listen", Some(self.listen));
            add(&["listen", "behind_proxy", "tls"], found);
        }
        let found = self.check_exposure("worker.listen", self.worker.listen);
        add(&["worker.listen", "behind_proxy", "tls"], found);
        add(&["coordination", "run_log"], self.check_stores());
        add(&["go_api"], self.go_api.check());
        add(&["api"], self.api.check());
        if let CoordinationSection::Etcd(etcd) = &self.coordination {
            add(&["coordination"], etcd.check_times());
        }
        add(&["sessions"], self.sessions.check());
        if let Some(oidc) = &self.oidc {
            let needs_url = self.behind_proxy || !self.listen.ip().is_loopback();
            let found = oidc.check(needs_url);
            add(&["oidc", "behind_proxy", "listen"], found);
        }
        add(&["telemetry"], self.telemetry.check());
        let plugins = &self.plugins;
        let trust = &["plugins.trusted_keys", "plugins.require_signature"];
        add(trust, plugins.trust().map(drop));
        let grants = &["plugins.grants", "plugins.http"];
        add(grants, plugins.grants().map(drop));
        let targets = &["plugins.http", "plugins.secrets"];
        add(targets, plugins.targets().map(drop));
        let breakers = &["plugins.breaker", "plugins.breakers"];
        add(breakers, plugins.breakers().map(drop));
        add(&["plugins.secrets"], plugins.secrets().map(drop));
        add(&["alerts"], self.alerts.check());
        let worker = &self.worker;
        let places = "worker.max_concurrent_runs";
        let found = at_least(places, worker.max_concurrent_runs.into(), 1, "a number");
        add(&["worker.max_concurrent_runs"], found);
        add(&["worker.labels"], labels::check(&worker.labels));
        add(&["worker.secrets"], worker.secrets().map(drop));
        let (field, spool) = ("worker.spool_max_bytes", worker.spool_max_bytes);
        let found = at_least(field, spool, SPOOL_AT_LEAST, "a number of bytes");
        add(&["worker.spool_max_bytes"], found);
        checks
    }

    fn check_exposure(
        &self,
        field: &str,
        address: Option<std::net::SocketAddr>,
    ) -> Result<(), FieldError> {
        let Some(address) = address.filter(|address| self.exposes(*address)) else {
            return Ok(());
        };
        let accepted = "it is open to other hosts: set tls.certificate and tls.key, or put a proxy that ends TLS in \
                        front and set behind_proxy = true, or listen on 127.0.0.1";
        Err(FieldError::new(field, address, accepted))
    }

    fn check_stores(&self) -> Result<(), FieldError> {
        match (&self.coordination, &self.run_log) {
            (CoordinationSection::Etcd(_), RunLogSection::Embedded {}) => {
                let accepted = "a file of one process cannot hold the runs of a fleet; with coordination.type = \
                                \"etcd\" set run_log.type = \"mongodb\"";
                Err(FieldError::new("run_log.type", "\"embedded\"", accepted))
            }
            _ => Ok(()),
        }
    }
}

fn at_least(field: &str, given: u64, least: u64, what: &str) -> Result<(), FieldError> {
    match given >= least {
        true => Ok(()),
        false => Err(FieldError::new(
            field,
            given,
            format!("{what} from {least}"),
        )),
    }
}
