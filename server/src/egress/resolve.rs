//! Names become addresses here, once for each connection, and none that is not checked gets any further.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address;

/// What knows the addresses of names.
#[async_trait]
pub trait Lookup: std::fmt::Debug + Send + Sync + 'static {
    /// The addresses of a name.
    ///
    /// # Errors
    /// If it has none, or nobody can tell.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// This host's resolver.
#[derive(Clone, Copy, Debug)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// A resolver that hands out only what a request may reach.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    lookup: Arc<dyn Lookup>,
    allow_private: bool,
}

impl Checked {
    pub(super) fn new(lookup: Arc<dyn Lookup>, allow_private: bool) -> Self {
        Self {
            lookup,
            allow_private,
        }
    }
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let Self {
            lookup,
            allow_private,
        } = self.clone();
        Box::pin(async move {
            let found = lookup.addresses(name.as_str()).await?;
            // One that may not be reached condemns all: whoever mixes them means no good.
            for address in &found {
                address::check(*address, allow_private)?;
            }
            // The port of the address is taken in place of 0.
            let found = found.into_iter().map(|address| SocketAddr::new(address, 0));
            let found: Addrs = Box::new(found);
            Ok(found)
        })
    }
}
