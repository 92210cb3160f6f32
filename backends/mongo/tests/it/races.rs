//! Many hands on one run, and answers that are lost.

use std::time::Duration;

use futures_util::future::join_all;
use sandclock_core::backend::{DoneRecord, Records, RunFilter, RunHeader};
use sandclock_core::run::{RunId, RunState};
use sandclock_core::{Effect, ErrorKind};

use crate::fresh::Own;
use crate::proxy::{Answers, Proxy};
use crate::scene::{done, fence, header};

/// Waits until the run is in this state.
async fn arrives(store: &Records, run: &RunId, state: RunState) {
    let arrived = async {
        loop {
            let found = store.runs.get(run).await.expect("get");
            if found.is_some_and(|found| found.state == state) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), arrived).await;
    assert!(waited.is_ok(), "it never is {state}");
}

/// Whoever has the greatest fence has the run in the end, in whatever order they come (S3).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_greatest_fence_has_the_run() {
    let own = Own::new();
    let stores = join_all((0..3).map(|_| own.open())).await;
    for round in 0..10 {
        let run = header("job", round * 1_000);
        // Neighbours are as far apart as can be: 0, 7, 14, 5, …
        let order: Vec<u64> = (0..16).map(|n| n * 7 % 16).collect();
        let begins = order.iter().map(|n| {
            let mine = RunHeader {
                worker: format!("worker-{n}"),
                ..run.clone()
            };
            let sink = &stores[usize::try_from(n % 3).expect("few")].sink;
            async move { (*n, sink.begin(&mine, fence(n + 1)).await) }
        });
        for (n, begun) in join_all(begins).await {
            match begun {
                Ok(()) => {}
                Err(error) => {
                    assert_eq!(error.kind, ErrorKind::Fenced, "{error}");
                    assert_ne!(n, 15, "nobody has a greater one");
                }
            }
        }
        let stored = stores[0]
            .runs
            .get(&run.id)
            .await
            .expect("get")
            .expect("the run");
        assert_eq!(stored.worker, "worker-15");
    }
    let all = stores[0]
        .runs
        .list(&RunFilter::default(), None, 100)
        .await
        .expect("list");
    assert_eq!(all.items.len(), 10, "each run is one document");
}

/// One of many ends is the end, and nothing that comes with them or later changes it (S8).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_ends_stays() {
    let own = Own::new();
    let stores = join_all((0..3).map(|_| own.open())).await;
    for round in 0..10 {
        let run = header("job", round * 1_000);
        let ends: Vec<_> = (0..9_u64)
            .map(|n| {
                let end = done("job", round * 1_000, RunState::Lost, "true");
                DoneRecord {
                    worker: format!("worker-{n}"),
                    fence: n,
                    ..end
                }
            })
            .collect();
        let finishes = ends
            .iter()
            .zip(stores.iter().cycle())
            .map(|(end, store)| store.sink.finish(end));
        let begins = stores.iter().map(|store| store.sink.begin(&run, fence(99)));
        let (finished, begun) =
            futures_util::future::join(join_all(finishes), join_all(begins)).await;
        assert!(finished.iter().all(Result::is_ok), "{finished:?}");
        for error in begun.into_iter().filter_map(Result::err) {
            assert_eq!(error.kind, ErrorKind::Fenced, "{error}");
        }
        let first = stores[0]
            .runs
            .get(&run.id)
            .await
            .expect("get")
            .expect("the run");
        assert_eq!(first.state, RunState::Lost);
        let late = stores[1].sink.begin(&run, fence(1_000)).await;
        assert_eq!(late.expect_err("over").kind, ErrorKind::Fenced);
        stores[2].sink.finish(&ends[0]).await.expect("finish");
        let still = stores[1]
            .runs
            .get(&run.id)
            .await
            .expect("get")
            .expect("the run");
        assert_eq!(still, first);
    }
}

/// A write whose answer is lost says that it may be there; sent again, it is there once.
#[tokio::test]
async fn a_write_without_an_answer_can_be_repeated() {
    for answers in [Answers::Break, Answers::Vanish] {
        let own = Own::new();
        let direct = own.open().await;
        let mut config = own.config.clone();
        let proxy = Proxy::before(&mut config).await;
        if answers == Answers::Vanish {
            config.call_timeout = Duration::from_secs(5);
        }
        let store = sandclock_backend_mongo::connect(&config)
            .await
            .expect("connect");
        let run = header("job", 0);

        proxy.after_update(answers);
        unanswered(&proxy, || store.sink.begin(&run, fence(1))).await;
        arrives(&direct, &run.id, RunState::Running).await;
        proxy.mend();
        let again = repeated(|| store.sink.begin(&run, fence(1))).await;
        assert_eq!(again, Ok(()));

        let end = done("job", 0, RunState::TimedOut, "true");
        proxy.after_update(answers);
        unanswered(&proxy, || store.sink.finish(&end)).await;
        arrives(&direct, &run.id, RunState::TimedOut).await;
        proxy.mend();
        assert_eq!(repeated(|| store.sink.finish(&end)).await, Ok(()));
        let all = direct
            .runs
            .list(&RunFilter::default(), None, 10)
            .await
            .expect("list");
        assert_eq!(all.items.len(), 1, "{answers:?}");
    }
}

/// Makes the call until it has sent something, the answer to which is lost.
async fn unanswered<F, C>(proxy: &Proxy, mut call: C)
where
    C: FnMut() -> F,
    F: Future<Output = sandclock_core::backend::Result<()>>,
{
    let before = proxy.updates();
    loop {
        let lost = call().await.expect_err("an answer came");
        assert!(lost.is_transient(), "{lost}");
        if proxy.updates() > before {
            assert_eq!(lost.effect, Effect::Unknown, "{lost}");
            return;
        }
    }
}

/// As the product's layer does: until there is an answer.
async fn repeated<F, C>(mut call: C) -> Result<(), ErrorKind>
where
    C: FnMut() -> F,
    F: Future<Output = sandclock_core::backend::Result<()>>,
{
    for _ in 0..20 {
        match call().await {
            Err(error) if error.is_transient() => {}
            answer => return answer.map_err(|error| error.kind),
        }
    }
    Err(ErrorKind::Unavailable)
}

/// What comes together is sent together.
#[tokio::test]
async fn what_has_queued_is_one_command() {
    const RUNS: i64 = 300;
    let own = Own::new();
    let mut config = own.config.clone();
    let proxy = Proxy::before(&mut config).await;
    let store = sandclock_backend_mongo::connect(&config)
        .await
        .expect("connect");
    let mut ends: Vec<_> = (0..RUNS)
        .map(|n| done("job", n * 1_000, RunState::Succeeded, "true"))
        .collect();
    for end in &mut ends {
        end.outcome.output.bytes = 0;
    }
    let finished = join_all(ends.iter().map(|end| store.sink.finish(end))).await;
    assert!(finished.iter().all(Result::is_ok));
    let commands = proxy.updates();
    println!("{RUNS} ends in {commands} commands");
    assert!((1..=8).contains(&commands), "{commands} commands");
    let page = store
        .runs
        .list(&RunFilter::default(), None, 1_000)
        .await
        .expect("list");
    assert_eq!(page.items.len(), 300);
}
