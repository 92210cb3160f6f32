//! The server in the place of a Go fleet's master: started with its file, asked as its clients ask, byte by byte.
//!
//! What is expected is written down here, from what real Go masters answered, and shares no code with the product.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as an operator does"
)]

mod kill;
mod log;
mod mongo;
mod outage;
mod routes;
mod start;
mod weaknesses;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use etcd_client::Client;
use sandclock_testkit::services::{Etcd, Mongo};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::product::Product;

/// No state that a test waits for may take longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A fleet's corner of the stores, which no other test uses.
struct Fleet {
    own: String,
    etcd: String,
    mongo: String,
}

impl Fleet {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            own: format!("go-master-{}-{number}", std::process::id()),
            etcd: Etcd::shared().address.to_owned(),
            mongo: Mongo::replica_set().uri.to_owned(),
        }
    }

    /// What a copy of the fleet with keys of its own sets in the environment.
    fn settings(&self) -> Vec<(String, String)> {
        let own = &self.own;
        let keys = ["jobs", "locks", "kills", "workers"].map(|kind| {
            let name = format!("SANDCLOCK__COORDINATION__GO__{}", kind.to_uppercase());
            (name, format!("/{own}/{kind}/"))
        });
        let ours = [
            (
                "SANDCLOCK__COORDINATION__PREFIX",
                format!("/{own}/sandclock/"),
            ),
            ("SANDCLOCK__RUN_LOG__DATABASE", own.clone()),
        ];
        let ours = ours.map(|(name, value)| (name.to_owned(), value));
        keys.into_iter().chain(ours).collect()
    }

    fn master_json(&self) -> Value {
        json!({
            "API接口服务端口": "comments are members too",
            "APIPORT": 0,
            "apiReadTimeout": 5000,
            "apiwritetimeout": 30_000,
            "etcdEndpoints": [self.etcd],
            "etcdDialTimeout": 5000,
            "webroot": "./webroot",
            "mongodbUri": self.mongo,
            "mongodbConnectTimeOut": 5000,
        })
    }

    /// A server in the master's place, open as that one is.
    fn master(&self) -> Product {
        let args = ["-config", "./master.json", "--go-open"];
        Product::in_place_of_a_master(&self.master_json(), &args, &self.settings())
    }

    /// A server with a configuration of ours, whose Go routes ask for a token.
    fn server(&self) -> Product {
        let (own, etcd, mongo) = (&self.own, &self.etcd, &self.mongo);
        let go: String = ["jobs", "locks", "kills", "workers"]
            .map(|kind| format!("{kind} = \"/{own}/{kind}/\"\n"))
            .concat();
        Product::server(&format!(
            "[coordination]\ntype = \"etcd\"\nendpoints = [\"{etcd}\"]\nprefix = \"/{own}/sandclock/\"\n\
             [coordination.go]\n{go}[run_log]\ntype = \"mongodb\"\nuri = \"{mongo}\"\ndatabase = \"{own}\"\n"
        ))
    }

    /// A worker in the place of a Go one, registered under this address.
    fn worker(&self, address: &str) -> Worker {
        let home = TempDir::new().unwrap();
        let file = json!({
            "etcdEndpoints": [self.etcd],
            "mongodbUri": self.mongo,
            "bashPath": "/bin/sh",
        });
        std::fs::write(home.path().join("worker.json"), file.to_string()).unwrap();
        let log = File::create(home.path().join("log")).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_sandclock-worker"))
            .args(["-config=worker.json"])
            .current_dir(&home)
            .envs(self.settings())
            .env("SANDCLOCK__COORDINATION__REGISTER_AS", address)
            .env("SANDCLOCK__DATA", home.path().join("data"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Worker {
            process: process.unwrap(),
            _home: home,
        }
    }

    async fn raw(&self) -> Raw {
        let client = Client::connect([&self.etcd], None).await.unwrap();
        let own = self.own.clone();
        Raw { client, own }
    }
}

/// A running worker. Dropping it kills it.
struct Worker {
    process: Child,
    _home: TempDir,
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The fleet's keys, as a Go program sees them.
struct Raw {
    client: Client,
    own: String,
}

impl Raw {
    async fn put(&mut self, kind: &str, name: &str, value: &str) {
        let key = format!("/{}/{kind}/{name}", self.own);
        self.client.put(key, value, None).await.unwrap();
    }

    async fn get(&mut self, kind: &str, name: &str) -> Option<String> {
        let key = format!("/{}/{kind}/{name}", self.own);
        let mut found = self.client.get(key, None).await.unwrap();
        let kv = found.take_kvs().pop()?;
        Some(kv.value_str().unwrap().to_owned())
    }
}

/// An answer, as it came over the wire.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Sends a request of one's own writing and reads until the server closes.
fn ask(server: &Product, request: &str, headers: &str, body: &[u8]) -> Answer {
    let at = server.url.strip_prefix("http://").unwrap();
    let port = at.rsplit(':').next().unwrap();
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let head = format!(
        "{request} HTTP/1.1\r\nHost: cron.example:8070\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// Posts a form, as a Go master's page and everybody's scripts do.
fn post(server: &Product, route: &str, form: &str) -> Answer {
    ask(server, &format!("POST {route}"), FORM, form.as_bytes())
}

/// Asks without a body.
fn get(server: &Product, route: &str) -> Answer {
    ask(server, &format!("GET {route}"), "", b"")
}

/// Every byte but letters and digits as an escape.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02x}"),
    };
    text.bytes().map(escape).collect()
}

/// Saves as a Go client does.
fn save(server: &Product, job: &str) -> Answer {
    post(server, "/job/save", &format!("job={}", escaped(job)))
}

/// What a refusal says.
fn refusal(answer: &Answer) -> String {
    let read: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((&read["errno"], &read["data"]), (&json!(-1), &Value::Null));
    read["msg"].as_str().unwrap().to_owned()
}
