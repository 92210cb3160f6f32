//! Many clients that say nothing: they get a share of the worker's descriptors, for a time.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::product::{Product, wait_for};

const PATIENCE: Duration = Duration::from_secs(120);

fn connect(product: &Product) -> TcpStream {
    TcpStream::connect(product.url.trim_start_matches("http://")).unwrap()
}

#[tokio::test]
async fn commands_have_the_limits_that_the_worker_was_given() {
    let product = Product::start_limited(200, 300);
    let job = json!({ "command": "ulimit -Sn; ulimit -Hn" });
    product.put_job("limits", &job).await;
    let run = product.run_job("limits").await;
    let id = run["id"].as_str().unwrap();
    assert_eq!(
        product.text(&format!("/runs/{id}/output")).await,
        "200\n300\n"
    );
}

#[tokio::test]
async fn idle_clients_do_not_keep_runs_from_starting() {
    let product = Product::start_limited(256, 256);
    let file = product.home().join("ticks");
    let ticks = || {
        std::fs::read_to_string(&file)
            .unwrap_or_default()
            .lines()
            .count()
    };
    let command = format!("echo tick >> {}", file.display());
    let job = json!({ "command": command, "schedule": "@every 1s" });
    product.put_job("ticks", &job).await;
    wait_for("it ticks", PATIENCE, async || ticks() > 0).await;
    let clients: Vec<TcpStream> = (0..300).map(|_| connect(&product)).collect();
    let before = ticks();
    wait_for("it goes on", PATIENCE, async || ticks() >= before + 5).await;
    drop(clients);
    let runs = product.get("/runs?job=ticks&limit=200").await;
    let failed = product.get("/runs?job=ticks&state=failed").await;
    assert_eq!(failed["items"], json!([]), "{runs}");
}

/// Neither one that says nothing nor one that does not come to the end of what it asks.
#[tokio::test]
async fn a_client_that_does_not_ask_is_let_go() {
    let product = Product::start(&["--no-examples"]);
    let idle = connect(&product);
    let mut slow = connect(&product);
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        .unwrap();
    for mut client in [idle, slow] {
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = Vec::new();
        // The end, or a reset, but not the end of our patience.
        if let Err(error) = client.read_to_end(&mut answer) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn a_client_that_does_not_send_what_it_announced_is_answered_and_let_go() {
    let product = Product::start(&["--no-examples"]);
    let mut client = connect(&product);
    let head = format!(
        "PUT /api/v1/jobs/slow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 20\r\n\r\n{{",
        product.token
    );
    client.write_all(head.as_bytes()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("/problems/too-slow"), "{answer}");
}

/// A job that takes every process that its user may have, for longer than an idle thread is kept: nothing else of
/// that user can start one, and whatever the worker does next has to do without.
#[tokio::test]
async fn a_job_that_takes_every_process_ends_at_its_timeout_and_the_worker_lives() {
    let product = Product::start_crowded(150);
    let asked = product.home().join("asked");
    // What cannot fork ends, so that a shell of its own makes the crowd; nobody in it minds being asked to end.
    let command = format!(
        "trap ': > {}' TERM\n\
         (trap '' TERM; exec sleep 1000) &\n\
         (trap '' TERM; while :; do sleep 1000 & done)\n\
         wait; wait",
        asked.display()
    );
    let job = json!({ "command": command, "timeout_s": 15, "grace_s": 5 });
    product.put_job("crowd", &job).await;
    let run = product.start_run("crowd").await;
    // No request until then: one would keep a thread awake.
    wait_for("it is asked to end", PATIENCE, async || asked.exists()).await;
    let during = product.get(&format!("/runs/{run}")).await;
    assert_eq!(during["state"], "running", "{during}");
    assert_eq!(product.ended(&run).await["state"], "timed_out");
    let job = json!({ "command": "true" });
    product.put_job("after", &job).await;
    assert_eq!(product.run_job("after").await["state"], "succeeded");
}
