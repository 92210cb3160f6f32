//! Where the cluster is, who we are to it, and under which keys things stand.

use std::fmt;
use std::time::Duration;

use sandclock_core::backend::Result;
use sandclock_core::go::{GoDefaults, prefix};
use sandclock_core::{BackendError, ErrorKind};

/// What our own keys begin with where one fleet has the cluster.
const PREFIX: &str = "/sandclock/";

/// How to reach a cluster and where our records are in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdConfig {
    /// `host:port`, or with `http://` or `https://`. At least one; a client spreads its calls over them.
    pub endpoints: Vec<String>,
    /// Set for encrypted connections, which all endpoints then use.
    pub tls: Option<Tls>,
    /// Set where the cluster asks who calls.
    pub login: Option<Login>,
    /// What our own keys begin with: default `/sandclock/`. Fleets that share a cluster differ here.
    pub prefix: String,
    /// The key that says which server leads, outside of the Go fleet's prefixes. `None` is `/cron/master`, which that
    /// fleet's authors had in mind for it; with another `prefix` than the default, `leader` below that, so that fleets
    /// that share a cluster do not share a leader.
    pub leader: Option<String>,
    /// The keys that the Go fleet defined.
    pub go: GoKeys,
    /// What a job without our member is taken to mean.
    pub go_defaults: GoDefaults,
    /// Where a session also registers as the Go fleet's workers do: an address, or an address and a suffix.
    /// Go masters list it as a worker. `None` registers nowhere.
    pub register_as: Option<String>,
    /// Whether Go workers run the same jobs at the same time: then claims take the Go fleet's lock, and every job
    /// admits one run at a time. Unless this is set it is so while there are traces of Go workers, which a worker
    /// that has just started may not have seen yet.
    pub beside_go: bool,
    /// How long a kill mark of the Go fleet lives that we put.
    pub kill_mark_life: Duration,
    /// The longest wait for the answer to one request; default 5 s. A renewal waits at most 2 s.
    pub call_timeout: Duration,
}

impl EtcdConfig {
    /// A cluster without encryption or login, with canonical keys.
    pub fn at(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            tls: None,
            login: None,
            prefix: PREFIX.to_owned(),
            leader: None,
            go: GoKeys::default(),
            go_defaults: GoDefaults::default(),
            register_as: None,
            beside_go: false,
            kill_mark_life: Duration::from_secs(1),
            call_timeout: Duration::from_secs(5),
        }
    }

    /// The key that says which server leads.
    pub(crate) fn leader_key(&self) -> String {
        match &self.leader {
            Some(key) => key.clone(),
            None if self.prefix == PREFIX => "/cron/master".to_owned(),
            None => format!("{}leader", self.prefix),
        }
    }

    /// Refuses what can never work.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |why: String| {
            Err(BackendError::new("etcd.connect", ErrorKind::InvalidConfig).context(why))
        };
        if self.endpoints.is_empty() {
            return refuse("no endpoints: name at least one as host:port".to_owned());
        }
        let prefixes = [
            ("prefix", &self.prefix),
            ("jobs", &self.go.jobs),
            ("locks", &self.go.locks),
            ("kills", &self.go.kills),
            ("workers", &self.go.workers),
        ];
        for (at, (name, prefix)) in prefixes.iter().enumerate() {
            if prefix.is_empty() {
                return refuse(format!(
                    "{name} is empty: it must begin every key of its kind"
                ));
            }
            for (other, taken) in prefixes.iter().take(at) {
                if prefix.starts_with(taken.as_str()) || taken.starts_with(prefix.as_str()) {
                    return refuse(format!(
                        "{name} {prefix:?} and {other} {taken:?} overlap: neither may begin the other"
                    ));
                }
            }
        }
        // A key of ours under one of these would be taken for a job, a lock, a kill or a worker.
        let leader = self.leader_key();
        let go = prefixes.iter().skip(1);
        if let Some((name, prefix)) = go.clone().find(|(_, prefix)| leader.starts_with(*prefix)) {
            return refuse(format!(
                "leader {leader:?} is one of the {name}, which begin with {prefix:?}: choose another key"
            ));
        }
        if leader.is_empty() {
            return refuse("leader is empty: name a key, such as /cron/master".to_owned());
        }
        Ok(())
    }
}

/// The prefixes of the Go fleet's keys; names follow without any escaping. Defaults are the canonical ones,
/// which most copies of that fleet kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoKeys {
    /// Jobs: `/cron/jobs/`.
    pub jobs: String,
    /// Locks: `/cron/lock/`.
    pub locks: String,
    /// Kill marks: `/cron/killer/`.
    pub kills: String,
    /// Registered workers: `/cron/workers/`.
    pub workers: String,
}

impl Default for GoKeys {
    fn default() -> Self {
        Self {
            jobs: prefix::JOBS.to_owned(),
            locks: prefix::LOCKS.to_owned(),
            kills: prefix::KILLS.to_owned(),
            workers: prefix::WORKERS.to_owned(),
        }
    }
}

/// Encryption. Everything in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Tls {
    /// The authorities that may vouch for the cluster: its own, or the system's bundle.
    pub authorities: Vec<u8>,
    /// Our certificate and its key, where the cluster asks for one.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name that the cluster's certificate carries, if it is not the endpoint's host.
    pub server_name: Option<String>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("identity", &self.identity.as_ref().map(|_| "…"))
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// A user of the cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Its name.
    pub user: String,
    /// Its password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .field("password", &"…")
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let config = EtcdConfig {
            tls: Some(Tls {
                authorities: b"authority".to_vec(),
                identity: Some((b"certificate".to_vec(), b"hunter2".to_vec())),
                server_name: Some("etcd.example".to_owned()),
            }),
            login: Some(Login {
                user: "sandclock".to_owned(),
                password: "hunter2".to_owned(),
            }),
            ..EtcdConfig::at(["localhost:2379"])
        };
        let shown = format!("{config:?}");
        assert!(shown.contains("sandclock") && shown.contains("etcd.example"));
        assert!(
            !shown.contains("hunter2") && !shown.contains("104, 117"),
            "{shown}"
        );
    }

    #[test]
    fn fleets_that_share_a_cluster_do_not_share_a_leader() {
        let one = EtcdConfig::at(["localhost:2379"]);
        assert_eq!(one.leader_key(), "/cron/master");
        let other = EtcdConfig {
            prefix: "/other/".to_owned(),
            ..one
        };
        assert_eq!(other.leader_key(), "/other/leader");
    }

    #[test]
    fn keys_of_two_kinds_never_overlap() {
        let right = EtcdConfig::at(["localhost:2379"]);
        assert!(right.check().is_ok());
        let inside = EtcdConfig {
            prefix: "/cron/jobs/ours/".to_owned(),
            ..right.clone()
        };
        let around = EtcdConfig {
            prefix: "/cron/".to_owned(),
            ..right.clone()
        };
        let nothing = EtcdConfig {
            prefix: String::new(),
            ..right.clone()
        };
        let leads = |key: &str| EtcdConfig {
            leader: Some(key.to_owned()),
            ..right.clone()
        };
        assert!(leads("/cron/master").check().is_ok());
        let (a_job, nameless) = (leads("/cron/jobs/leader"), leads(""));
        let nowhere = EtcdConfig {
            endpoints: Vec::new(),
            ..right
        };
        for wrong in [inside, around, nothing, nowhere, a_job, nameless] {
            let refused = wrong.check().expect_err("refused");
            assert_eq!(refused.kind, ErrorKind::InvalidConfig, "{refused}");
        }
    }
}
