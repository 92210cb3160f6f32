//! A TCP proxy at which a test can break the way between a client and a server.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the way is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Bytes pass.
    Open,
    /// Connections are closed as soon as they are made, as with a server that is down.
    Refused,
    /// Connections are made and no byte passes, as with a network that drops packets.
    Silent,
}

/// Stands between a client and a server, on a port of its own, as long as the runtime lives.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    way: watch::Sender<Way>,
}

impl Proxy {
    /// A proxy in front of `server`, an `address:port`.
    ///
    /// # Panics
    /// If the loopback interface has no free port.
    pub async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let (way, _) = watch::channel(Way::Open);
        let server = server.to_owned();
        let each = way.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "it lives as long as the test's runtime"
        )]
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                #[expect(clippy::disallowed_methods, reason = "as above")]
                tokio::spawn(link(client, server.clone(), each.subscribe()));
            }
        });
        Self { address, way }
    }

    /// Where clients connect to: `address:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Cuts every connection, and closes new ones at once.
    pub fn refuse(&self) {
        self.way.send_replace(Way::Refused);
    }

    /// Lets no byte pass any more, without a word to either side.
    pub fn silence(&self) {
        self.way.send_replace(Way::Silent);
    }

    /// Lets new connections through. Every one that is open now ends: so it also cuts a way that is open.
    pub fn cut(&self) {
        self.way.send_replace(Way::Open);
    }
}

/// Carries bytes both ways until either side ends or the way changes. What a connection may have lost by a silence
/// nobody knows, so it ends with the silence.
async fn link(client: TcpStream, server: String, mut way: watch::Receiver<Way>) {
    // Kept open until the end.
    let mut ends = (client, None);
    if *way.borrow_and_update() == Way::Open {
        let Ok(server) = TcpStream::connect(server).await else {
            return;
        };
        let (client, server) = (&mut ends.0, ends.1.insert(server));
        // Small messages go at once, as they do without a proxy.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        tokio::select! {
            biased;
            _ = way.changed() => {}
            _ = copy_bidirectional(client, server) => return,
        }
    }
    if *way.borrow_and_update() == Way::Silent {
        let _ = way.changed().await;
    }
}
