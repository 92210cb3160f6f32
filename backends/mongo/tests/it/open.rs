//! Opening: what is refused, what is made, and what is said when nobody answers.

use std::time::Duration;

use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use sandclock_backend_mongo::{MongoConfig, connect};
use sandclock_core::backend::RunFilter;
use sandclock_core::error::WithSources;
use sandclock_core::run::RunState;
use sandclock_core::{Effect, ErrorKind};

use crate::fresh::Own;
use crate::scene::{done, fence, header};

#[tokio::test]
async fn what_cannot_be_is_refused_by_name() {
    for (uri, word) in [
        ("localhost:27017", "scheme"),
        ("http://127.0.0.1", "http"),
        ("mongodb+srv://example.org", "mongodb+srv"),
        ("mongodb://ann:s3cret@127.0.0.1/?tls=perhaps", "tls"),
    ] {
        let error = connect(&MongoConfig::new(uri)).await.expect_err(uri);
        assert_eq!(error.kind, ErrorKind::InvalidConfig, "{error}");
        let text = error.to_string();
        assert!(text.contains(word) && !text.contains("s3cret"), "{text}");
    }
}

/// A port that was free a moment ago.
fn nobody() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let mut config = MongoConfig::new(format!("mongodb://127.0.0.1:{}", nobody()));
    config.call_timeout = Duration::from_secs(1);
    let error = connect(&config).await.expect_err("nobody");
    assert_eq!(
        (error.kind, error.effect),
        (ErrorKind::Unavailable, Effect::None),
        "{error}"
    );
    let told = WithSources(&error).to_string();
    assert!(told.contains("Connection refused"), "{told}");
    assert!(!told.contains('{'), "no terms of the driver: {told}");
}

/// A server that accepts connections and says nothing.
#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("its address").port();
    let mut config = MongoConfig::new(format!("mongodb://127.0.0.1:{port}"));
    config.call_timeout = Duration::from_secs(1);
    config.connect_timeout = Duration::from_secs(1);
    let error = connect(&config).await.expect_err("silence");
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn opening_twice_is_opening_once() {
    let own = Own::new();
    let first = own.open().await;
    first
        .sink
        .begin(&header("job", 0), fence(1))
        .await
        .expect("begin");
    let second = own.open().await;
    let seen = second
        .runs
        .list(&RunFilter::default(), None, 10)
        .await
        .expect("list");
    assert_eq!(seen.items.len(), 1);
}

/// Others may have made an index for their page already, and the log may be full of what is not ours.
#[tokio::test]
async fn a_collection_with_a_past_is_taken_as_it_is() {
    let own = Own::new();
    let db = own.raw().await;
    let log = db.collection::<Document>("log");
    log.insert_many([doc! { "jobName": "a" }, doc! { "jobName": "a" }, doc! {}])
        .await
        .expect("insert");
    let theirs = mongodb::options::IndexOptions::builder()
        .name("page".to_owned())
        .build();
    let index = mongodb::IndexModel::builder()
        .keys(doc! { "jobName": 1, "startTime": -1 })
        .options(theirs)
        .build();
    log.create_index(index).await.expect("index");
    let store = own.open().await;
    store
        .sink
        .finish(&done("a", 0, RunState::Failed, "true"))
        .await
        .expect("finish");
    let all = store
        .runs
        .list(&RunFilter::default(), None, 10)
        .await
        .expect("list");
    assert_eq!(all.items.len(), 4);
}

/// Another collection, as some copies of the fleet have, and no collections but those that are documented.
#[tokio::test]
async fn the_log_has_the_name_that_it_is_given() {
    let mut own = Own::new();
    own.config.collection = "job".to_owned();
    let store = own.open().await;
    store
        .sink
        .finish(&done("a", 0, RunState::Failed, "true"))
        .await
        .expect("finish");
    let db = own.raw().await;
    let names: Vec<_> = db
        .list_collections()
        .await
        .expect("list")
        .try_collect()
        .await
        .expect("list");
    let mut names: Vec<_> = names
        .into_iter()
        .map(|collection| collection.name)
        .collect();
    names.sort();
    let ours = [
        "alerts",
        "audit",
        "job",
        "plugin_modules.chunks",
        "plugin_modules.files",
        "plugins",
        "recordings",
    ];
    assert_eq!(names, ours);
    let found = db
        .collection::<Document>("job")
        .count_documents(doc! { "jobName": "a" })
        .await;
    assert_eq!(found.expect("count"), 1);
}
