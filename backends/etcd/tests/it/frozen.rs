//! What stands in etcd in each form that was ever written, frozen as bytes: every kind of key. It is what is written
//! today, or else it stays readable, and what a later program adds to it is kept (S13).

use std::time::Duration;

use etcd_client::GetOptions;
use sandclock_core::backend::{
    Candidate, Decide, Decided, DoneRecord, End, EndHow, Fence, Kill, Nonce, OpenRecord, Pinned,
    Precondition, RecordSeen, Request, SessionId, Settle, SettleAs, Settled, Take, TakeFrom, Taken,
    Versioned, WaitRecord,
};
use sandclock_core::binding::{self, Binding, Selector};
use sandclock_core::job::{HookBinding, Job, JobName, ScheduleSpec};
use sandclock_core::policy::ConcurrencyPolicy;
use sandclock_core::run::{RunId, RunKey, RunState};
use serde_json::{Value, json};

use crate::scene::{Scene, at, due, job, mark, outcome};

/// Form 1: in each line a key and what stands there, after the numbers that etcd and chance have drawn were replaced.
const V1: &str = include_str!("golden/v1.txt");

/// The same as it was written before its first release, when what is absent stood there as `null` or empty.
const EXPLICIT: &str = include_str!("golden/v1-explicit.txt");

/// What a later program adds.
const LATER: &str = "later";

/// A job that Go workers would run as we do, so that it stands among theirs; the other jobs here do not.
fn every_night() -> Job {
    Job {
        schedule: Some(ScheduleSpec::utc("0 3 * * *")),
        concurrency: ConcurrencyPolicy::Queue,
        description: "every night".to_owned(),
        ..job("nightly/backup")
    }
}

/// Leaves something under every kind of key.
async fn write(scene: &Scene) {
    let store = &scene.store;
    let session = scene.session().await;
    let pinned = scene.planned_as(every_night()).await;
    let claim = due(&pinned, mark(0, None), 10);
    let fence = scene.hold(&session, &[claim]).await;
    assert_eq!(fence.len(), 1);
    let waits = due(&pinned, mark(10, None), 20);
    store
        .fires
        .decide(&session, &[waits])
        .await
        .expect("it waits");
    let request = Request {
        id: "asked-1".to_owned(),
        by: "ann".to_owned(),
        refuse_if_busy: false,
    };
    let name = &pinned.job.name;
    store
        .fires
        .trigger(name, &request)
        .await
        .expect("a request");
    let kill = Kill {
        run: RunId::of(name, &RunKey::Tick(at(10))),
        by: "ann".to_owned(),
        why: "it hangs".to_owned(),
    };
    store
        .kills
        .send(&kill, Duration::from_secs(600))
        .await
        .expect("a kill");

    write_ends(scene, &session).await;
}

async fn hold(scene: &Scene, session: &SessionId, claim: &Decide) -> Fence {
    let held = scene.hold(session, std::slice::from_ref(claim)).await;
    held.into_iter().next().expect("one claim")
}

fn binding() -> Binding {
    Binding {
        name: "data-timeouts".to_owned(),
        selector: Selector::default(),
        hook: HookBinding {
            plugin: "doubler".to_owned(),
            config: json!({ "factor": 3 }),
        },
        order: 7,
        required: true,
    }
}

/// Leaves a run between attempts, one that is over, a mark without a job, a leader, and a binding.
async fn write_ends(scene: &Scene, session: &SessionId) {
    let store = &scene.store;
    let retried = scene.planned_as(job("retried")).await;
    let claim = due(&retried, mark(0, None), 10);
    let fence = hold(scene, session, &claim).await;
    let retry = End {
        job: claim.job().clone(),
        key: RunKey::Tick(claim.fire),
        fence,
        how: EndHow::Retry {
            not_before: at(60),
            exclude: Some("w".to_owned()),
            killed: outcome(RunState::Killed),
        },
        worker: "w".to_owned(),
    };
    store.fires.end(&retry).await.expect("a retry");

    let over = scene.planned_as(job("over")).await;
    let claim = due(&over, mark(0, None), 10);
    let fence = hold(scene, session, &claim).await;
    scene.end(&claim, fence).await;

    scene.planned_as(job("deleted")).await;
    let deleted = JobName::existing("deleted");
    store
        .jobs
        .delete(&deleted, Precondition::Any)
        .await
        .expect("delete");
    let server = Candidate {
        name: "host-1, process 7".to_owned(),
        nonce: Nonce(7),
    };
    let ttl = Duration::from_secs(600);
    store
        .leadership
        .campaign(&server, ttl)
        .await
        .expect("it leads");
    let put = binding::put(&*store.docs, &binding(), Precondition::Absent).await;
    put.expect("a binding");
}

