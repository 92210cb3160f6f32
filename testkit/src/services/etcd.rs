//! A private etcd.

use std::process::Child;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::certificates::{Certificates, text};
use super::process::{start, start_here};

/// How a person gets the server.
const GET: &str = "sudo apt-get install etcd-server";

/// What all servers are started with; the folder of data follows.
const OPTIONS: [&str; 8] = [
    "etcd",
    "--logger=zap",
    "--log-outputs=stderr",
    "--enable-grpc-gateway=false",
    // One member elects itself; leases as short as a second.
    "--heartbeat-interval=50",
    "--election-timeout=500",
    // An idle watch says soon where it is.
    "--experimental-watch-progress-notify-interval=1s",
    "--data-dir",
];

/// Where it listens, for clients and for members that there are none of.
fn urls(clients: &str) -> Vec<String> {
    let any = "http://127.0.0.1:0";
    [
        ("listen-client-urls", clients),
        ("advertise-client-urls", clients),
        ("listen-peer-urls", any),
        ("initial-advertise-peer-urls", any),
        ("initial-cluster", "default=http://127.0.0.1:0"),
    ]
    .map(|(name, value)| format!("--{name}={value}"))
    .into()
}

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
        let address = ADDRESS.get_or_init(|| start(&line("http://127.0.0.1:0"), GET, serving));
        Self { address }
    }
}

/// A server of one test, which can be killed and started again on its data. It ends with the test's thread.
#[derive(Debug)]
pub struct OwnEtcd {
    address: String,
    options: Vec<String>,
    data: TempDir,
    process: Child,
}

impl OwnEtcd {
    /// Starts an empty server. Blocks until it serves.
    ///
    /// # Panics
    /// As [`Etcd::shared`].
    pub fn start() -> Self {
        Self::start_with(Vec::new())
    }

    /// Starts an empty server that speaks TLS only, and only to clients with a certificate of the same authority.
    ///
    /// # Panics
    /// As [`Etcd::shared`].
    pub fn start_secured(certificates: &Certificates) -> Self {
        let option = |name: &str, path| format!("--{name}={}", text(path));
        Self::start_with(vec![
            option("cert-file", &certificates.certificate("server")),
            option("key-file", &certificates.key("server")),
            option("trusted-ca-file", &certificates.certificate("authority")),
            "--client-cert-auth".to_owned(),
        ])
    }

    fn start_with(options: Vec<String>) -> Self {
        let data = TempDir::new().expect("a folder of its own");
        let (process, address) = Self::launch("127.0.0.1:0", &options, &data);
        Self {
            address,
            options,
            data,
            process,
        }
    }

    fn launch(address: &str, options: &[String], data: &TempDir) -> (Child, String) {
        let scheme = if options.is_empty() { "http" } else { "https" };
        let mut words = line(&format!("{scheme}://{address}"));
        words.push(data.path().display().to_string());
        words.extend_from_slice(options);
        start_here(&words, GET, serving)
    }

    /// Where it listens, also after it was started again: `address:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process, for signals.
    ///
    /// # Panics
    /// If the process has a number that no process has.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).expect("a pid")
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again where it was, after [`Self::kill`]. Blocks until it serves.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        (self.process, _) = Self::launch(&self.address, &self.options, &self.data);
    }
}

impl Drop for OwnEtcd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The command line, but for the folder.
fn line(clients: &str) -> Vec<String> {
    let (program, rest) = OPTIONS.split_at(1);
    let program = program.iter().copied().map(str::to_owned);
    let rest = rest.iter().copied().map(str::to_owned);
    program.chain(urls(clients)).chain(rest).collect()
}

/// The address in the line that says that clients are served.
fn serving(line: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let says = line.get("msg")?.as_str()?;
    let address = line.get("address")?.as_str()?;
    says.starts_with("serving client traffic")
        .then(|| address.to_owned())
}
