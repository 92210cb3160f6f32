//! A private etcd.

use std::sync::OnceLock;

use super::process::start;

/// How a person gets the server.
const GET: &str = "sudo apt-get install etcd-server";

/// A running server of one member.
#[derive(Clone, Copy, Debug)]
pub struct Etcd {
    /// Where it listens: `address:port`, without encryption or login.
    pub address: &'static str,
}

impl Etcd {
    /// The server of this test binary, started now if it is not running. Blocks until it serves.
    ///
    /// # Panics
    /// If etcd is not installed, with the command that installs it, or does not start.
    pub fn shared() -> Self {
        static ADDRESS: OnceLock<String> = OnceLock::new();
        let address = ADDRESS.get_or_init(|| {
            let any = "http://127.0.0.1:0";
            start(
                &[
                    "etcd",
                    "--logger=zap",
                    "--log-outputs=stderr",
                    "--listen-client-urls",
                    any,
                    "--advertise-client-urls",
                    any,
                    "--listen-peer-urls",
                    any,
                    "--initial-advertise-peer-urls",
                    any,
                    "--initial-cluster=default=http://127.0.0.1:0",
                    "--enable-grpc-gateway=false",
                    // One member elects itself; leases as short as a second.
                    "--heartbeat-interval=50",
                    "--election-timeout=500",
                    // An idle watch says soon where it is.
                    "--experimental-watch-progress-notify-interval=1s",
                    "--data-dir",
                ],
                GET,
                serving,
            )
        });
        Self { address }
    }
}

/// The address in the line that says that clients are served.
fn serving(line: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let says = line.get("msg")?.as_str()?;
    let address = line.get("address")?.as_str()?;
    says.starts_with("serving client traffic")
        .then(|| address.to_owned())
}
