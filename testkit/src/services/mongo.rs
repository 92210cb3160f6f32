//! A private MongoDB.
//!
//! There are two for each test binary: a replica set of one, as in production, and a single server that
//! refuses every query without an index. A test that stops its server has one more, of its own.

use std::path::PathBuf;
use std::process::Child;
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

use super::certificates::{Certificates, text};
use super::process::{folder, start, start_here};

/// Where the program is put, below the target directory.
const PROGRAM: &str = "tools/mongod/mongod";

/// How a person gets it there.
const GET: &str = "cargo xtask tools";

/// The name of the replica set.
const SET: &str = "tests";

/// A member of it, by its options.
const REPLICA_SET: &[&str] = &["--replSet", SET, "--oplogSize", "64"];

/// How often a server is asked whether it is the primary, and how many times.
const POLL: Duration = Duration::from_millis(50);
const POLLS: u32 = 1_200;

/// A running server.
#[derive(Clone, Copy, Debug)]
pub struct Mongo {
    /// Where it listens, for a driver; without encryption or login.
    pub uri: &'static str,
}

/// A server that one test has for itself, so that it may stop it, or kill it and start it again on its data: a replica
/// set of one. It ends with the test's thread.
#[derive(Debug)]
pub struct OwnMongo {
    /// As [`Mongo::uri`], also after it was started again.
    pub uri: String,
    /// Its process, for signals.
    pub pid: i32,
    port: u16,
    data: TempDir,
    process: Child,
}

impl OwnMongo {
    /// Starts an empty server. Blocks until it takes writes.
    ///
    /// # Panics
    /// As [`Mongo::replica_set`].
    pub fn start() -> Self {
        let data = TempDir::new_in(folder()).expect("a folder of its own");
        let (process, port) = Self::launch(0, &data);
        elect(port);
        Self {
            uri: format!("mongodb://127.0.0.1:{port}/?replicaSet={SET}"),
            pid: pid(&process),
            port,
            data,
            process,
        }
    }

    fn launch(port: u16, data: &TempDir) -> (Child, u16) {
        let mut line = line(port, REPLICA_SET);
        line.push(text(data.path()));
        let (process, port) = start_here(&line, GET, serving);
        (process, port.parse().expect("a port"))
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again where it was, after [`Self::kill`]. Blocks until it takes writes.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        (self.process, _) = Self::launch(self.port, &self.data);
        self.pid = pid(&self.process);
        await_primary(self.port);
    }
}

impl Drop for OwnMongo {
    fn drop(&mut self) {
        self.kill();
    }
}

fn pid(process: &Child) -> i32 {
    i32::try_from(process.id()).expect("a pid")
}

impl Mongo {
    /// Starts a single server that speaks TLS only, only to clients with a certificate of the same authority, and
    /// asks for a login once the first user has been made. Blocks until it serves; it ends with the test binary.
    /// Returns where it listens: `address:port`.
    ///
    /// # Panics
    /// As [`Mongo::replica_set`].
    pub fn start_secured(certificates: &Certificates) -> String {
        let port = serve(&[
            "--auth",
            "--tlsMode",
            "requireTLS",
            "--tlsCertificateKeyFile",
            &text(&certificates.both("server")),
            "--tlsCAFile",
            &text(&certificates.certificate("authority")),
        ]);
        format!("127.0.0.1:{port}")
    }

    /// The replica set of this test binary, with one member that is its primary, started now if it is not
    /// running. Blocks until it takes writes.
    ///
    /// # Panics
    /// If mongod is not installed, with the command that installs it, or does not start.
    pub fn replica_set() -> Self {
        static URI: OnceLock<String> = OnceLock::new();
        let uri = URI.get_or_init(|| {
            let port = serve(REPLICA_SET);
            elect(port);
            format!("mongodb://127.0.0.1:{port}/?replicaSet={SET}")
        });
        Self { uri }
    }

    /// The single server of this test binary, started now if it is not running. It refuses queries for
    /// which it would have to look at every document. Blocks until it serves.
    ///
    /// # Panics
    /// As [`Mongo::replica_set`].
    pub fn single() -> Self {
        static URI: OnceLock<String> = OnceLock::new();
        let uri = URI.get_or_init(|| {
            let port = serve(&["--setParameter", "notablescan=true"]);
            format!("mongodb://127.0.0.1:{port}/")
        });
        Self { uri }
    }
}

/// The program. Tests lie below the target directory, and so does it.
fn program() -> String {
    let test = std::env::current_exe().unwrap_or_default();
    let mut found = test.ancestors().map(|folder| folder.join(PROGRAM));
    let found = found.find(|program| program.exists());
    found
        .unwrap_or_else(|| PathBuf::from(PROGRAM))
        .display()
        .to_string()
}

/// Starts a server and returns its port.
fn serve(options: &[&str]) -> u16 {
    let port = start(&line(0, options), GET, serving);
    port.parse().expect("a port")
}

