//! A private NATS server with JetStream.

use super::process::start;

/// How a person gets it.
const GET: &str = "sudo apt-get install nats-server";

/// The end of the line that says where clients are served.
const LISTENING: &str = "Listening for client connections on ";

/// A running server.
#[derive(Clone, Debug)]
pub struct Nats {
    /// Where it listens: `address:port`.
    pub address: String,
}

impl Nats {
    /// Starts one that knows this user and password. Blocks until it listens; it ends with the test binary.
    ///
    /// # Panics
    /// If it is not installed, with the command that installs it, or does not start.
    pub fn start(user: &str, password: &str) -> Self {
        let mut arguments = vec!["nats-server", "--addr", "127.0.0.1", "--port", "-1"];
        arguments.extend(["--user", user, "--pass", password]);
        arguments.extend(["--jetstream", "--store_dir"]);
        let address = start(&arguments, GET, |line| {
            let (_, address) = line.split_once(LISTENING)?;
            Some(address.trim().to_owned())
        });
        Self { address }
    }
}
