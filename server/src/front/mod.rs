//! The API's door: how many clients may be connected at once, and how long each may be idle.
//!
//! Connections and runs share the descriptors of one process, and clients cost nothing to whoever
//! opens them. So they get a share of the descriptors, and one that does not say what it wants is
//! closed. With TLS ([`tls`]) the handshake has a limit of time as well.

mod identity;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{HeaderValue, STRICT_TRANSPORT_SECURITY};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

pub use self::tls::{Tls, TlsStatus};
use crate::exec::open_files;

/// How long a client may take for the head of a request, from the connection or the last answer on.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// The most clients at once, streams among them; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: u64 = 4096;

/// Clients may hold one of so many descriptors; the others are for runs and stores.
const SHARE: u64 = 4;

/// How long to wait when the kernel does not hand out a connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// Browsers that came by TLS once come by it only, for a year (RFC 6797, section 6.1).
const ONLY_TLS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Who is at the other end of a request's connection: a client, or a proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Answers requests, each with the router of its moment, until `closing`, then ends each connection after the answer it is about.
/// Dropping the future closes all of them at once.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    router: watch::Receiver<Router>,
    closing: impl Future<Output = ()>,
) {
    let places = (open_files::current() / SHARE).clamp(1, MAX_CONNECTIONS);
    let places = Arc::new(Semaphore::new(usize::try_from(places).unwrap_or(1)));
    let (close, _) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut closing = std::pin::pin!(closing);
    let mut following = std::pin::pin!(tls::follow(tls.as_ref()));
    loop {
        tokio::select! {
            biased;
            () = &mut closing => break,
            () = &mut following => {}
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener, &places) => match accepted {
                Ok((stream, peer, place)) => {
                    let (tls, closing) = (tls.clone(), close.subscribe());
                    let answering = answer(stream, tls, peer, router.clone(), closing);
                    connections.spawn(async move {
                        answering.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_AGAIN).await;
                }
            },
        }
    }
    drop(listener);
    close.send_replace(true);
    while connections.join_next().await.is_some() {}
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, Peer, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await;
    let place = place.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, Peer(peer), place))
}

/// Answers the requests of one connection.
async fn answer(
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
    peer: Peer,
    router: watch::Receiver<Router>,
    mut closing: watch::Receiver<bool>,
) {
    let Some(tls) = tls else {
        return answer_on(stream, false, peer, router, closing).await;
    };
    let encrypted = tokio::select! {
        biased;
        encrypted = tls.accept(stream) => encrypted,
        _ = closing.wait_for(|closing| *closing) => None,
    };
    if let Some(stream) = encrypted {
        answer_on(stream, true, peer, router, closing).await;
    }
}

/// The same once it is known how its bytes come.
async fn answer_on(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    encrypted: bool,
    peer: Peer,
    router: watch::Receiver<Router>,
    mut closing: watch::Receiver<bool>,
) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let router = TowerToHyperService::new(router.borrow().clone());
        let answering = router.call(request);
        async move {
            let mut answer = answering.await?;
            if encrypted {
                let headers = answer.headers_mut();
                headers.insert(STRICT_TRANSPORT_SECURITY, ONLY_TLS);
            }
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // A client that goes away or says nothing is no fault of this process.
        _ = connection.as_mut() => return,
        _ = closing.wait_for(|closing| *closing) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
