//! TLS on a listener: the handshake within a time, and a certificate that is replaced without a restart.
//!
//! What the files hold anew ([`renewed`]) is judged: what is of use serves every connection from then on; what is not
//! changes nothing, and log and metrics say so.

use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::anyhow;
use rustls::ServerConfig;
use sandclock_core::Timestamp;
use sandclock_core::time::Clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::identity::{Content, Identity, Places};
use crate::config::TlsFiles;
use crate::renewed;

/// How long a client may take for the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What a TLS connection begins with: the type of a handshake record (RFC 8446, section 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// What a client is told that speaks plain HTTP here: a problem document like the API's.
const PLAIN: &str = "{\"type\":\"/problems/tls\",\"title\":\"this port speaks TLS\",\"status\":400,\
                     \"detail\":\"the request came without encryption: ask https:// instead of http://\"}";

/// How much of a request without encryption is read after the answer.
const PLAIN_BYTES: u64 = 64 << 10;

/// The TLS of this process's listener.
pub struct Tls {
    places: Places,
    clock: Arc<dyn Clock>,
    current: RwLock<Identity>,
    /// What the files held at the start.
    first: Arc<Content>,
    refused: AtomicBool,
    replaced: AtomicU64,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}

/// How it is with the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsStatus {
    /// Until when the one in use is valid.
    pub valid_until: Timestamp,
    /// What the files hold now is of no use, so that an earlier one is shown.
    pub refused: bool,
    /// How often it was replaced since the start.
    pub replaced: u64,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// If there is nothing to begin with: names the field, the file, and what is wrong with it.
    pub fn open(files: TlsFiles<'_>, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let places = Places::of(files);
        let content = places.read().map_err(|error| anyhow!("{error}"))?;
        let identity = places.identity(&content)?;
        let now = clock.now();
        if identity.valid.until <= now {
            let until = identity.valid.until;
            tracing::error!(%until, "the certificate (tls.certificate) has expired: clients do not accept it");
        } else if identity.valid.from > now {
            let from = identity.valid.from;
            tracing::error!(%from, "the certificate (tls.certificate) is not valid yet: clients do not accept it");
        }
        Ok(Self {
            places,
            clock,
            current: RwLock::new(identity),
            first: Arc::new(content),
            refused: AtomicBool::new(false),
            replaced: AtomicU64::new(0),
        })
    }

    /// How it is now.
    pub fn status(&self) -> TlsStatus {
        TlsStatus {
            valid_until: self.identity().valid.until,
            refused: self.refused.load(Ordering::Relaxed),
            replaced: self.replaced.load(Ordering::Relaxed),
        }
    }

    fn identity(&self) -> Identity {
        let current = self.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Follows the files, for ever.
    pub(super) async fn follow(self: &Arc<Self>) {
        let mut used = Ok(Arc::clone(&self.first));
        loop {
            let this = Arc::clone(self);
            let read = move || this.places.read().map(Arc::new);
            used = renewed::other(&used, read).await;
            self.judge(&used);
        }
    }

    /// Takes what the files hold, if it is of use.
    fn judge(&self, content: &Result<Arc<Content>, String>) {
        let identity = match content {
            Ok(content) => self.places.identity(content),
            Err(error) => Err(anyhow!("{error}")),
        };
        let identity = identity.and_then(|identity| {
            if identity.valid.until <= self.clock.now() {
                return Err(anyhow!("it expired at {}", identity.valid.until));
            }
            Ok(identity)
        });
        match identity {
            Ok(identity) => {
                let until = identity.valid.until;
                tracing::info!(%until, "new connections are shown the certificate that the files hold now");
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = identity;
                self.refused.store(false, Ordering::Relaxed);
                self.replaced.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                let until = self.identity().valid.until;
                tracing::error!(
                    error = format!("{error:#}"),
                    %until,
                    "the new certificate is of no use; the earlier one is shown on"
                );
                self.refused.store(true, Ordering::Relaxed);
            }
        }
    }

    /// The encrypted connection, if the client comes to one in time.
    pub(super) async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let config = self.identity().config;
        match timeout(HANDSHAKE, handshake(stream, config)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a client did not come to an encrypted connection");
                None
            }
            Err(_) => None,
        }
    }
}

/// `None` if the client speaks plain HTTP, and was told.
async fn handshake(
    mut stream: TcpStream,
    config: Arc<ServerConfig>,
) -> io::Result<Option<TlsStream<TcpStream>>> {
    let mut first = [0];
    let peeked = stream.peek(&mut first).await?;
    if peeked == 0 || first == [HANDSHAKE_RECORD] {
        return TlsAcceptor::from(config).accept(stream).await.map(Some);
    }
    let head = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        PLAIN.len()
    );
    stream.write_all((head + PLAIN).as_bytes()).await?;
    stream.shutdown().await?;
    // To close with something unread would take the answer away from the client.
    let mut rest = stream.take(PLAIN_BYTES);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    Ok(None)
}

/// Follows the files, if there are any.
pub(super) async fn follow(tls: Option<&Arc<Tls>>) {
    match tls {
        Some(tls) => tls.follow().await,
        None => pending().await,
    }
}
