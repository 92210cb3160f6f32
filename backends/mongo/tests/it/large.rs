//! Large things beside small ones (W20): what does not fit fails alone, and says so.

use futures_util::future::join_all;
use sandclock_core::ErrorKind;
use sandclock_core::backend::{Records, RunFilter};
use sandclock_core::run::RunState;

use crate::fresh::Own;
use crate::scene::{chunk, done, fence, header};

/// Runs that end at the same time are one request; one of them is larger than a document can be.
pub(crate) async fn a_record_that_does_not_fit_fails_alone(store: &Records) {
    let mut ends: Vec<_> = (0..5)
        .map(|n| done("job", n * 1_000, RunState::Failed, "true"))
        .collect();
    ends[2].outcome.cause = "x".repeat(17 << 20);
    for end in &mut ends {
        // Nothing is to be read for any of them first.
        end.outcome.output.bytes = 0;
    }
    let finished = join_all(ends.iter().map(|end| store.sink.finish(end))).await;
    let kinds: Vec<_> = finished
        .into_iter()
        .map(|finish| finish.map_err(|error| error.kind))
        .collect();
    let refused = Err(ErrorKind::InvalidConfig);
    assert_eq!(kinds, [Ok(()), Ok(()), refused, Ok(()), Ok(())]);
    let stored = store
        .runs
        .list(&RunFilter::default(), None, 10)
        .await
        .expect("list")
        .items;
    assert_eq!(stored.len(), 4);
}

#[tokio::test]
async fn a_large_record_harms_no_other() {
    let own = Own::new();
    let store = own.open().await;
    a_record_that_does_not_fit_fails_alone(&store).await;
}

/// Records that fit one by one, but not together in one request.
#[tokio::test]
async fn many_large_records_are_stored() {
    let own = Own::new();
    let store = own.open().await;
    let ends = (0..6).map(|n| {
        let mut end = done("job", n * 1_000, RunState::Failed, "true");
        end.outcome.cause = "x".repeat(6 << 20);
        end
    });
    let ends: Vec<_> = ends.collect();
    let finished = join_all(ends.iter().map(|end| store.sink.finish(end))).await;
    assert!(finished.iter().all(Result::is_ok), "{finished:?}");
}

#[tokio::test]
async fn a_chunk_that_does_not_fit_is_refused() {
    let own = Own::new();
    let store = own.open().await;
    let run = header("loud", 0);
    store.sink.begin(&run, fence(1)).await.expect("begin");
    let chunks = [chunk(0, 0, "small"), chunk(1, 5, vec![b'x'; 17 << 20])];
    let refused = store.sink.append(&run.id, 1, &chunks, None).await;
    assert_eq!(refused.expect_err("refused").kind, ErrorKind::InvalidConfig);
    let page = store
        .runs
        .read_log(&run.id, None, 1 << 20)
        .await
        .expect("read");
    assert!(page.chunks.is_empty(), "nothing was sent");
    store
        .sink
        .append(&run.id, 1, &chunks[..1], None)
        .await
        .expect("append");
}

/// A thousand ends at once are stored, each once.
#[tokio::test]
async fn ends_that_come_together_are_stored_together() {
    let own = Own::new();
    let store = own.open().await;
    let ends: Vec<_> = (0..1_000)
        .map(|n| done("job", n * 1_000, RunState::Succeeded, "true"))
        .collect();
    let twice = ends.iter().chain(&ends).map(|end| store.sink.finish(end));
    let finished = join_all(twice).await;
    assert!(finished.iter().all(Result::is_ok));
    let stored = store
        .runs
        .list(&RunFilter::default(), None, 5_000)
        .await
        .expect("list")
        .items;
    assert_eq!(stored.len(), 1_000);
}
