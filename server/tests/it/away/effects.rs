//! Whether a change was made whose answer did not come: said where it is known, and else what to do about it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Outage, Scene, in_time};

/// A request that repeats what an outage has cut off is the same one.
#[tokio::test]
async fn a_run_whose_answer_was_cut_off_is_one_run_with_its_key() {
    let mut scene = Scene::new().await;
    scene.begin(Outage::EtcdFrozen);
    let run = || {
        let request = scene.server.request(Method::POST, "/jobs/job/run");
        request.header("idempotency-key", "the same")
    };
    let cut_off = in_time("run", run()).await;
    assert_eq!(cut_off.status(), StatusCode::SERVICE_UNAVAILABLE);
    let problem: Value = cut_off.json().await.unwrap();
    assert_eq!(problem["part"], "coordination", "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    match problem["effect"].as_str().unwrap() {
        "unknown" => assert!(detail.contains("Idempotency-Key"), "{problem}"),
        _ => assert!(detail.contains("nothing was changed"), "{problem}"),
    }
    Scene::signal(scene.etcd.pid(), nix::sys::signal::Signal::SIGCONT);
    scene.says_away(&[]).await;
    let mut runs = Vec::new();
    for _ in 0..2 {
        let answer = in_time("run", run()).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let started: Value = answer.json().await.unwrap();
        runs.push(started["run"].as_str().unwrap().to_owned());
    }
    assert_eq!(runs[0], runs[1]);
    let listed = scene.server.runs("job=job&state=queued").await;
    assert_eq!(listed.len(), 1, "{listed:?}");
}

/// A request that only reads says nothing of changes.
#[tokio::test]
async fn what_only_reads_has_no_effect_to_tell() {
    let mut scene = Scene::new().await;
    scene.begin(Outage::MongoDead);
    let id = scene.target.run.clone();
    let request = scene.server.request(Method::GET, &format!("/runs/{id}"));
    let problem: Value = in_time("run.get", request).await.json().await.unwrap();
    assert_eq!(
        (&problem["part"], &problem["effect"]),
        (&json!("run_log"), &Value::Null),
        "{problem}"
    );
}
