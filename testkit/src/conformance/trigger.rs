//! Cases on trigger: a request is one run, however often it is sent.

use futures_util::future::join_all;
use sandclock_core::ErrorKind;
use sandclock_core::backend::{Precondition, Request, Triggered};
use sandclock_core::policy::ConcurrencyPolicy::{Allow, Forbid};
use sandclock_core::run::RunKey;

use super::CoordinationEnv;
use super::scene::{Scene, job, name, view};

fn key(id: &str) -> RunKey {
    RunKey::Request(id.to_owned())
}

/// A repeated request is the same run: while it waits, while it runs, after its end, without its job.
pub async fn one_request_is_one_run(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let run = Triggered::Run(scene.run(&key("once")));
    let answers = join_all((0..8).map(|_| scene.trigger("once"))).await;
    assert!(answers.iter().all(|answer| *answer == run), "{answers:?}");
    let wait = view(env).await.wait;
    assert_eq!(wait.len(), 1);
    assert_eq!(
        (&wait[0].value.key, wait[0].value.cause.as_str()),
        (&key("once"), "ann")
    );

    let (open, fence) = scene.take(&key("once")).await;
    assert_eq!(open.cause, "ann");
    assert_eq!(scene.trigger("once").await, run);
    scene.succeed(&key("once"), fence).await;
    assert_eq!(scene.trigger("once").await, run);
    let delete = env.jobs.delete(scene.job(), Precondition::Any).await;
    delete.expect("delete");
    assert_eq!(scene.trigger("once").await, run);
    assert!(view(env).await.wait.is_empty(), "it ran once");
}

/// A job that is not there and an id that cannot be stored are refused.
pub async fn a_bad_request_is_refused(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let request = |id: &str| Request {
        id: id.to_owned(),
        by: "ann".to_owned(),
        refuse_if_busy: false,
    };
    let unknown = env.fires.trigger(&name("unknown"), &request("a")).await;
    assert_eq!(unknown.expect("trigger"), Triggered::NoJob);
    for id in ["", "a/b", "ä", "a b", &"x".repeat(65)] {
        let refused = env.fires.trigger(scene.job(), &request(id)).await;
        let error = refused.expect_err("a bad id");
        assert_eq!(error.kind, ErrorKind::InvalidConfig, "{id:?}");
    }
    assert!(view(env).await.wait.is_empty());
    let longest = env
        .fires
        .trigger(scene.job(), &request(&"x".repeat(64)))
        .await;
    assert!(matches!(longest.expect("trigger"), Triggered::Run(_)));
}

/// A request may be refused by a busy exclusive job instead of waiting; its repeat is not.
pub async fn a_busy_job_can_refuse_a_request(env: &CoordinationEnv) {
    let refusing = |id: &str| Request {
        id: id.to_owned(),
        by: "ann".to_owned(),
        refuse_if_busy: true,
    };
    let scene = Scene::new(env, Forbid).await;
    let early = env.fires.trigger(scene.job(), &refusing("early")).await;
    let early = early.expect("trigger");
    assert!(matches!(early, Triggered::Run(_)), "the job is free");
    scene.hold(60).await;
    let late = env.fires.trigger(scene.job(), &refusing("late")).await;
    assert_eq!(late.expect("trigger"), Triggered::Busy);
    let again = env.fires.trigger(scene.job(), &refusing("early")).await;
    assert_eq!(again.expect("trigger"), early);
    assert_eq!(view(env).await.wait.len(), 1);

    let beside = Scene::of(env, job("beside", Allow)).await;
    beside.hold(60).await;
    let admitted = env.fires.trigger(beside.job(), &refusing("late")).await;
    assert!(matches!(admitted.expect("trigger"), Triggered::Run(_)));
}

/// Waiting runs are listed in the order in which they began to wait.
pub async fn requests_wait_in_order(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let ids = ["m", "z", "a", "k"];
    for id in ids {
        scene.trigger(id).await;
    }
    let wait = view(env).await.wait;
    let keys: Vec<_> = wait.iter().map(|wait| wait.value.key.clone()).collect();
    assert_eq!(keys, ids.map(key));
    assert!(wait.is_sorted_by(|a, b| a.version < b.version));
}
