//! `/job/kill`: what Go workers see of it, and what becomes of our runs.

use etcd_client::{EventType, WatchOptions};
use serde_json::Value;

use super::{Fleet, PATIENCE, get, post, save};
use crate::product::{Product, wait_for};

/// A job that runs by request only, for as long as it is let.
const LONG: &str = r#"{"name":"long","command":"echo begun; sleep 1000","cronExpr":"0 0 1 1 *"}"#;

const DONE: &str = r#"{"errno":0,"msg":"success","data":null}"#;

async fn is_running(server: &Product) -> bool {
    let runs = server.get("/runs?job=long&state=running").await;
    !runs["items"].as_array().unwrap().is_empty()
}

#[tokio::test]
async fn a_kill_reaches_workers_of_both_kinds() {
    let fleet = Fleet::new();
    let (server, mut raw) = (fleet.master(), fleet.raw().await);
    let _worker = fleet.worker("192.0.2.7");
    save(&server, LONG);
    let run = server.start_run("long").await;
    wait_for("it runs", PATIENCE, async || is_running(&server).await).await;
    let workers = get(&server, "/worker/list").body;
    assert_eq!(
        workers,
        r#"{"errno":0,"msg":"success","data":["192.0.2.7"]}"#
    );

    let marks = format!("/{}/kills/", fleet.stores.own);
    let below = WatchOptions::new().with_prefix();
    let mut watch = raw.client.watch(marks.clone(), Some(below)).await.unwrap();
    assert_eq!(post(&server, "/job/kill", "name=long").body, DONE);
    let mark = loop {
        let news = watch.message().await.unwrap().unwrap();
        if let Some(event) = news.events().first() {
            break event.clone();
        }
    };
    assert_eq!(mark.event_type(), EventType::Put);
    let kv = mark.kv().unwrap();
    assert_eq!(kv.key_str().unwrap(), format!("{marks}long"));
    assert_eq!(kv.value(), b"");
    assert_ne!(kv.lease(), 0, "it goes by itself");
    // A second was asked for, which servers raise; what has run out says less.
    let lease = raw.client.lease_time_to_live(kv.lease(), None).await;
    assert!(lease.unwrap().granted_ttl() <= 2);

    let end = server.ended(&run).await;
    assert_eq!(end["state"], "killed");
    let mut entry = Value::Null;
    wait_for("it is in the log", PATIENCE, async || {
        let log = get(&server, "/job/log?name=long").body;
        let log: Value = serde_json::from_str(&log).unwrap();
        entry = log["data"][0].clone();
        !entry.is_null()
    })
    .await;
    assert_eq!(entry["command"], "echo begun; sleep 1000");
    assert_eq!(entry["output"], "begun\n");
    assert_eq!(entry["err"], "signal: terminated");
    let gone = async || {
        raw.client
            .get(format!("{marks}long"), None)
            .await
            .unwrap()
            .count()
            == 0
    };
    wait_for("the mark is gone", PATIENCE, gone).await;
}

/// A Go master's kill is lost if nobody listens in that second, and nothing says who sent it.
#[tokio::test]
async fn w16_a_kill_is_kept_for_who_comes_later_and_says_who_sent_it() {
    let fleet = Fleet::new();
    let server = fleet.master();
    save(&server, LONG);
    let run = server.start_run("long").await;
    assert_eq!(post(&server, "/job/kill", "name=long").body, DONE);
    let _worker = fleet.worker("192.0.2.7");
    let end = server.ended(&run).await;
    assert_eq!(
        (end["state"].as_str(), end["started_at"].as_str()),
        (Some("killed"), None)
    );
    let cause = end["cause"].as_str().unwrap();
    assert!(cause.contains("127.0.0.1, not signed in"), "{cause}");
    assert!(cause.contains("/job/kill"), "{cause}");

    // A Go worker says so of a command that was killed before it began.
    wait_for("it is in the log", PATIENCE, async || {
        !fleet.stores.log("long").await.is_empty()
    })
    .await;
    let entry = fleet.stores.log("long").await.remove(0);
    let text = |name| entry.get_str(name).unwrap();
    assert_eq!(text("command"), "echo begun; sleep 1000");
    assert_eq!((text("err"), text("output")), ("context canceled", ""));

    let nameless = super::refusal(&get(&server, "/job/kill?name=long"));
    assert!(
        nameless.starts_with("name: nothing is not accepted"),
        "{nameless}"
    );
}
