//! A server behind a line that can be cut: requests still arrive, answers do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use sandclock_backend_mongo::MongoConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// They arrive.
    Pass,
    /// The line breaks when one comes.
    Break,
    /// They are swallowed, and the line stays.
    Vanish,
}

#[derive(Debug)]
struct Line {
    answers: AtomicU8,
    after_update: AtomicU8,
    updates: AtomicUsize,
}

/// The line.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    line: Arc<Line>,
}

impl Proxy {
    /// Leads `config` to its server through a line. Ends with the runtime.
    #[expect(clippy::disallowed_methods, reason = "the line works beside the test")]
    pub(crate) async fn before(config: &mut MongoConfig) -> Self {
        let (_, rest) = config.uri.split_once("://").expect("a URI");
        let server = rest.split('/').next().expect("a host").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        config.uri = format!("mongodb://127.0.0.1:{port}/?directConnection=true");
        let line = Arc::new(Line {
            answers: AtomicU8::new(Answers::Pass as u8),
            after_update: AtomicU8::new(Answers::Pass as u8),
            updates: AtomicUsize::new(0),
        });
        let proxy = Self { line };
        let accepting = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.expect("the server");
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(accepting.clone().requests(from_client, to_server));
                tokio::spawn(accepting.clone().answers(from_server, to_client));
            }
        });
        proxy
    }

    /// From the next command on that updates, which passes.
    pub(crate) fn after_update(&self, answers: Answers) {
        self.line
            .after_update
            .store(answers as u8, Ordering::SeqCst);
    }

    /// All answers arrive again.
    pub(crate) fn mend(&self) {
        self.after_update(Answers::Pass);
        let pass = Answers::Pass as u8;
        self.line.answers.store(pass, Ordering::SeqCst);
    }

    /// How many commands that update have passed.
    pub(crate) fn updates(&self) -> usize {
        self.line.updates.load(Ordering::SeqCst)
    }

    async fn requests(self, mut client: OwnedReadHalf, mut server: OwnedWriteHalf) {
        let mut size = [0; 4];
        while client.read_exact(&mut size).await.is_ok() {
            let length = usize::try_from(i32::from_le_bytes(size)).expect("a length");
            let mut message = size.to_vec();
            message.resize(length, 0);
            if client.read_exact(&mut message[4..]).await.is_err() {
                break;
            }
            // A command's name is the name of its first member.
            if message.get(26..33) == Some(b"update\0".as_slice()) {
                self.line.updates.fetch_add(1, Ordering::SeqCst);
                let answers = self.line.after_update.load(Ordering::SeqCst);
                self.line.answers.store(answers, Ordering::SeqCst);
            }
            if server.write_all(&message).await.is_err() {
                break;
            }
        }
    }

    async fn answers(self, mut server: OwnedReadHalf, mut client: OwnedWriteHalf) {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = server.read(&mut bytes).await {
            let answers = self.line.answers.load(Ordering::SeqCst);
            if answers == Answers::Vanish as u8 {
                continue;
            }
            if answers == Answers::Break as u8 || client.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
    }
}
