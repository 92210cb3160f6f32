//! From `[coordination]` to a store of coordination on etcd.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use nix::ifaddrs::getifaddrs;
use sandclock_backend_etcd::{EtcdConfig, GoKeys, Login, Renewal, Tls};
use sandclock_core::backend::{Coordination, GoFleet};
use sandclock_core::error::WithSources;
use sandclock_core::go::GoDefaults;
use sandclock_core::{BackendError, ErrorKind};
use tokio::time::sleep;

use crate::config::{Config, EtcdSection, EtcdTls, secret};
use crate::renewed;

/// The pause before a connection with new certificates is tried again.
const AGAIN: Duration = Duration::from_secs(5);

pub(super) async fn etcd(
    section: &EtcdSection,
    config: &Config,
) -> anyhow::Result<(Coordination, Arc<dyn GoFleet>, Option<Certificates>)> {
    let config = etcd_config(section, config)?;
    let endpoints = config.endpoints.join(", ");
    let used = config.tls.clone();
    let connected = sandclock_backend_etcd::connect_as_master(config).await;
    let (coordination, go, renewal) = connected.map_err(|error| {
        let said = WithSources(&error).to_string();
        let said = error.without_op(&said);
        let remedy = remedy(section, &error, said);
        anyhow!("coordination.endpoints: etcd at {endpoints} cannot be used: {said}; {remedy}")
    })?;
    let certificates = section.tls.clone().zip(used);
    let certificates = certificates.map(|(section, used)| Certificates {
        section,
        used,
        renewal,
    });
    Ok((coordination, go, certificates))
}

/// The certificates of a connection to etcd, which is made anew when their files are.
#[derive(Clone, Debug)]
pub struct Certificates {
    section: EtcdTls,
    /// What the files held when the connection was made.
    used: Tls,
    renewal: Renewal,
}

impl Certificates {
    /// Follows the files, for ever. What does not lead to a connection changes nothing.
    pub async fn follow(&self) {
        let mut used = Ok(self.used.clone());
        loop {
            let section = self.section.clone();
            let read = move || tls(&section).map_err(|error| format!("{error:#}"));
            used = renewed::other(&used, read).await;
            let renewed = match &used {
                Ok(tls) => self.renewal.renew(tls.clone()).await,
                Err(error) => {
                    tracing::error!(error, "new certificates for etcd are of no use");
                    continue;
                }
            };
            match renewed {
                Ok(()) => tracing::info!(
                    "connected to etcd with the certificates that the files hold now"
                ),
                Err(error) => {
                    let error = WithSources(&error).to_string();
                    tracing::error!(
                        error,
                        "there is no connection to etcd with its new certificates; the earlier one is used on"
                    );
                    // The cluster may be away, or have its own new ones only later.
                    sleep(AGAIN).await;
                    used = Err(error);
                }
            }
        }
    }
}

/// What to do about a cluster that cannot be used.
pub(super) fn remedy(section: &EtcdSection, error: &BackendError, said: &str) -> String {
    if error.kind == ErrorKind::Denied {
        let go = &section.go;
        return format!(
            "check coordination.user and its password, and that the user may read and write below {}, {}, {}, {} and \
             {}, and the key coordination.leader",
            section.prefix, go.jobs, go.locks, go.kills, go.workers
        );
    }
    if ["certificate", "fatal alert"]
        .iter()
        .any(|word| said.contains(word))
    {
        return "check coordination.tls.ca_file, which vouches for the cluster's certificate, cert_file and key_file, \
                which say who we are, and server_name"
            .to_owned();
    }
    // It runs and is reached, so that the address is not what is wrong. The words of api/v3rpc/rpctypes.
    if said.contains("no leader") {
        return "see whether a majority of its members runs and reaches the others".to_owned();
    }
    match error.kind {
        ErrorKind::InvalidConfig => "check [coordination]".to_owned(),
        _ => "check that it runs and can be reached from here, and whether it asks for TLS ([coordination.tls])"
            .to_owned(),
    }
}

pub(super) fn etcd_config(section: &EtcdSection, config: &Config) -> anyhow::Result<EtcdConfig> {
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
        kill_mark_life: Duration::from_secs(go.kill_ttl_s),
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

pub(super) fn login(section: &EtcdSection) -> anyhow::Result<Option<Login>> {
    let (given, file) = (section.password.as_ref(), section.password_file.as_ref());
    if given.is_some() && file.is_some() {
        bail!("coordination.password and coordination.password_file are both set: keep one")
    }
    let password = secret("coordination.password", given, file)?;
    match (section.user.clone(), password) {
        (Some(user), Some(password)) => Ok(Some(Login { user, password })),
        (None, None) => Ok(None),
        (Some(_), None) => bail!("coordination.user is set without coordination.password_file"),
        (None, Some(_)) => bail!("coordination.password is set without coordination.user"),
    }
}

pub(super) fn tls(section: &EtcdTls) -> anyhow::Result<Tls> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_without_a_leader_is_not_looked_for_elsewhere() {
        let section = serde_json::json!({ "endpoints": ["h1:2379"] });
        let section: EtcdSection = serde_json::from_value(section).unwrap();
        let remedy = |said: &str| {
            let error = BackendError::new("etcd.connect", ErrorKind::Unavailable);
            remedy(&section, &error, said)
        };
        let leaderless = remedy("the store cannot be reached: etcdserver: no leader");
        assert!(leaderless.contains("a majority"), "{leaderless}");
        let refused = remedy("the store cannot be reached: Connection refused");
        assert!(refused.contains("can be reached from here"), "{refused}");
    }
}