/// What is below the fleet's prefixes, as lines of the frozen form.
async fn written(scene: &Scene) -> String {
    let root = scene.config.prefix.trim_end_matches("sandclock/");
    let all = GetOptions::new().with_prefix();
    let found = scene.raw.clone().get(root, Some(all)).await.expect("get");
    let line = |kv: &etcd_client::KeyValue| {
        let key = kv.key_str().expect("text").strip_prefix(root);
        let (mut key, value) = (key.expect("below it").to_owned(), kv.value());
        if key.starts_with("sandclock/session/") {
            "sandclock/session/SESSION".clone_into(&mut key);
        }
        let value = match serde_json::from_slice::<Value>(value) {
            _ if key.starts_with("sandclock/orphan/") => "LEASE".to_owned(),
            Ok(mut record) => {
                for (path, number) in [("/pinned/version", json!(7)), ("/fence", json!(9))] {
                    if let Some(found) = record.pointer_mut(path) {
                        *found = number;
                    }
                }
                if let Some(session) = record.pointer_mut("/state/claimed/session") {
                    *session = json!("SESSION");
                }
                record.to_string()
            }
            Err(_) => String::from_utf8(value.to_vec()).expect("text"),
        };
        format!("{key}\t{value}\n")
    };
    found.kvs().iter().map(line).collect()
}

/// A store that holds a frozen form, with members more in each record and words more in each mark, if a later
/// program `added` them. Sessions are gone.
async fn frozen(form: &str, added: bool) -> Scene {
    let scene = Scene::new().await;
    let root = scene.config.prefix.trim_end_matches("sandclock/");
    for line in form.lines() {
        let (key, value) = line.split_once('\t').expect("a key and a value");
        if key.contains("/session/") || key.contains("/orphan/") {
            continue;
        }
        let value = match (added, serde_json::from_str::<Value>(value)) {
            (true, Ok(Value::Object(mut record))) => {
                record.insert(LATER.to_owned(), json!({ "said": "so" }));
                if let Some(Value::Object(definition)) = record.get_mut("sandclock") {
                    definition.insert(LATER.to_owned(), json!({ "said": "so" }));
                }
                Value::Object(record).to_string()
            }
            (true, Err(_)) if key.contains("/mark/") => format!("{value} {LATER} words"),
            _ => value.to_owned(),
        };
        scene.put(&format!("{root}{key}"), value).await;
    }
    scene
}

fn seen<R>(job: &str, key: RunKey, record: &Versioned<R>) -> RecordSeen {
    RecordSeen {
        job: JobName::existing(job),
        key,
        version: record.version,
    }
}

/// Asserts that the store's jobs and records are those that were written, and acts on each.
async fn is_acted_upon(scene: &Scene) {
    let store = &scene.store;
    let nightly = JobName::existing("nightly/backup");
    let found = store.jobs.get(&nightly).await.expect("get");
    let found = found.expect("the job");
    assert_eq!(*found.job, every_night());
    let (view, _) = store.feed.snapshot().await.expect("snapshot");
    let marks: Vec<_> = view
        .marks
        .iter()
        .map(|(job, m)| (job.as_str(), m.value))
        .collect();
    assert_eq!(
        marks,
        [
            ("deleted", mark(0, None)),
            ("nightly/backup", mark(20, None)),
            ("over", mark(10, Some(RunState::Succeeded))),
            ("retried", mark(10, None)),
        ]
    );
    let session = scene.session().await;

    // The session of the claim is gone, and a kill of the run is there.
    let [claimed, retried] = &view.open[..] else {
        panic!("{:?}", view.open)
    };
    let settle = Settle {
        record: seen("nightly/backup", RunKey::Tick(at(10)), claimed),
        how: SettleAs::Lost(outcome(RunState::Lost)),
        killed: outcome(RunState::Killed),
        pinned: None,
        worker: "w".to_owned(),
    };
    match store.fires.settle(&settle).await.expect("settle") {
        Settled::Done(done) => assert_eq!(done.value.outcome.state, RunState::Killed),
        other => panic!("{other:?}"),
    }
    let of_jobs = (view.wait.as_slice(), view.done.as_slice());
    take_and_end(scene, &session, of_jobs, retried).await;
}

