//! Runs that make up for fire times that have passed: which, once each, and how they are told from others.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::product::{Product, told, wait_for};
use crate::stores::Stores;
use crate::worker::Worker;

const ARGS: &[&str] = &["--no-examples"];
const PATIENCE: Duration = Duration::from_secs(120);

/// What a backfill answers, and with which status.
async fn backfill(product: &Product, job: &str, asked: &Value) -> (StatusCode, Value) {
    let path = format!("/jobs/{job}/backfill");
    let answer = product.send(Method::POST, &path, asked).await;
    (answer.status(), answer.json().await.unwrap())
}

/// The fire times of an answer, by what became of them.
fn with(answer: &Value, outcome: &str) -> Vec<String> {
    let items = answer["items"].as_array().unwrap().iter();
    let items = items.filter(|item| item["outcome"] == outcome);
    items
        .map(|item| item["fire_time"].as_str().unwrap().to_owned())
        .collect()
}

/// All runs of a job, once they have ended.
async fn ended(product: &Product, job: &str, at_least: usize) -> Vec<Value> {
    let mut runs = Vec::new();
    wait_for("all runs have ended", PATIENCE, async || {
        let listed = product.get(&format!("/runs?job={job}&limit=1000")).await;
        runs = listed["items"].as_array().unwrap().clone();
        let over = |run: &Value| run["ended_at"].is_string();
        runs.len() >= at_least && runs.iter().all(over)
    })
    .await;
    runs
}

#[tokio::test]
async fn fire_times_that_have_passed_are_run_once_each() {
    once_each(&Product::start(ARGS)).await;
}

#[tokio::test]
async fn a_fleet_runs_them_once_each_too() {
    let stores = Stores::shared();
    let server = Product::server(&stores.toml());
    let workers = ["first", "second"].map(|name| Worker::start(name, &stores));
    once_each(&server).await;
    drop(workers);
}

async fn once_each(product: &Product) {
    let job = json!({
        "command": "echo for $SANDCLOCK_FIRE_TIME",
        "schedule": "0 * * * *",
        "time_zone": "UTC",
    });
    product.put_job("hourly", &job).await;
    let window = json!({ "from": "2026-01-01T00:00:00Z", "until": "2026-01-01T03:00:00Z" });
    let mut dry = window.clone();
    dry["dry_run"] = json!(true);
    let hours = ["2026-01-01T00", "2026-01-01T01", "2026-01-01T02"];
    // No worker has looked at the job at first, so that nothing is known of what its schedule will run.
    let mut would = Value::Null;
    wait_for("the job has its mark", PATIENCE, async || {
        let (status, said) = backfill(product, "hourly", &dry).await;
        assert_eq!(status, StatusCode::OK, "{said}");
        would = said;
        with(&would, "undecided").is_empty()
    })
    .await;
    assert_eq!(
        (&would["asked"], &would["dry_run"]),
        (&json!(3), &json!(true))
    );
    assert_eq!(product.get("/runs?job=hourly").await["items"], json!([]));

    let (status, done) = backfill(product, "hourly", &window).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{done}");
    assert_eq!(done["items"], would["items"]);
    for (fire, hour) in with(&done, "asked").iter().zip(hours) {
        assert!(fire.starts_with(hour), "{done}");
    }
    let runs = ended(product, "hourly", 3).await;
    assert_eq!(runs.len(), 3);
    let by_fire: BTreeMap<_, _> = runs
        .iter()
        .map(|run| (run["fire_time"].as_str().unwrap(), run))
        .collect();
    for item in done["items"].as_array().unwrap() {
        let fire = item["fire_time"].as_str().unwrap();
        let run = by_fire[fire];
        assert_eq!(run["id"], item["run"]);
        assert_eq!(run["trigger"], "backfill");
        assert_eq!(run["state"], "succeeded", "{run}");
        let id = run["id"].as_str().unwrap();
        let output = product.request(Method::GET, &format!("/runs/{id}/output"));
        let output = output.send().await.unwrap().text().await.unwrap();
        assert_eq!(output, format!("for {fire}\n"));
        let why = product.get(&format!("/runs/{id}/explain")).await;
        assert!(why.to_string().contains("backfill"), "{why}");
    }
    let fires = with(&done, "asked");

    // Again, and with one more: only that one.
    let longer = json!({ "from": "2026-01-01T00:00:00Z", "until": "2026-01-01T03:00:01Z" });
    let (_, again) = backfill(product, "hourly", &longer).await;
    assert_eq!(
        (&again["asked"], &again["left_out"]),
        (&json!(1), &json!(3))
    );
    assert_eq!(with(&again, "has_run"), fires);
    assert_eq!(ended(product, "hourly", 4).await.len(), 4);
    // A run by hand is none of them.
    let by_hand = product.run_job("hourly").await;
    assert_eq!(
        (&by_hand["trigger"], &by_hand["fire_time"]),
        (&json!("request"), &Value::Null)
    );
    let entries = product.get("/audit?action=job.backfill").await;
    let entry = &entries["items"][0];
    assert_eq!(entry["subject"], "hourly", "{entry}");
}

