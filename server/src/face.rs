//! What of a server follows from its configuration alone: what people get, and what sends alerts. Made once at the start,
//! and again whenever the configuration is read again.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use sandclock_core::fleet::WorkerHandle;
use tokio::sync::watch;

use crate::access::Gate;
use crate::api::{self, Api};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::deliver::Delivery;
use crate::reload::Apply;
use crate::sign_in::Provider;
use crate::wire::Parts;

/// What stays, whatever the configuration.
#[derive(Debug)]
pub(crate) struct Face {
    pub(crate) parts: Arc<Parts>,
    /// Who is let in.
    pub(crate) gate: Arc<Gate>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

/// What people get and what sends alerts, until another takes its place; and what puts it there.
type Kept = (
    watch::Receiver<Router>,
    watch::Receiver<Arc<Delivery>>,
    Apply,
);

impl Face {
    /// What follows from this configuration; `worker` is the one in this process.
    ///
    /// # Errors
    /// Names the field of which nothing can be made.
    pub(crate) fn of(
        &self,
        config: &Config,
        worker: Option<WorkerHandle>,
    ) -> anyhow::Result<(Router, Arc<Delivery>)> {
        let here = format!("http://{}", self.address);
        let provider = |section: &_| Provider::new(section, &here, Arc::new(SystemClock));
        let provider = config.oidc.as_deref().map(provider).transpose()?;
        let api = self.parts.api(config, worker, Arc::clone(&self.gate));
        let router = api::router(Api { provider, ..api });
        Ok((router, Arc::new(self.parts.delivery(config)?)))
    }

    /// The same of a server, to be kept as the configuration changes.
    ///
    /// # Errors
    /// Names the field of which nothing can be made.
    pub(crate) fn kept(self, config: &Config) -> anyhow::Result<Kept> {
        let (router, delivery) = self.of(config, None)?;
        let (routers, router) = watch::channel(router);
        let (deliveries, delivery) = watch::channel(delivery);
        let apply = move |config: &Config| {
            let (router, delivery) = self.of(config, None)?;
            self.parts.follow(config);
            drop(routers.send_replace(router));
            drop(deliveries.send_replace(delivery));
            Ok(())
        };
        Ok((router, delivery, Box::new(apply)))
    }
}
