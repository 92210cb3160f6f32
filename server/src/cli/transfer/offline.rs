//! A server for the length of one command, which nobody else can ask: on a free port of loopback, with a token that
//! this process alone knows. So there is one way to read and save, with a server and without.

use std::future::pending;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use sandclock_core::access::Role;
use sandclock_hooks::KnownSecrets;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::Api;
use crate::cli::client::Client;
use crate::config::{Config, Environment};
use crate::folders::Folders;
use crate::wire::{self, Parts};
use crate::{api, front};

/// Opens the stores of a data folder or a configuration, to be served from.
///
/// # Errors
/// If the stores cannot be opened; without `anew` also if the folder holds none.
pub(super) async fn open(
    data: Option<&Path>,
    config: Option<&Path>,
    anew: bool,
) -> anyhow::Result<Api> {
    let config = match data {
        // A folder is what it is, whatever the environment says of a fleet.
        Some(_) => Config::default(),
        None => Config::load(config, &Environment::of_process())?,
    };
    if let Some(data) = data.filter(|data| !anew && !data.join(wire::FILE).exists()) {
        bail!(
            "{} holds no {}: name the folder that sandclock dev prints as data",
            data.display(),
            wire::FILE
        );
    }
    let folders = Folders::of(data, &config)?;
    let stores = wire::open_stores(&config, &folders.data).await?;
    let known = (&Environment::default(), KnownSecrets::new());
    let parts = Parts::new(stores, known, &config, &folders.data).await?;
    let mut gate = parts.gate();
    let token = gate.own_token("offline", Role::Admin);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = api::router(parts.api(&config, None, Arc::new(gate)));
    let (_, router) = watch::channel(router);
    Ok(Api {
        client: Client::new(&url, Some(&token))?,
        serving: Box::pin(front::serve(listener, None, router, pending())),
    })
}
