//! Plugins in documents and files that others can touch.

use bytes::Bytes;
use mongodb::bson::{Bson, Document, doc};
use sandclock_core::ErrorKind;
use sandclock_core::backend::{ModuleDigest, Records, Release};

use crate::fresh::Own;
use crate::scene::at;

const MODULE: &[u8] = b"\0asm of a plugin";

pub(crate) fn release(version: &str) -> Release {
    Release {
        plugin: "acme".to_owned(),
        version: version.to_owned(),
        digest: ModuleDigest::of(MODULE),
        bytes: MODULE.len() as u64,
        pushed_by: "ann".to_owned(),
        pushed_at: at(60_000),
    }
}

pub(crate) async fn push(store: &Records, version: &str) {
    let (release, module) = (release(version), Bytes::from_static(MODULE));
    let push = store.plugins.push(&release, &module).await;
    push.expect("push");
}

async fn files(own: &Own) -> u64 {
    let files = own.raw().await.collection::<Document>("modules.files");
    files.count_documents(doc! {}).await.expect("count")
}

/// Bytes that somebody has changed are not handed out.
pub(crate) async fn a_changed_module_is_refused(own: &Own, store: &Records) {
    push(store, "1").await;
    let chunks = own.raw().await.collection::<Document>("modules.chunks");
    let other = Bson::Binary(mongodb::bson::Binary {
        subtype: mongodb::bson::spec::BinarySubtype::Generic,
        bytes: b"\0asm of a plugim".to_vec(),
    });
    let change = chunks.update_one(doc! {}, doc! { "$set": { "data": other } });
    change.await.expect("a change by hand");
    let refused = store.plugins.module(&release("1").digest).await;
    let refused = refused.expect_err("it is not what was pushed");
    assert_eq!(refused.kind, ErrorKind::Corrupt, "{refused}");
}

#[tokio::test]
async fn a_module_is_what_was_pushed() {
    let own = Own::new();
    let store = own.open().await;
    a_changed_module_is_refused(&own, &store).await;
    let chunks = own.raw().await.collection::<Document>("modules.chunks");
    chunks.delete_many(doc! {}).await.expect("by hand");
    let refused = store.plugins.module(&release("1").digest).await;
    assert_eq!(refused.expect_err("no bytes").kind, ErrorKind::Corrupt);
    let files = own.raw().await.collection::<Document>("modules.files");
    files.delete_many(doc! {}).await.expect("by hand");
    let refused = store.plugins.module(&release("1").digest).await;
    assert_eq!(refused.expect_err("no file").kind, ErrorKind::NotFound);
    let withdrawn = store.plugins.withdraw("acme", "1").await;
    withdrawn.expect("what is not there need not be deleted");
}

/// A plugin, or a release, that nobody can read hides no other.
#[tokio::test]
async fn a_broken_plugin_hides_nothing() {
    let own = Own::new();
    let store = own.open().await;
    push(&store, "1").await;
    let plugins = own.raw().await.collection::<Document>("plugins");
    for broken in [
        doc! { "plugin": 7 },
        doc! { "plugin": "empty", "releases": "none" },
        doc! { "plugin": "bad", "releases": [{ "version": "1" }, 7] },
    ] {
        plugins.insert_one(broken).await.expect("by hand");
    }
    let bad = doc! { "$push": { "releases": { "version": "2", "digest": "x" } } };
    let damage = plugins.update_one(doc! { "plugin": "acme" }, bad);
    damage.await.expect("by hand");
    push(&store, "3").await;
    let listed = store.plugins.list().await.expect("list");
    let [acme] = &listed[..] else {
        panic!("{listed:?}")
    };
    assert_eq!(acme.releases, [release("3"), release("1")]);
    let module = store.plugins.module(&release("1").digest).await;
    assert_eq!(module.expect("module"), MODULE);
}

/// A file of a push that never came to an end goes with a later push, and no other does.
#[tokio::test]
async fn what_a_broken_push_left_behind_goes() {
    let own = Own::new();
    let store = own.open().await;
    push(&store, "1").await;
    let files_of = own.raw().await.collection::<Document>("modules.files");
    let long_ago = mongodb::bson::DateTime::from_millis(0);
    let age = files_of.update_many(doc! {}, doc! { "$set": { "uploadDate": long_ago } });
    age.await.expect("by hand");
    for (name, uploaded) in [("old", long_ago), ("young", mongodb::bson::DateTime::now())] {
        let left = doc! {
            "filename": name, "length": 0_i64, "chunkSize": 1_i32, "uploadDate": uploaded,
        };
        files_of.insert_one(left).await.expect("by hand");
    }
    push(&store, "2").await;
    assert_eq!(files(&own).await, 3, "the releases' own and the young one");
    assert!(
        files_of
            .find_one(doc! { "filename": "old" })
            .await
            .expect("find")
            .is_none()
    );
    store.plugins.withdraw("acme", "2").await.expect("withdraw");
    assert_eq!(files(&own).await, 2, "a file goes with its release");
}
