//! Requests of plugins over real sockets: to the addresses that were checked, with the operator's credentials, and nowhere
//! else.
#![expect(
    clippy::disallowed_methods,
    reason = "the server of a test is a task of its own"
)]

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sandclock_core::job::SecretSource;
use sandclock_core::ports::{HttpAnswer, HttpAsk, HttpTargets};
use sandclock_hooks::KnownSecrets;
use sandclock_server::egress::{HttpTarget, Lookup, SystemLookup, Targets, Template};
use sandclock_server::exec::Surroundings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A server that answers every request alike, and keeps what it was sent.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers with these bytes; with none it says nothing.
    async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (kept, answer) = (Arc::clone(&requests), answer.into());
        tokio::spawn(async move {
            let mut silent = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await.unwrap() == 0 {
                        break;
                    }
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                kept.lock().unwrap().push(head);
                // Whoever asks may hang up before it has all.
                let _ = stream.write_all(&answer).await;
                if answer.is_empty() {
                    silent.push(stream);
                }
            }
        });
        Self { port, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nann";

/// A name server that says what it is told to, and counts.
#[derive(Debug, Default)]
struct Names {
    addresses: Vec<IpAddr>,
    asked: Mutex<u32>,
}

#[async_trait]
impl Lookup for Names {
    async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        *self.asked.lock().unwrap() += 1;
        Ok(self.addresses.clone())
    }
}

fn names(addresses: &[&str]) -> Arc<Names> {
    Arc::new(Names {
        addresses: addresses.iter().map(|it| it.parse().unwrap()).collect(),
        asked: Mutex::default(),
    })
}

fn target(url: &str, allow_private: bool) -> HttpTarget {
    HttpTarget {
        url: url.parse().unwrap(),
        headers: BTreeMap::new(),
        allow_private,
    }
}

/// The targets `oncall`, which needs a variable that is set, with this lookup.
fn targets(oncall: HttpTarget, lookup: Arc<dyn Lookup>, secrets: &KnownSecrets) -> Targets {
    sandclock_server::tls();
    let environment = BTreeMap::from([("TOKEN".to_owned(), "correct-horse-battery".to_owned())]);
    let surroundings = Surroundings::new(environment, &[], secrets.clone());
    let source = |name: &str| SecretSource::Env(name.to_owned());
    let sources = [("token", source("TOKEN")), ("missing", source("MISSING"))];
    let sources = sources.map(|(name, source)| (name.to_owned(), source));
    let all = BTreeMap::from([("oncall".to_owned(), oncall)]);
    Targets::new(all, sources.into(), surroundings, &lookup).unwrap()
}

fn ask(path: &str) -> HttpAsk {
    HttpAsk {
        target: "oncall".to_owned(),
        path: path.to_owned(),
        headers: Vec::new(),
        body: None,
        within: Duration::from_secs(10),
        max_answer: 65_536,
    }
}

async fn refused(targets: &Targets, ask: &HttpAsk) -> String {
    targets.send(ask).await.expect_err("refused")
}

#[tokio::test]
async fn a_name_with_a_private_address_is_refused_unless_it_is_allowed() {
    let server = Server::answering(OK).await;
    let url = format!("http://localhost:{}/api", server.port);
    let secrets = KnownSecrets::new();
    let closed = targets(target(&url, false), Arc::new(SystemLookup), &secrets);
    let told = refused(&closed, &ask("/who")).await;
    assert!(
        told.starts_with("denied: the target is at a loopback address"),
        "{told}"
    );
    assert!(
        told.contains("allow_private") && !told.contains("127.0.0.1"),
        "{told}"
    );
    assert_eq!(server.requests(), [] as [&str; 0]);

    let open = targets(target(&url, true), Arc::new(SystemLookup), &secrets);
    let answer = open.send(&ask("/who?team=data")).await.expect("an answer");
    let body = Bytes::from_static(b"ann");
    assert_eq!(answer, HttpAnswer { status: 200, body });
    assert!(server.requests()[0].starts_with("GET /api/who?team=data HTTP/1.1\r\n"));
}

