//! A store that does not answer any more, though it can be reached.
#![expect(
    clippy::disallowed_methods,
    reason = "it lives as long as the test's runtime"
)]

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::sync::watch;

/// A line to a server that can fall silent for good: it stays open and carries nothing.
pub(crate) struct Line {
    pub(crate) address: SocketAddr,
    silent: watch::Sender<bool>,
}

impl Line {
    /// A line to `server`, an `address:port`, as long as the test's runtime lives.
    pub(crate) async fn to(server: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (silent, hears) = watch::channel(false);
        let server = server.to_owned();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, mut hears) = (server.clone(), hears.clone());
                tokio::spawn(async move {
                    let mut server = tokio::net::TcpStream::connect(server).await.unwrap();
                    tokio::select! {
                        biased;
                        _ = hears.wait_for(|silent| *silent) => {}
                        _ = copy_bidirectional(&mut client, &mut server) => return,
                    }
                    std::future::pending().await
                });
            }
        });
        Self { address, silent }
    }

    /// From now on nothing is carried, on lines that are open or made anew.
    pub(crate) fn fall_silent(&self) {
        self.silent.send_replace(true);
    }
}
