//! A private mail server, which keeps what it gets.

use std::path::PathBuf;

use super::certificates::{Certificates, text};
use super::process::start;

/// The program, beside the crate.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/services/smtp.py");

/// How a person gets what runs it.
const GET: &str = "sudo apt-get install python3";

/// A mail server that takes mails over TLS from one user.
#[derive(Debug)]
pub struct Mail {
    /// Its port, on the loopback interface.
    pub port: u16,
    mails: PathBuf,
}

impl Mail {
    /// The user.
    pub const USER: &str = "sandclock";
    /// The user's password.
    pub const PASSWORD: &str = "correct horse";

    /// Starts one that is encrypted from the first byte on (`implicit`), or once the client asks (STARTTLS). Blocks until
    /// it listens; it ends with the test binary.
    ///
    /// # Panics
    /// If Python is not installed, or it does not start.
    pub fn start(certificates: &Certificates, implicit: bool) -> Self {
        let mode = if implicit { "implicit" } else { "starttls" };
        let certificate = text(&certificates.both("server"));
        let arguments = [
            "python3",
            PROGRAM,
            mode,
            &certificate,
            Self::USER,
            Self::PASSWORD,
        ];
        let said = start(&arguments, GET, |line| {
            line.strip_prefix("listening on ").map(str::to_owned)
        });
        let (port, folder) = said.split_once(", keeps mails in ").expect("a folder");
        Self {
            port: port.parse().expect("a port"),
            mails: PathBuf::from(folder).join("mails"),
        }
    }

    /// The mails that it has got, each as JSON: `from`, `to`, `user`, `encrypted` and `data`.
    ///
    /// # Panics
    /// If what it kept is not JSON.
    pub fn mails(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&self.mails).unwrap_or_default();
        let mail = |line: &str| serde_json::from_str(line).expect("JSON");
        text.lines().map(mail).collect()
    }
}
