//! The documents of each form that was ever written, frozen as bytes: runs that began, ended, or were skipped, output,
//! an alert, a plugin with its module, a recording, an entry of the audit trail, and what a plugin keeps. They are what is written today, or else they stay readable, with members
//! that a later program adds (S13).

use bytes::Bytes;
use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use sandclock_core::backend::{
    AuditEntry, AuditFilter, AuditOutcome, Recording, Records, RunRecord, Swap,
};
use sandclock_core::run::{RunId, RunState, hex};
use sandclock_core::time::Timestamp;
use serde_json::json;

use crate::alerts::alert;
use crate::fresh::Own;
use crate::modules::{push, release};
use crate::scene::{chunk, done, fence, header};

/// Form 1: in each line a collection and a document, as hexadecimal BSON. What the driver draws as an id or reads off
/// its clock is zero.
const V1: &str = include_str!("golden/v1.txt");

const COLLECTIONS: [&str; 9] = [
    "log",
    "output",
    "alerts",
    "plugins",
    "recordings",
    "audit",
    "plugin_modules.files",
    "plugin_modules.chunks",
    "plugin_values",
];

/// Leaves a document of each kind.
async fn write(store: &Records) {
    let running = header("running", 0);
    store.sink.begin(&running, fence(7)).await.expect("begin");
    let over = header("over", 0);
    store.sink.begin(&over, fence(7)).await.expect("begin");
    let output = [chunk(0, 0, "one\n"), chunk(1, 4, &b"\xff\0"[..])];
    let append = store.sink.append(&over.id, 1, &output, None);
    append.await.expect("append");
    for end in [
        done("over", 0, RunState::Failed, "exit 3"),
        done("skipped", 0, RunState::Skipped, "true"),
    ] {
        store.sink.finish(&end).await.expect("finish");
    }
    let alert = alert(0, Some("disk"));
    store.outbox.put(&[alert]).await.expect("put");
    push(store, "1.0.0").await;
    let serve = store.plugins.serve("acme", None, Some("1.0.0")).await;
    serve.expect("serve");
    let recordings = [recording()];
    let keep = store.recordings.keep(&recordings);
    keep.await.expect("keep");
    assert!(store.kv.swap("acme", &kept()).await.expect("swap"));
    store.audit.put(&audited()).await.expect("put");
}

fn audited() -> AuditEntry {
    AuditEntry {
        id: "0190a1-7f".to_owned(),
        at: Timestamp::from_millis(1_800_000_000_000),
        who: "ann".to_owned(),
        token: None,
        from: "192.0.2.7:4711".to_owned(),
        action: "job.delete".to_owned(),
        subject: "over".to_owned(),
        outcome: AuditOutcome::Begun,
        status: None,
        asked: None,
        before: Some(json!({ "name": "over" })),
        after: None,
    }
}

fn recording() -> Recording {
    let run = header("over", 0).id;
    Recording {
        id: format!("{run}-1-run-end-0"),
        plugin: "acme".to_owned(),
        run,
        body: Bytes::from_static(b"{}"),
    }
}

/// A value that stays until it is changed.
fn kept() -> Swap {
    Swap {
        key: "streak".to_owned(),
        expect: None,
        value: Some(Bytes::from_static(b"3\0")),
        ttl: None,
    }
}

/// Sets what is another each time to zero.
fn zero(value: &mut Bson) {
    match value {
        Bson::ObjectId(id) => *id = ObjectId::from_bytes([0; 12]),
        Bson::Array(items) => items.iter_mut().for_each(zero),
        Bson::Document(document) => zero_all(document),
        _ => {}
    }
}

fn zero_all(document: &mut Document) {
    document.iter_mut().for_each(|(_, value)| zero(value));
    if let Some(at) = document.get_mut("uploadDate") {
        *at = Bson::DateTime(mongodb::bson::DateTime::from_millis(0));
    }
}

/// What is there, as lines of the frozen form.
async fn written(db: &Database) -> String {
    let mut lines = String::new();
    for name in COLLECTIONS {
        let all = db.collection::<Document>(name);
        let mut found = all
            .find(doc! {})
            .sort(doc! { "_id": 1 })
            .await
            .expect("find");
        while found.advance().await.expect("advance") {
            let mut document = found.deserialize_current().expect("a document");
            zero_all(&mut document);
            let raw = RawDocumentBuf::try_from(&document).expect("BSON");
            let bytes = raw.as_bytes();
            lines = format!("{lines}{name} {}\n", hex(bytes, bytes.len()));
        }
    }
    lines
}

