//! The files that a configuration names: whether they are there and of use, without a connection to anything.

use std::sync::Arc;

use crate::clock::SystemClock;
use crate::config::{Config, CoordinationSection, secret};
use crate::deliver;
use crate::front::Tls;
use crate::vault::Keys;

/// What is wrong with the files, each in words that name the field. A file counts only where its field is set.
pub fn check_files(config: &Config) -> Vec<anyhow::Error> {
    let mut wrong = Vec::new();
    let mut look = |found: anyhow::Result<()>| wrong.extend(found.err());
    if let Some(files) = config.tls.files() {
        look(Tls::open(files, Arc::new(SystemClock)).map(drop));
    }
    if let CoordinationSection::Etcd(etcd) = &config.coordination {
        look(super::etcd::login(etcd).map(drop));
        let tls = etcd.tls.as_ref().map(super::etcd::tls);
        look(tls.transpose().map(drop));
    }
    if let Some(oidc) = &config.oidc {
        let (given, file) = (&oidc.client_secret, &oidc.client_secret_file);
        look(secret("oidc.client_secret", given.as_ref(), file.as_ref()).map(drop));
    }
    if let Some(keys) = &config.worker.secrets_key {
        let read = Keys::read(keys);
        look(
            read.map(drop)
                .map_err(|error| error.context("worker.secrets_key")),
        );
    }
    look(super::worker::workdir(config).map(drop));
    wrong.extend(deliver::check_targets(&config.alerts));
    wrong
}
