//! A TCP proxy whose connections a test can cut.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Stands between a client and a server, on a port of its own, as long as the runtime lives.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    cuts: watch::Sender<u64>,
}

impl Proxy {
    /// A proxy in front of `server`, an `address:port`.
    ///
    /// # Panics
    /// If the loopback interface has no free port.
    pub async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let (cuts, _) = watch::channel(0);
        let server = server.to_owned();
        let each = cuts.clone();
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
        Self { address, cuts }
    }

    /// Where clients connect to: `address:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Cuts every connection that is open now. New ones can be made at once.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

/// Carries bytes both ways until either side ends or the link is cut.
async fn link(mut client: TcpStream, server: String, mut cuts: watch::Receiver<u64>) {
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    // Small messages go at once, as they do without a proxy.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    tokio::select! {
        biased;
        _ = cuts.changed() => {}
        _ = copy_bidirectional(&mut client, &mut server) => {}
    }
}