/// Takes what waits and cleans what is done, then moves a mark.
async fn take_and_end(
    scene: &Scene,
    session: &SessionId,
    (wait, done): (&[Versioned<WaitRecord>], &[Versioned<DoneRecord>]),
    retried: &Versioned<OpenRecord>,
) {
    let store = &scene.store;
    let pinned = async |job: &str| {
        let found = store.jobs.get(&JobName::existing(job)).await;
        let found = found.expect("get").expect("the job");
        Pinned {
            job: found.job,
            version: found.version,
        }
    };
    let take = async |record, from| {
        let take = Take {
            record,
            from,
            worker: "w".to_owned(),
            nonce: Nonce(70),
        };
        match store.fires.take(session, &take).await.expect("take") {
            Taken::Held { fence, .. } => fence,
            other => panic!("{other:?}"),
        }
    };
    let ends = async |job: &str, key: RunKey, fence: Fence| {
        let end = End {
            job: JobName::existing(job),
            key,
            fence,
            how: EndHow::Terminal(outcome(RunState::Succeeded)),
            worker: "w".to_owned(),
        };
        store.fires.end(&end).await.expect("end");
    };
    assert_eq!(wait.len(), 2);
    for waits in wait {
        let key = waits.value.key.clone();
        let from = TakeFrom::Wait {
            pinned: pinned("nightly/backup").await,
            exclusive: true,
            skip: Vec::new(),
        };
        let fence = take(seen("nightly/backup", key.clone(), waits), from).await;
        ends("nightly/backup", key, fence).await;
    }
    let record = seen("retried", RunKey::Tick(at(10)), retried);
    take(record, TakeFrom::Open).await;

    let [done] = done else { panic!("{done:?}") };
    let over = seen("over", RunKey::Tick(at(10)), done);
    assert_eq!(done.value.outcome, outcome(RunState::Succeeded));
    let cleaned = store.feed.clean(&[over], Duration::ZERO).await;
    assert_eq!(cleaned.expect("clean"), 1);

    let next = due(
        &pinned("over").await,
        mark(10, Some(RunState::Succeeded)),
        20,
    );
    let decided = store.fires.decide(session, &[next]).await.expect("decide");
    assert!(matches!(decided[..], [Decided::Held { .. }]), "{decided:?}");
}

#[tokio::test]
async fn form_1_is_written() {
    let scene = Scene::new().await;
    write(&scene).await;
    let written = written(&scene).await;
    assert!(written == V1, "written now:\n{written}");
}

#[tokio::test]
async fn form_1_is_read_and_acted_upon() {
    for form in [V1, EXPLICIT] {
        is_acted_upon(&Box::pin(frozen(form, false)).await).await;
    }
}

#[tokio::test]
async fn what_a_later_program_added_to_a_binding_is_kept() {
    let scene = Box::pin(frozen(V1, true)).await;
    let docs = &*scene.store.docs;
    let found = binding::list(docs).await.expect("list");
    let [stored] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(*stored.binding.as_ref().expect("readable"), binding());
    let edited = Binding {
        order: 8,
        ..binding()
    };
    let put = binding::put(docs, &edited, Precondition::Matches(stored.version)).await;
    put.expect("put");
    let text = scene
        .text(&scene.own_key("doc-binding/data-timeouts"))
        .await;
    let text: Value = serde_json::from_str(&text.expect("the binding")).expect("JSON");
    assert_eq!(
        (&text["order"], &text[LATER]["said"]),
        (&json!(8), &json!("so"))
    );
}

#[tokio::test]
async fn what_a_later_program_added_is_kept() {
    let scene = Box::pin(frozen(V1, true)).await;
    is_acted_upon(&scene).await;
    let text = async |key: &str| scene.text(&scene.own_key(key)).await.expect(key);
    let mark = text("mark/over").await;
    assert!(
        mark.starts_with("0001800000020000 "),
        "it has moved: {mark}"
    );
    assert!(mark.ends_with(" later words"), "{mark}");
    let retried = text("open/retried/0001800000010000").await;
    let retried: Value = serde_json::from_str(&retried).expect("JSON");
    assert!(
        retried["state"]["claimed"].is_object(),
        "it was taken: {retried}"
    );
    assert_eq!(retried[LATER]["said"], "so");
    let edited = Job {
        owner: "ann".to_owned(),
        ..every_night()
    };
    let put = scene.store.jobs.put(&edited, Precondition::Any).await;
    put.expect("put");
    let job = scene.text(&scene.job_key("nightly/backup")).await;
    let job: Value = serde_json::from_str(&job.expect("the job")).expect("JSON");
    assert_eq!(job["sandclock"]["owner"], "ann");
    assert_eq!(
        (&job[LATER]["said"], &job["sandclock"][LATER]["said"]),
        (&json!("so"), &json!("so"))
    );
}
