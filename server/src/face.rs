//! What of a process follows from its configuration alone: what people get, what sends alerts, and a worker's limits. Made
//! once at the start, and again whenever the configuration is read again.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use sandclock_core::fleet::WorkerHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::access::Gate;
use crate::api::{self, Api};
use crate::cli::say;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::deliver::Delivery;
use crate::lifecycle::Front;
use crate::reload::Apply;
use crate::sign_in::Provider;
use crate::wire::{Parts, limits};

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

/// The same of a worker: what answers those who watch it at this listener, if there is one, and says where; and what puts
/// another in its place, with other limits.
///
/// # Errors
/// If the system does not say where it listens.
pub(crate) async fn of_worker(
    parts: &Arc<Parts>,
    config: &Config,
    worker: WorkerHandle,
    listener: Option<TcpListener>,
) -> anyhow::Result<(Option<Front>, Apply)> {
    let gate = Arc::new(parts.gate());
    let router = {
        let (parts, worker, gate) = (Arc::clone(parts), worker.clone(), Arc::clone(&gate));
        move |config: &Config| {
            let api = parts.api(config, Some(worker.clone()), Arc::clone(&gate));
            api::router_of_a_worker(api)
        }
    };
    let (routers, answers) = watch::channel(router(config));
    let apply = {
        let parts = Arc::clone(parts);
        move |config: &Config| {
            parts.follow(config);
            worker.limit(limits(config));
            drop(routers.send_replace(router(config)));
            Ok(())
        }
    };
    let Some(listener) = listener else {
        return Ok((None, Box::new(apply)));
    };
    let url = parts.url(&listener)?;
    say(&format!("  health  {url}/readyz"));
    say(&format!("  metrics {url}/metrics"));
    say("  token   any of the fleet's: sandclock token create NAME --role viewer");
    gate.read().await;
    let front = Front {
        listener,
        tls: parts.tls.clone(),
        router: answers,
    };
    Ok((Some(front), Box::new(apply)))
}
