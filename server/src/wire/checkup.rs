//! Stores that are asked how they are, as far as that goes without opening them: nothing in them is changed. Beside
//! [`stores`](super::stores) the other place that names backends.

use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use futures_util::future::join_all;
use sandclock_backend_embedded as embedded;
use sandclock_backend_etcd::{self as etcd, EtcdConfig};
use sandclock_backend_mongo as mongo;
use sandclock_core::BackendError;
use sandclock_core::backend::Coordination;
use sandclock_core::error::WithSources;

use super::etcd::{etcd_config, remedy as remedy_of_etcd};
use super::mongodb::{config_of, remedy as remedy_of_mongodb};
use super::stores::{FILE, remedy as remedy_of_file};
use crate::clock::SystemClock;
use crate::config::{Config, EtcdSection, MongodbSection};

pub use embedded::Checkup as FileCheckup;
pub use etcd::{Alarm, Checkup as EtcdCheckup};
pub use mongo::{Checkup as MongoCheckup, Flaw, FlawKind};

/// Why a store cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What it said.
    pub said: String,
    /// What to do about it; empty if what it said tells that.
    pub remedy: String,
}

/// What is known of the embedded store's file in `data`; `None` if there is none yet. Blocks.
///
/// # Errors
/// Why it cannot be used.
pub fn file(data: &Path) -> Result<Option<FileCheckup>, Refused> {
    embedded::checkup(&data.join(FILE)).map_err(|error| {
        let remedy = remedy_of_file(error.kind).trim().trim_matches(['(', ')']);
        Refused {
            said: said(&error),
            remedy: remedy.to_owned(),
        }
    })
}

/// What each endpoint of etcd says of itself and its cluster, by its address.
///
/// # Errors
/// If what the configuration names for the connection is of no use.
pub async fn members(
    section: &EtcdSection,
    config: &Config,
) -> anyhow::Result<Vec<(String, Result<EtcdCheckup, Refused>)>> {
    let all = etcd_config(section, config)?;
    let each = all.endpoints.iter().map(|endpoint| {
        let endpoints = vec![endpoint.clone()];
        let one = EtcdConfig {
            endpoints,
            ..all.clone()
        };
        async move {
            let asked = etcd::checkup(&one).await.map_err(|error| {
                let said = said(&error);
                let remedy = remedy_of_etcd(section, &error, &said);
                Refused { said, remedy }
            });
            (endpoint.clone(), asked)
        }
    });
    Ok(join_all(each).await)
}

/// The contracts on etcd, for what only they can tell. Nothing is written.
///
/// # Errors
/// If it cannot be reached.
pub async fn coordination(section: &EtcdSection, config: &Config) -> anyhow::Result<Coordination> {
    let connected = etcd::connect(etcd_config(section, config)?).await;
    connected.map_err(|error| anyhow!(said(&error)))
}

/// What MongoDB says of itself and of our collections.
///
/// # Errors
/// Why it cannot be used.
pub async fn run_log(section: &MongodbSection) -> Result<MongoCheckup, Refused> {
    let asked = async {
        let log = Arc::new(mongo::RunLog::new(&config_of(section)).await?);
        log.checkup(&SystemClock).await
    };
    asked.await.map_err(|error: BackendError| {
        let said = said(&error);
        let remedy = remedy_of_mongodb(section, &error, &said);
        Refused { said, remedy }
    })
}

/// What failed, without the name that calls have in logs.
pub fn said(error: &BackendError) -> String {
    let said = WithSources(error).to_string();
    error.without_op(&said).to_owned()
}
