//! How long what hangs on leases lives in etcd: as a Go fleet has it, unless the configuration says otherwise.

use etcd_client::GetOptions;
use reqwest::Method;

use crate::fleet::PATIENCE;
use crate::product::{Product, wait_for};
use crate::stores::Stores;
use crate::worker::Worker;

/// The granted life of the one key that begins so, in seconds, once it is there.
async fn life(stores: &Stores, prefix: String) -> i64 {
    let mut raw = stores.raw().await;
    let mut lease = 0;
    wait_for("the key is there", PATIENCE, async || {
        let below = GetOptions::new().with_prefix();
        let found = raw.get(prefix.clone(), Some(below)).await.unwrap();
        lease = found.kvs().first().map_or(0, etcd_client::KeyValue::lease);
        lease != 0
    })
    .await;
    let left = raw.lease_time_to_live(lease, None).await.unwrap();
    left.granted_ttl()
}

#[tokio::test]
async fn a_session_lives_as_long_as_the_configuration_says() {
    for (settings, want) in [("", 12), ("coordination.session_ttl_s = 20\n", 20)] {
        let stores = Stores::shared();
        let _worker = Worker::start_on("w", &format!("{}{settings}", stores.toml()));
        let session = format!("/{}/sandclock/session/", stores.own);
        assert_eq!(life(&stores, session).await, want);
    }
}

#[tokio::test]
async fn a_kill_mark_lives_as_long_as_the_configuration_says() {
    let stores = Stores::shared();
    let longer = "coordination.go.kill_ttl_s = 30\n";
    let server = Product::server(&format!("{}{longer}", stores.toml()));
    let kill = server.bare(Method::POST, "/job/kill").body("name=job");
    let answer = kill.bearer_auth(&server.token).send().await.unwrap();
    let text = answer.text().await.unwrap();
    assert!(text.starts_with("{\"errno\":0"), "{text}");
    assert_eq!(life(&stores, stores.kill_key("job")).await, 30);
}
