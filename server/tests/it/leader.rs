//! The election among servers: one does the chores, and another when that one is gone or cannot know.

use std::time::Duration;

use reqwest::Method;
use sandclock_testkit::services::Proxy;

use crate::product::{Product, wait_for};
use crate::stores::Stores;

/// No state that a test waits for may take longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server over these stores.
fn server(stores: &Stores) -> Product {
    let key = key(stores);
    let own = format!("coordination.leader = {key:?}\ncoordination.call_timeout_ms = 2000\n");
    Product::server(&(stores.toml() + &own))
}

/// The leader's key.
fn key(stores: &Stores) -> String {
    format!("/{}/cron/master", stores.own)
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
async fn seat(stores: &Stores) -> Option<String> {
    let mut found = stores.raw().await.get(key(stores), None).await.unwrap();
    let kv = found.take_kvs().pop()?;
    assert_ne!(kv.lease(), 0, "it goes with its leader");
    Some(kv.value_str().unwrap().to_owned())
}

#[tokio::test]
async fn one_server_leads_and_another_when_it_is_killed() {
    let stores = Stores::shared();
    let first = server(&stores);
    wait_for("the first leads", PATIENCE, async || leads(&first).await).await;
    let second = server(&stores);
    let by_first = seat(&stores).await.unwrap();
    assert!(by_first.starts_with("sandclock "), "{by_first}");
    assert!(!leads(&second).await);
    assert!(leads(&first).await);
    // With SIGKILL.
    drop(first);
    wait_for("the second leads", PATIENCE, async || leads(&second).await).await;
    assert_ne!(seat(&stores).await.unwrap(), by_first);
}

#[tokio::test]
async fn a_server_that_ends_makes_room() {
    let stores = Stores::shared();
    let mut only = server(&stores);
    wait_for("it leads", PATIENCE, async || leads(&only).await).await;
    assert!(only.stop().await.success());
    assert_eq!(seat(&stores).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_hears_nothing_stops_and_another_leads() {
    let stores = Stores::shared();
    let line = Proxy::to(&stores.etcd).await;
    let cut_off = server(&stores.by(&line.address()));
    wait_for("it leads", PATIENCE, async || leads(&cut_off).await).await;
    let other = server(&stores);
    assert!(!leads(&other).await);
    line.silence();
    wait_for("it stops", PATIENCE, async || !leads(&cut_off).await).await;
    wait_for("the other leads", PATIENCE, async || leads(&other).await).await;
    assert!(!leads(&cut_off).await);
}

/// A leader whose lease somebody ended finds out, and leads again once it may.
#[tokio::test]
async fn a_lost_lease_is_noticed() {
    let stores = Stores::shared();
    let only = server(&stores);
    wait_for("it leads", PATIENCE, async || leads(&only).await).await;
    let (mut etcd, key) = (stores.raw().await, key(&stores));
    etcd.put(key.clone(), "another", None).await.unwrap();
    wait_for("it stops", PATIENCE, async || !leads(&only).await).await;
    etcd.delete(key, None).await.unwrap();
    wait_for("it leads again", PATIENCE, async || leads(&only).await).await;
}
