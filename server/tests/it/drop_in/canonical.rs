//! A worker with nothing but its file, in the folder where it starts, for a fleet that kept the canonical keys and
//! names: what each of that fleet's programs sees of it.

use etcd_client::{Client, EventType, GetOptions, KeyValue, PutOptions, WatchOptions, WatchStream};
use mongodb::bson::spec::ElementType;
use mongodb::bson::{RawDocument, RawDocumentBuf, doc};
use sandclock_testkit::services::{Mongo, OwnEtcd};

use super::PATIENCE;
use crate::product::wait_for;
use crate::stores::Stores;
use crate::worker::Worker;

async fn watch(raw: &mut Client, prefix: &str) -> WatchStream {
    let below = WatchOptions::new().with_prefix();
    let mut watch = raw.watch(prefix, Some(below)).await.unwrap();
    assert!(watch.message().await.unwrap().unwrap().created());
    watch
}

/// The job's documents in the canonical collection, the last one first, as a Go master asks for them.
async fn log(uri: &str, job: &str) -> Vec<RawDocumentBuf> {
    let client = mongodb::Client::with_uri_str(uri).await.unwrap();
    let log: mongodb::Collection<RawDocumentBuf> = client.database("cron").collection("log");
    let find = log.find(doc! { "jobName": job });
    let mut found = find
        .sort(doc! { "startTime": -1 })
        .skip(0)
        .limit(20)
        .await
        .unwrap();
    let mut all = Vec::new();
    while found.advance().await.unwrap() {
        all.push(found.current().to_owned());
    }
    all
}

#[tokio::test]
async fn a_worker_with_its_file_alone_is_where_a_go_fleet_looks() {
    let etcd = OwnEtcd::start();
    let uri = Mongo::replica_set().uri;
    let stores = Stores::of(etcd.address(), uri);
    let mut raw = stores.raw().await;
    let mut locks = watch(&mut raw, "/cron/lock/").await;
    let worker = Worker::of_go_alone("w", "192.0.2.7", &stores);

    let registered = registration(&mut raw).await;
    assert_eq!(registered.key(), b"/cron/workers/192.0.2.7");
    goes_by_itself(&mut raw, registered.lease()).await;

    // It locks what it runs, and lets go by deleting the key.
    let job = format!("canonical {}", std::process::id());
    let key = format!("/cron/jobs/{job}");
    let value = serde_json::json!({
        "NAME": job, "Command": "echo out; echo err >&2; exit 3", "cronexpr": "* * * * * * *", "remark": 1,
    });
    raw.put(&*key, value.to_string(), None).await.unwrap();
    let lock = format!("/cron/lock/{job}");
    let mut next = async || loop {
        let news = locks.message().await.unwrap().unwrap();
        if let Some(event) = news.events().last() {
            let kv = event.kv().unwrap().clone();
            assert_eq!(kv.key(), lock.as_bytes());
            break (event.event_type(), kv);
        }
    };
    let (kind, kv) = next().await;
    assert_eq!(kind, EventType::Put);
    assert!(kv.value().starts_with(b"sandclock "));
    assert_eq!(kv.lease(), registered.lease());
    let stored = raw.get(&*key, None).await.unwrap();
    assert_eq!(
        stored.kvs()[0].value(),
        value.to_string().as_bytes(),
        "untouched"
    );
    raw.delete(&*key, None).await.unwrap();
    while next().await.0 == EventType::Put {}

    // Its log is a document as a Go worker writes it.
    wait_for("it is logged", PATIENCE, async || {
        !log(uri, &job).await.is_empty()
    })
    .await;
    let entry = log(uri, &job).await.remove(0);
    is_as_go_writes_it(&entry);

    hears_a_kill(&mut raw, &mut locks, uri, &format!("{job} long")).await;
    drop(worker);
}

/// The one registration, once it is there.
async fn registration(raw: &mut Client) -> KeyValue {
    let mut found = Vec::new();
    wait_for("it is registered", PATIENCE, async || {
        let below = GetOptions::new().with_prefix();
        let answer = raw.get("/cron/workers/", Some(below)).await;
        found = answer.unwrap().take_kvs();
        !found.is_empty()
    })
    .await;
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// A Go master has a worker that died on its list for as long as this. A Go worker of the canonical kind asks for 10 s,
/// others of 3 to 50; ours has what its claims hang on.
async fn goes_by_itself(raw: &mut Client, lease: i64) {
    assert_ne!(lease, 0);
    let left = raw.lease_time_to_live(lease, None).await.unwrap();
    assert_eq!(left.granted_ttl(), 12);
}

/// The members of a document of the log, and what is in them.
fn is_as_go_writes_it(entry: &RawDocument) {
    let members: Vec<_> = entry.iter_elements().map(Result::unwrap).collect();
    let members: Vec<_> = members
        .iter()
        .map(|member| (member.key().as_str(), member.element_type()))
        .collect();
    let (text, long) = (ElementType::String, ElementType::Int64);
    let want = [
        ("_id", ElementType::ObjectId),
        ("jobName", text),
        ("command", text),
        ("err", text),
        ("output", text),
        ("planTime", long),
        ("scheduleTime", long),
        ("startTime", long),
        ("endTime", long),
        ("sandclock", ElementType::EmbeddedDocument),
    ];
    assert_eq!(members, want);
    assert_eq!(entry.get_str("err").unwrap(), "exit status 3");
    assert_eq!(entry.get_str("output").unwrap(), "out\nerr\n");
    let time = |name| entry.get_i64(name).unwrap();
    assert_eq!(time("planTime") % 1000, 0, "a tick, in milliseconds");
    assert!(time("planTime") <= time("scheduleTime"));
    assert!(time("scheduleTime") <= time("startTime"));
    assert!(time("startTime") <= time("endTime"));
    // Seconds are a thousand times less, nanoseconds a million times more.
    assert_eq!(time("planTime").to_string().len(), 13);
}

/// A kill mark ends a run, whatever its value.
async fn hears_a_kill(raw: &mut Client, locks: &mut WatchStream, uri: &str, long: &str) {
    let key = format!("/cron/jobs/{long}");
    let value = serde_json::json!({
        "name": long, "command": "echo begun; sleep 1000", "cronExpr": "* * * * * * *",
    });
    raw.put(&*key, value.to_string(), None).await.unwrap();
    while next_of(locks).await != format!("/cron/lock/{long}") {}
    raw.delete(&*key, None).await.unwrap();
    wait_for("it is killed", PATIENCE, async || {
        let lease = raw.lease_grant(1, None).await.unwrap().id();
        let options = PutOptions::new().with_lease(lease);
        let mark = format!("/cron/killer/{long}");
        raw.put(mark, "now", Some(options)).await.unwrap();
        let log = log(uri, long).await;
        log.first()
            .is_some_and(|entry| entry.get_str("err").unwrap() == "signal: terminated")
    })
    .await;
}

/// The key of the next change.
async fn next_of(watch: &mut WatchStream) -> String {
    loop {
        let news = watch.message().await.unwrap().unwrap();
        if let Some(event) = news.events().last() {
            break event.kv().unwrap().key_str().unwrap().to_owned();
        }
    }
}