/// What a name server says is checked, whatever it says; no address but a checked one is connected to.
#[tokio::test]
async fn a_name_is_resolved_once_and_what_comes_of_it_is_checked() {
    let server = Server::answering(OK).await;
    let url = format!("http://oncall.example:{}", server.port);
    let secrets = KnownSecrets::new();
    for (addresses, allow_private, said) in [
        (&["10.1.2.3"][..], false, "a private address"),
        (
            &["93.184.215.14", "192.168.0.1"],
            false,
            "a private address",
        ),
        (&["::ffff:127.0.0.1"], false, "a loopback address"),
        (&["100.64.1.1"], false, "a carrier's private address"),
        (&["169.254.169.254"], true, "link-local, metadata"),
        (&["127.0.0.1", "fd00:ec2::254"], true, "a cloud's metadata"),
        (&["0.0.0.0"], true, "no host"),
    ] {
        let names = names(addresses);
        let lookup = Arc::<Names>::clone(&names);
        let targets = targets(target(&url, allow_private), lookup, &secrets);
        let told = refused(&targets, &ask("")).await;
        assert!(
            told.starts_with("denied: the target is at "),
            "{addresses:?}: {told}"
        );
        assert!(told.contains(said), "{addresses:?}: {told}");
    }
    assert_eq!(server.requests(), [] as [&str; 0]);
    // No second question whose answer could be another.
    let names = names(&["127.0.0.1"]);
    let lookup = Arc::<Names>::clone(&names);
    let targets = targets(target(&url, true), lookup, &secrets);
    for asked in 1..=2 {
        targets.send(&ask("")).await.expect("an answer");
        assert_eq!(*names.asked.lock().unwrap(), asked);
    }
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn an_address_that_is_written_out_is_checked_too() {
    let server = Server::answering(OK).await;
    let url = format!("http://127.0.0.1:{}", server.port);
    let targets = targets(
        target(&url, false),
        Arc::new(SystemLookup),
        &KnownSecrets::new(),
    );
    let told = refused(&targets, &ask("")).await;
    assert!(told.contains("a loopback address"), "{told}");
    assert_eq!(server.requests(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let there = Server::answering(OK).await;
    let secrets = KnownSecrets::new();
    for status in ["301 Moved", "302 Found", "307 Elsewhere", "308 Elsewhere"] {
        let head = format!(
            "HTTP/1.1 {status}\r\nlocation: http://127.0.0.1:{}/\r\n",
            there.port
        );
        let here = Server::answering(format!("{head}content-length: 0\r\n\r\n")).await;
        let url = format!("http://127.0.0.1:{}", here.port);
        let targets = targets(target(&url, true), Arc::new(SystemLookup), &secrets);
        let told = refused(&targets, &ask("/")).await;
        let code = &status[..3];
        let said = format!(
            "denied: the target answered with a redirect ({code}), and redirects are not followed"
        );
        assert_eq!(told, said);
        assert_eq!(here.requests().len(), 1);
    }
    assert_eq!(there.requests(), [] as [&str; 0]);
}

/// The operator's headers go along, with secrets in place; a plugin neither sees nor replaces them.
#[tokio::test]
async fn credentials_are_the_hosts() {
    let server = Server::answering(OK).await;
    let url = format!("http://127.0.0.1:{}", server.port);
    let secrets = KnownSecrets::new();
    let header = |template: &str| Template::parse(template).unwrap();
    let mut oncall = target(&url, true);
    oncall.headers = BTreeMap::from([
        (
            "Authorization".to_owned(),
            header("Bearer {{secret:token}}"),
        ),
        ("X-Team".to_owned(), header("data")),
    ]);
    let with_secret = targets(oncall.clone(), Arc::new(SystemLookup), &secrets);
    let mut own = ask("/who");
    own.headers = vec![("x-own".to_owned(), "{{secret:token}}".to_owned())];
    own.body = Some(Bytes::from_static(b"{}"));
    with_secret.send(&own).await.expect("an answer");
    let sent = server.requests().remove(0);
    assert!(sent.starts_with("POST /who HTTP/1.1\r\n"), "{sent}");
    assert!(
        sent.contains("authorization: Bearer correct-horse-battery\r\n"),
        "{sent}"
    );
    assert!(sent.contains("x-team: data\r\n"), "{sent}");
    // What a plugin writes is no template.
    assert!(sent.contains("x-own: {{secret:token}}\r\n"), "{sent}");
    assert!(
        !secrets
            .mask_text("is correct-horse-battery")
            .contains("horse")
    );

    own.headers = vec![("x-TEAM".to_owned(), "mine".to_owned())];
    let told = refused(&with_secret, &own).await;
    assert_eq!(told, "denied: the header x-team belongs to the target");
    oncall
        .headers
        .insert("X-Key".to_owned(), header("{{secret:missing}}"));
    let without = targets(oncall, Arc::new(SystemLookup), &secrets);
    let told = refused(&without, &ask("/who")).await;
    assert_eq!(told, "unavailable: a secret of the target cannot be read");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_answer_is_bounded_in_length_and_time() {
    let flood = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &[b'x'; 70_000]].concat();
    let secrets = KnownSecrets::new();
    for (answer, told) in [
        (flood, "limit: the answer has more than 65536 bytes"),
        (Vec::new(), "unavailable: no answer in time"),
        (
            b"SSH-2.0\r\n\r\n".to_vec(),
            "unavailable: the request failed",
        ),
    ] {
        let server = Server::answering(answer).await;
        let url = format!("http://127.0.0.1:{}", server.port);
        let targets = targets(target(&url, true), Arc::new(SystemLookup), &secrets);
        let mut ask = ask("/");
        if told.contains("time") {
            ask.within = Duration::from_millis(200);
        }
        assert_eq!(refused(&targets, &ask).await, told);
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let url = format!("http://127.0.0.1:{port}");
    let targets = targets(target(&url, true), Arc::new(SystemLookup), &secrets);
    let told = refused(&targets, &ask("/")).await;
    assert_eq!(told, "unavailable: the target cannot be reached");
}

#[tokio::test]
async fn what_nobody_has_set_up_is_not_there() {
    let oncall = target("https://oncall.example/api", false);
    let targets = targets(oncall, names(&[]), &KnownSecrets::new());
    for (other, path, told) in [
        ("pager", "", "denied: the operator has no target \"pager\""),
        (
            "oncall",
            "/../admin",
            "denied: the path leads out of the target's address",
        ),
    ] {
        let ask = HttpAsk {
            target: other.to_owned(),
            ..ask(path)
        };
        assert_eq!(refused(&targets, &ask).await, told);
    }
}
