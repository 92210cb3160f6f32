//! Following a run while the way to the server breaks.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as a user does"
)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::json;

use crate::product::{PROGRAM, Product};

/// A way to a server, and its connections as they come.
fn way_to(server: &str) -> (String, Receiver<TcpStream>) {
    let server = server.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = channel();
    std::thread::spawn(move || {
        while let Ok((near, _)) = listener.accept() {
            let far = TcpStream::connect(&server).unwrap();
            let _ = tell.send(near.try_clone().unwrap());
            for (from, to) in [(&near, &far), (&far, &near)] {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    (url, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_is_taken_up_where_it_was() {
    let product = Product::start(&["--no-examples"]);
    let gate = product.home().join("gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let command = format!("printf 'one\\nt'; cat {}; printf wo", gate.display());
    product.put_job("a", &json!({ "command": command })).await;
    let (url, connections) = way_to(&product.url);
    let mut process = Command::new(PROGRAM)
        .args(["job", "run", "a", "--wait"])
        .args(["--url", &url, "--token", &product.token])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = process.stdout.take().unwrap();
    let mut shown = vec![0; "one\nt".len()];
    stdout.read_exact(&mut shown).unwrap();
    for connection in connections.try_iter() {
        let _ = connection.shutdown(Shutdown::Both);
    }
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap();
    let started = line();
    let id = started
        .strip_prefix("run ")
        .and_then(|rest| rest.strip_suffix(" started"));
    let id = id.unwrap_or_else(|| panic!("{started}"));
    let lost = line();
    assert!(lost.contains("the connection was lost"), "{lost}");
    std::fs::write(&gate, "").unwrap();
    stdout.read_to_end(&mut shown).unwrap();
    assert_eq!(String::from_utf8(shown).unwrap(), "one\ntwo");
    assert!(line().starts_with(&format!("run {id} succeeded")));
    assert_eq!(process.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn on_a_terminal_the_end_has_a_line_of_its_own() {
    let product = Product::start(&["--no-examples"]);
    product
        .put_job("a", &json!({ "command": "printf abc" }))
        .await;
    assert_eq!(
        product.on_a_terminal(&["job", "run", "a", "--wait"]),
        "abc\r\n"
    );
}
