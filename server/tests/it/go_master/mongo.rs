//! Documents in a Go fleet's log, as bytes: what its workers and other programs of its kind have written.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// A document's members.
#[derive(Default)]
pub(super) struct Doc(Vec<u8>);

fn length(bytes: usize) -> [u8; 4] {
    i32::try_from(bytes).unwrap().to_le_bytes()
}

impl Doc {
    fn member(mut self, kind: u8, name: &str, value: &[u8]) -> Self {
        self.0
            .extend([&[kind], name.as_bytes(), &[0], value].concat());
        self
    }

    pub(super) fn text(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let text = text.as_ref();
        let value = [&length(text.len() + 1), text, &[0]].concat();
        self.member(2, name, &value)
    }

    pub(super) fn long(self, name: &str, number: i64) -> Self {
        self.member(0x12, name, &number.to_le_bytes())
    }

    pub(super) fn int(self, name: &str, number: i32) -> Self {
        self.member(0x10, name, &number.to_le_bytes())
    }

    pub(super) fn double(self, name: &str, number: f64) -> Self {
        self.member(1, name, &number.to_le_bytes())
    }

    pub(super) fn nested(self, kind: u8, name: &str, inner: Self) -> Self {
        self.member(kind, name, &inner.bytes())
    }

    fn bytes(self) -> Vec<u8> {
        [&length(self.0.len() + 5), self.0.as_slice(), &[0]].concat()
    }
}

/// Inserts a document into the log of a database.
pub(super) fn log(uri: &str, database: &str, document: Doc) {
    let documents = Doc::default().nested(3, "0", document);
    let insert = Doc::default()
        .text("insert", "log")
        .nested(4, "documents", documents)
        .text("$db", database)
        .bytes();
    let numbers = [1, 0, 2013, 0].map(i32::to_le_bytes).concat();
    let body = [numbers.as_slice(), &[0], &insert].concat();
    let message = [&length(body.len() + 4), body.as_slice()].concat();
    let address = uri.strip_prefix("mongodb://").unwrap();
    let mut server = TcpStream::connect(address.split('/').next().unwrap()).unwrap();
    server.write_all(&message).unwrap();
    let mut size = [0; 4];
    server.read_exact(&mut size).unwrap();
    let rest = usize::try_from(i32::from_le_bytes(size)).unwrap() - 4;
    let mut reply = vec![0; rest];
    server.read_exact(&mut reply).unwrap();
    let one = b"\x10n\0\x01\0\0\0";
    let said = String::from_utf8_lossy(&reply);
    assert!(reply.windows(one.len()).any(|part| part == one), "{said}");
}