#[tokio::test]
async fn what_the_schedule_has_run_or_may_still_run_is_left_out() {
    let product = Product::start(ARGS);
    let job = json!({ "command": "true", "schedule": "@every 1s", "concurrency": "allow" });
    product.put_job("often", &job).await;
    wait_for("some have run", PATIENCE, async || {
        let runs = product.get("/runs?job=often&state=succeeded").await;
        runs["items"].as_array().unwrap().len() >= 3
    })
    .await;
    let off = product.request(Method::POST, "/jobs/often/disable");
    assert_eq!(off.send().await.unwrap().status(), StatusCode::OK);
    let scheduled = ended(&product, "often", 3).await;
    let fires = scheduled
        .iter()
        .map(|run| run["fire_time"].as_str().unwrap());
    let (first, last) = (fires.clone().min().unwrap(), fires.max().unwrap());
    let until = sandclock_core::time::Clock::now(&sandclock_server::clock::SystemClock);
    let asked = json!({ "from": first, "until": until.to_string() });
    let (_, answer) = backfill(&product, "often", &asked).await;
    let left = with(&answer, "has_run");
    assert!(left.iter().any(|fire| fire == first), "{answer}");
    assert!(left.iter().any(|fire| fire == last), "{answer}");
    // Whoever enables the job may be a server whose clock is behind.
    let newer = |fire: &String| fire.as_str() > last;
    assert!(!with(&answer, "asked").iter().any(newer), "{answer}");
    let all = ended(&product, "often", scheduled.len()).await;
    let mut times = BTreeMap::<_, usize>::new();
    for run in &all {
        let ran = run["state"] == "succeeded";
        *times.entry(run["fire_time"].to_string()).or_default() += usize::from(ran);
    }
    assert!(times.values().all(|times| *times == 1), "{times:?}");
}

#[tokio::test]
async fn no_more_wait_than_workers_can_look_at() {
    let product = Product::start(ARGS);
    let job = json!({
        "command": "sleep 600", "schedule": "* * * * *", "time_zone": "UTC", "enabled": false,
    });
    product.put_job("long", &job).await;
    let window = |day: u32| {
        let (from, until) = (
            format!("2026-01-{day:02}T00:00:00Z"),
            format!("2026-01-{day:02}T16:00:00Z"),
        );
        json!({ "from": from, "until": until })
    };
    let (status, done) = backfill(&product, "long", &window(1)).await;
    assert_eq!(
        (status, &done["asked"]),
        (StatusCode::ACCEPTED, &json!(960))
    );
    let (status, refused) = backfill(&product, "long", &window(2)).await;
    assert_eq!(status, StatusCode::CONFLICT, "{refused}");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("sandclock job kill long"), "{detail}");
    // Which ends all of them.
    let killed = product.cli(&["job", "kill", "long"]);
    assert!(killed.status.success(), "{}", told(&killed));
    let runs = ended(&product, "long", 960).await;
    assert!(runs.iter().all(|run| run["state"] == "killed"));
}

#[tokio::test]
async fn what_cannot_be_made_up_for_is_refused_with_the_remedy() {
    let product = Product::start(ARGS);
    let scheduled = json!({ "command": "true", "schedule": "* * * * *", "time_zone": "UTC" });
    product.put_job("minutely", &scheduled).await;
    product
        .put_job("manual", &json!({ "command": "true" }))
        .await;
    let day = |until: &str| json!({ "from": "2026-01-01T00:00:00Z", "until": until });
    for (job, asked, status, said) in [
        (
            "minutely",
            day("2026-01-02T00:00:00Z"),
            422,
            "up to 2026-01-01T16:40:00Z",
        ),
        ("minutely", day("2199-01-01T00:00:00Z"), 422, "has passed"),
        ("minutely", day("2026-01-01T00:00:00Z"), 422, "after from"),
        ("minutely", day("soon"), 422, "RFC 3339"),
        (
            "minutely",
            json!({ "from": "2026-01-01T00:00:00Z" }),
            422,
            "until",
        ),
        ("manual", day("2026-01-01T01:00:00Z"), 409, "no schedule"),
        ("none", day("2026-01-01T01:00:00Z"), 404, "no job none"),
    ] {
        let (answered, problem) = backfill(&product, job, &asked).await;
        assert_eq!(answered.as_u16(), status, "{problem}");
        assert!(problem.to_string().contains(said), "{said}: {problem}");
    }
}

#[tokio::test]
async fn the_command_prints_what_becomes_of_each_fire_time() {
    let product = Product::start(ARGS);
    let job =
        json!({ "command": "true", "schedule": "0 * * * *", "time_zone": "UTC", "enabled": false });
    product.put_job("hourly", &job).await;
    let window = [
        "--from",
        "2026-01-01T00:00:00Z",
        "--until",
        "2026-01-01T02:00:00Z",
    ];
    let cli = |more: &[&str]| {
        let args = [&["job", "backfill", "hourly"], &window[..], more].concat();
        told(&product.cli(&args))
    };
    let said = cli(&["--dry-run"]);
    assert!(said.contains("2 runs would be asked for"), "{said}");
    assert!(
        said.lines().all(|line| line.trim_end().len() <= 80),
        "{said}"
    );
    let said = cli(&[]);
    assert!(
        said.contains("2 runs asked for, 0 fire times left out"),
        "{said}"
    );
    ended(&product, "hourly", 2).await;
    let said = cli(&[]);
    assert!(
        said.contains("0 runs asked for, 2 fire times left out"),
        "{said}"
    );
    assert!(said.contains("has run  succeeded"), "{said}");
    assert!(
        said.lines().all(|line| line.trim_end().len() <= 80),
        "{said}"
    );
}