/// The command line of a server at this port, or, if it is 0, at any; the folder of data follows.
fn line(port: u16, options: &[&str]) -> Vec<String> {
    let (program, port) = (program(), port.to_string());
    let mut arguments = vec![program.as_str()];
    arguments.extend(["--bind_ip", "127.0.0.1", "--port", &port, "--nounixsocket"]);
    arguments.extend(["--logappend", "--logpath", "/dev/stderr"]);
    arguments.extend(["--wiredTigerCacheSizeGB", "0.25"]);
    arguments.extend(["--setParameter", "diagnosticDataCollectionEnabled=false"]);
    arguments.extend(options);
    arguments.push("--dbpath");
    arguments.into_iter().map(str::to_owned).collect()
}

/// The port in the line that says that clients are served.
fn serving(line: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let port = line.get("attr")?.get("port")?;
    (line.get("msg")? == "Waiting for connections").then(|| port.to_string())
}

/// Makes the server the primary of a replica set of its own.
fn elect(port: u16) {
    let member = wire::document(&[
        wire::int("_id", 0),
        wire::string("host", &format!("127.0.0.1:{port}")),
    ]);
    let members = wire::document(&[wire::nested(wire::DOCUMENT, "0", &member)]);
    let set = wire::document(&[
        wire::string("_id", SET),
        wire::nested(wire::ARRAY, "members", &members),
    ]);
    let initiate = wire::nested(wire::DOCUMENT, "replSetInitiate", &set);
    let reply = wire::ask(port, &wire::command(initiate)).expect("an answer");
    let said = String::from_utf8_lossy(&reply);
    assert!(wire::holds(&reply, wire::OK), "replSetInitiate: {said}");
    await_primary(port);
}

/// Waits until the server takes writes.
#[expect(
    clippy::disallowed_methods,
    reason = "a server tells nobody that it has become the primary"
)]
fn await_primary(port: u16) {
    let hello = wire::command(wire::int("hello", 1));
    for _ in 0..POLLS {
        let reply = wire::ask(port, &hello);
        if reply.is_some_and(|reply| wire::holds(&reply, wire::IS_PRIMARY)) {
            return;
        }
        std::thread::sleep(POLL);
    }
    panic!("mongod never became the primary of its own set");
}

/// As much of MongoDB's wire protocol as it takes to start a server: drivers are for the backend.
mod wire {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    pub(super) const DOCUMENT: u8 = 3;
    pub(super) const ARRAY: u8 = 4;

    /// A member `ok` that is 1.0.
    pub(super) const OK: &[u8] = b"\x01ok\0\0\0\0\0\0\0\xf0\x3f";
    pub(super) const IS_PRIMARY: &[u8] = b"\x08isWritablePrimary\0\x01";

    /// OP_MSG.
    const MESSAGE: i32 = 2013;

    fn length(bytes: usize) -> [u8; 4] {
        i32::try_from(bytes).expect("few bytes").to_le_bytes()
    }

    fn element(kind: u8, name: &str, value: &[u8]) -> Vec<u8> {
        [&[kind], name.as_bytes(), &[0], value].concat()
    }

    pub(super) fn int(name: &str, value: i32) -> Vec<u8> {
        element(0x10, name, &value.to_le_bytes())
    }

    pub(super) fn string(name: &str, value: &str) -> Vec<u8> {
        let bytes = [&length(value.len() + 1), value.as_bytes(), &[0]].concat();
        element(2, name, &bytes)
    }

    pub(super) fn nested(kind: u8, name: &str, document: &[u8]) -> Vec<u8> {
        element(kind, name, document)
    }

    pub(super) fn document(elements: &[Vec<u8>]) -> Vec<u8> {
        let elements = elements.concat();
        [&length(elements.len() + 5), elements.as_slice(), &[0]].concat()
    }

    pub(super) fn command(first: Vec<u8>) -> Vec<u8> {
        document(&[first, string("$db", "admin")])
    }

    /// The server's reply to a command; `None` if it cannot be reached.
    pub(super) fn ask(port: u16, command: &[u8]) -> Option<Vec<u8>> {
        let mut server = TcpStream::connect(("127.0.0.1", port)).ok()?;
        let numbers = [1, 0, MESSAGE, 0].map(i32::to_le_bytes).concat();
        // Flags come last among the numbers; the zero says that one document follows.
        let body = [numbers.as_slice(), &[0], command].concat();
        let message = [&length(body.len() + 4), body.as_slice()].concat();
        server.write_all(&message).ok()?;
        let mut size = [0; 4];
        server.read_exact(&mut size).ok()?;
        let rest = usize::try_from(i32::from_le_bytes(size))
            .ok()?
            .checked_sub(4)?;
        let mut reply = vec![0; rest];
        server.read_exact(&mut reply).ok()?;
        Some(reply)
    }

    pub(super) fn holds(reply: &[u8], part: &[u8]) -> bool {
        reply.windows(part.len()).any(|window| window == part)
    }
}
