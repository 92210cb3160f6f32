//! Plugins in documents and files that others can touch.

use bytes::Bytes;
use mongodb::bson::oid::ObjectId;
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
    let files = own
        .raw()
        .await
        .collection::<Document>("plugin_modules.files");
    files.count_documents(doc! {}).await.expect("count")
}

/// Bytes that somebody has changed are not handed out.
pub(crate) async fn a_changed_module_is_refused(own: &Own, store: &Records) {
    push(store, "1").await;
    let chunks = own
        .raw()
        .await
        .collection::<Document>("plugin_modules.chunks");
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
    let chunks = own
        .raw()
        .await
        .collection::<Document>("plugin_modules.chunks");
    chunks.delete_many(doc! {}).await.expect("by hand");
    let refused = store.plugins.module(&release("1").digest).await;
    assert_eq!(refused.expect_err("no bytes").kind, ErrorKind::Corrupt);
    let files = own
        .raw()
        .await
        .collection::<Document>("plugin_modules.files");
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
        doc! { "plugin": "none", "releases": "none" },
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
    let refused = store.plugins.serve("acme", None, Some("2")).await;
    let refused = refused.expect_err("nobody knows what it is");
    assert_eq!(refused.kind, ErrorKind::Corrupt);
    let other = Release {
        plugin: "none".to_owned(),
        ..release("1")
    };
    let module = Bytes::from_static(MODULE);
    let refused = store.plugins.push(&other, &module).await;
    assert_eq!(refused.expect_err("damaged").kind, ErrorKind::Corrupt);
}

/// What a push that never came to an end has left behind goes with a later push, and nothing else does.
#[tokio::test]
async fn what_a_broken_push_left_behind_goes() {
    let own = Own::new();
    let store = own.open().await;
    let db = own.raw().await;
    let files_of = db.collection::<Document>("plugin_modules.files");
    let chunks_of = db.collection::<Document>("plugin_modules.chunks");
    let drawn = |seconds: u32| ObjectId::from_parts(seconds, [7; 5], [7; 3]);
    let now = u32::try_from(ObjectId::new().timestamp().timestamp_millis() / 1_000).unwrap();
    let (old, young) = (drawn(now - 25 * 3_600), drawn(now - 23 * 3_600));
    // A file, and pieces of another that never became one.
    for id in [old, young] {
        let file = doc! { "_id": id, "filename": "left" };
        files_of.insert_one(file).await.expect("by hand");
        let piece = doc! { "files_id": id, "n": 0, "data": "" };
        chunks_of.insert_one(piece).await.expect("by hand");
    }
    push(&store, "1").await;
    let left = |id: ObjectId| {
        let (files, chunks) = (files_of.clone(), chunks_of.clone());
        async move {
            let file = files.count_documents(doc! { "_id": id }).await;
            let piece = chunks.count_documents(doc! { "files_id": id }).await;
            (file.expect("count"), piece.expect("count"))
        }
    };
    assert_eq!((left(old).await, left(young).await), ((0, 0), (1, 1)));
    assert_eq!(files(&own).await, 2, "the release's and the young one");
    store.plugins.withdraw("acme", "1").await.expect("withdraw");
    assert_eq!(files(&own).await, 1, "a file goes with its release");
}

/// A file that a release has stays, however old it is; and one of two that have the same bytes is enough.
#[tokio::test]
async fn a_release_keeps_its_module() {
    let own = Own::new();
    let store = own.open().await;
    push(&store, "1").await;
    push(&store, "2").await;
    let db = own.raw().await;
    let files_of = db.collection::<Document>("plugin_modules.files");
    let chunks_of = db.collection::<Document>("plugin_modules.chunks");
    let plugins = db.collection::<Document>("plugins");
    let acme = plugins.find_one(doc! { "plugin": "acme" }).await;
    let acme = acme.expect("find").expect("the plugin");
    let releases = acme.get_array("releases").expect("releases");
    let file_of = |at: usize| releases[at].as_document().unwrap().get("file").unwrap();
    // The one becomes very old, the other is damaged.
    let ancient = ObjectId::from_parts(1, [7; 5], [7; 3]);
    let mut file = files_of.find_one(doc! { "_id": file_of(0) }).await;
    let file = file.as_mut().expect("find").as_mut().expect("the file");
    file.insert("_id", ancient);
    files_of.insert_one(&*file).await.expect("by hand");
    let moved = doc! { "$set": { "files_id": ancient } };
    let chunks = chunks_of.update_many(doc! { "files_id": file_of(0) }, moved);
    chunks.await.expect("by hand");
    let renamed = doc! { "$set": { "releases.0.file": ancient } };
    let rename = plugins.update_one(doc! { "plugin": "acme" }, renamed);
    rename.await.expect("by hand");
    let cut = chunks_of.delete_many(doc! { "files_id": file_of(1) });
    cut.await.expect("by hand");
    push(&store, "3").await;
    store.plugins.withdraw("acme", "3").await.expect("withdraw");
    let module = store.plugins.module(&release("1").digest).await;
    assert_eq!(module.expect("the old one"), MODULE);
}