/// Puts the frozen documents there, each after `change`.
async fn thaw(db: &Database, change: fn(&mut Document)) {
    for line in V1.lines() {
        let (collection, digits) = line.split_once(' ').expect("a collection and a document");
        let byte = |pair: &[u8]| {
            let pair = str::from_utf8(pair).expect("text");
            u8::from_str_radix(pair, 16).expect("hexadecimal")
        };
        let bytes = digits.as_bytes().chunks(2).map(byte).collect();
        let raw = RawDocumentBuf::from_bytes(bytes).expect("BSON");
        let mut document = Document::try_from(&*raw).expect("a document");
        // A file is what its chunks and its release name.
        if collection != "plugin_modules.files" && document.get_object_id("_id").is_ok() {
            document.insert("_id", ObjectId::new());
        }
        change(&mut document);
        let collection = db.collection::<Document>(collection);
        collection.insert_one(document).await.expect("insert");
    }
}

/// Asserts that the frozen documents are what was written, and goes on with the run that is not over.
async fn is_understood(store: &Records) {
    let running = header("running", 0);
    let get = async |id: &RunId| store.runs.get(id).await.expect("get").expect("the run");
    assert_eq!(get(&running.id).await, RunRecord::begun(&running));
    for (job, state) in [("over", RunState::Failed), ("skipped", RunState::Skipped)] {
        let command = if job == "over" { "exit 3" } else { "true" };
        let end = done(job, 0, state, command);
        assert_eq!(get(&end.run()).await, RunRecord::ended(&end, None));
    }
    let over = header("over", 0).id;
    let output = store.runs.read_log(&over, None, 1 << 20).await;
    let bytes: Vec<u8> = output
        .expect("output")
        .chunks
        .iter()
        .flat_map(|(_, chunk)| chunk.bytes.bytes().to_vec())
        .collect();
    assert_eq!(bytes, b"one\n\xff\0");
    let alerts = store.outbox.list(None, None, 10).await.expect("alerts");
    assert_eq!(alerts.items, [alert(0, Some("disk"))]);
    let plugins = store.plugins.list().await.expect("plugins");
    assert_eq!(plugins.len(), 1, "{plugins:?}");
    let acme = &plugins[0];
    assert_eq!(acme.releases, [release("1.0.0")]);
    assert_eq!(acme.serving.as_deref(), Some("1.0.0"));
    let module = store.plugins.module(&acme.releases[0].digest).await;
    assert!(module.is_ok(), "{module:?}");
    let value = store.kv.get("acme", "streak").await.expect("value");
    assert_eq!(value, kept().value);
    let gone = Swap {
        expect: value,
        value: None,
        ..kept()
    };
    assert!(store.kv.swap("acme", &gone).await.expect("swap"));

    let recordings = store.recordings.of_run(&over).await;
    assert_eq!(recordings.expect("recordings"), [recording()]);

    let trail = async || {
        let listed = store.audit.list(&AuditFilter::default(), None, 2).await;
        listed.expect("trail").items
    };
    assert_eq!(trail().await, [audited()]);
    let gone = AuditEntry {
        outcome: AuditOutcome::Done,
        ..audited()
    };
    store.audit.put(&gone).await.expect("put");
    assert_eq!(trail().await, [gone]);

    let end = done("running", 0, RunState::Succeeded, "true");
    store.sink.finish(&end).await.expect("finish");
    assert_eq!(get(&running.id).await, RunRecord::ended(&end, None));
    // What is over stays so (S8).
    let again = done("over", 0, RunState::Succeeded, "exit 3");
    store.sink.finish(&again).await.expect("finish");
    assert_eq!(get(&over).await.state, RunState::Failed);
}

#[tokio::test]
async fn form_1_is_written() {
    let own = Own::new();
    write(&own.open().await).await;
    let written = written(&own.raw().await).await;
    assert!(written == V1, "written now:\n{written}");
}

#[tokio::test]
async fn form_1_is_read_and_gone_on_with() {
    let own = Own::new();
    let store = own.open().await;
    thaw(&own.raw().await, |_| {}).await;
    is_understood(&store).await;
}

#[tokio::test]
async fn what_a_later_program_added_is_in_nobodys_way() {
    let own = Own::new();
    let (store, db) = (own.open().await, own.raw().await);
    thaw(&db, |document| {
        document.insert("later", doc! { "said": "so" });
        if let Ok(ours) = document.get_document_mut("sandclock") {
            ours.insert("later", 1);
            let record = ours.get_document_mut("record");
            record.expect("a record").insert("later", doc! {});
        }
    })
    .await;
    is_understood(&store).await;
    // What is over nobody writes again, so that nothing of it is lost.
    let log = db.collection::<Document>("log");
    let over = log.find_one(doc! { "jobName": "over" }).await;
    let over = over.expect("find").expect("the run");
    assert_eq!(
        over.get_document("later").expect("kept"),
        &doc! { "said": "so" }
    );
}
