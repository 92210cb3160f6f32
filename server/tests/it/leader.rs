//! The election among servers: one does the chores, and another when that one is gone or cannot know.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use etcd_client::Client;
use reqwest::Method;
use sandclock_testkit::services::{Etcd, Mongo};

use crate::line::Line;
use crate::product::{Product, wait_for};

/// No state that a test waits for may take longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// The name of stores that no other test uses.
fn own() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("leader-{}-{number}", std::process::id())
}

/// A server over them, which reaches etcd at this address.
fn server(own: &str, etcd: &str) -> Product {
    let mongo = Mongo::replica_set().uri;
    Product::server(&format!(
        "[coordination]\ntype = \"etcd\"\nendpoints = [\"{etcd}\"]\nprefix = \"/{own}/sandclock/\"\n\
         leader = \"/{own}/cron/master\"\ncall_timeout_ms = 2000\n\
         [run_log]\ntype = \"mongodb\"\nuri = \"{mongo}\"\ndatabase = \"{own}\"\n"
    ))
}

async fn leads(server: &Product) -> bool {
    let page = server
        .bare(Method::GET, "/metrics")
        .bearer_auth(&server.token);
    let page = page.send().await.unwrap().text().await.unwrap();
    let gauge = page
        .lines()
        .find(|line| line.starts_with("sandclock_leader "));
    match gauge {
        Some("sandclock_leader 0") => false,
        Some("sandclock_leader 1") => true,
        other => panic!("{other:?}: {page}"),
    }
}

/// What stands under the leader's key.
async fn seat(own: &str) -> Option<String> {
    let mut etcd = Client::connect([Etcd::shared().address], None)
        .await
        .unwrap();
    let mut found = etcd.get(format!("/{own}/cron/master"), None).await.unwrap();
    let kv = found.take_kvs().pop()?;
    assert_ne!(kv.lease(), 0, "it goes with its leader");
    Some(kv.value_str().unwrap().to_owned())
}

#[tokio::test]
async fn one_server_leads_and_another_when_it_is_killed() {
    let (own, etcd) = (own(), Etcd::shared().address);
    let first = server(&own, etcd);
    wait_for("the first leads", PATIENCE, async || leads(&first).await).await;
    let second = server(&own, etcd);
    let by_first = seat(&own).await.unwrap();
    assert!(by_first.starts_with("sandclock "), "{by_first}");
    assert!(!leads(&second).await);
    assert!(leads(&first).await);
    // With SIGKILL.
    drop(first);
    wait_for("the second leads", PATIENCE, async || leads(&second).await).await;
    assert_ne!(seat(&own).await.unwrap(), by_first);
}

#[tokio::test]
async fn a_server_that_ends_makes_room() {
    let own = own();
    let mut only = server(&own, Etcd::shared().address);
    wait_for("it leads", PATIENCE, async || leads(&only).await).await;
    assert!(only.stop().await.success());
    assert_eq!(seat(&own).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_hears_nothing_stops_and_another_leads() {
    let own = own();
    let line = Line::to(Etcd::shared().address).await;
    let cut_off = server(&own, &line.address.to_string());
    wait_for("it leads", PATIENCE, async || leads(&cut_off).await).await;
    let other = server(&own, Etcd::shared().address);
    assert!(!leads(&other).await);
    line.fall_silent();
    wait_for("it stops", PATIENCE, async || !leads(&cut_off).await).await;
    wait_for("the other leads", PATIENCE, async || leads(&other).await).await;
    assert!(!leads(&cut_off).await);
}

/// A leader whose lease somebody ended finds out, and leads again once it may.
#[tokio::test]
async fn a_lost_lease_is_noticed() {
    let own = own();
    let only = server(&own, Etcd::shared().address);
    wait_for("it leads", PATIENCE, async || leads(&only).await).await;
    let mut etcd = Client::connect([Etcd::shared().address], None)
        .await
        .unwrap();
    let key = format!("/{own}/cron/master");
    etcd.put(key.clone(), "another", None).await.unwrap();
    wait_for("it stops", PATIENCE, async || !leads(&only).await).await;
    etcd.delete(key, None).await.unwrap();
    wait_for("it leads again", PATIENCE, async || leads(&only).await).await;
}
