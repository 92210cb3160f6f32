//! The server in the place of a Go fleet's master: started with its file, asked as its clients ask, byte by byte.
//!
//! What is expected is written down here, from what real Go masters answered, and shares no code with the product.
mod kill;
mod log;
mod mongo;
mod outage;
mod routes;
mod start;
mod weaknesses;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use etcd_client::Client;
use serde_json::{Value, json};

use crate::product::Product;
use crate::stores::Stores;
use crate::worker::Worker;

/// No state that a test waits for may take longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Go fleet of ours.
struct Fleet {
    stores: Stores,
}

impl Fleet {
    fn new() -> Self {
        let stores = Stores::shared();
        Self { stores }
    }

    fn master_json(&self) -> Value {
        json!({
            "API接口服务端口": "comments are members too",
            "APIPORT": 0,
            "apiReadTimeout": 5000,
            "apiwritetimeout": 30_000,
            "etcdEndpoints": [self.stores.etcd],
            "etcdDialTimeout": 5000,
            "webroot": "./webroot",
            "mongodbUri": self.stores.mongo,
            "mongodbConnectTimeOut": 5000,
        })
    }

    /// A server in the master's place, open as that one is.
    fn master(&self) -> Product {
        let args = ["-config", "./master.json", "--go-open"];
        Product::in_place_of_a_master(&self.master_json(), &args, &self.stores.variables())
    }

    /// A server with a configuration of ours, whose Go routes ask for a token.
    fn server(&self) -> Product {
        Product::server(&self.stores.toml())
    }

    /// A worker in the place of a Go one, registered under this address.
    fn worker(&self, address: &str) -> Worker {
        Worker::of_go(address, address, &self.stores, &[])
    }

    async fn raw(&self) -> Raw {
        let client = self.stores.raw().await;
        let own = self.stores.own.clone();
        Raw { client, own }
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
