//! What the policy of a target makes of alerts.

use serde_json::Value;

use super::receiver::{Mode, Receiver};
use super::scene::{Config, Fragile, alerts, alerts_are, so_many};

fn webhook(name: &str, receiver: &Receiver, policy: &str) -> String {
    format!(
        "[alerts.targets.{name}]\ntype = \"webhook\"\nurl = {:?}\n[alerts.targets.{name}.policy]\n{policy}\n",
        receiver.url()
    )
}

/// Alerts within the window are one message, and each is visible with what it became part of.
#[tokio::test(flavor = "multi_thread")]
async fn alerts_within_the_window_are_one_message() {
    let ops = Receiver::start().await;
    let config = Config::new(&webhook("ops", &ops, "group_s = 20"));
    let product = config.dev();
    let mut jobs = Vec::new();
    for job in ["one", "two", "three"] {
        jobs.push(Fragile::put(&product, job, "ops").await);
    }
    for job in &jobs {
        product.start_run(&job.name).await;
    }
    let all = alerts_are(&product, "three alerts", |all| all.len() == 3).await;
    for alert in all.iter().filter(|alert| alert["state"] == "pending") {
        let next = alert["next_try"].as_str();
        let why = alert["waits"].as_str();
        assert!(why.is_none() || next.is_some(), "{alert}");
    }
    let heard = ops.hears(1).await;
    let all = alerts_are(&product, "all are over", |all| {
        all.iter().all(|alert| alert["state"] != "pending")
    })
    .await;
    let listed = heard[0].json();
    let listed = listed["alerts"].as_array().unwrap();
    let named = |alert: &Value| alert["job"].as_str().unwrap().to_owned();
    let named: std::collections::BTreeSet<_> = listed.iter().map(named).collect();
    assert_eq!(named, ["one", "two", "three"].map(str::to_owned).into());
    assert!(
        listed
            .iter()
            .all(|alert| alert["body"].as_str().unwrap().contains("failed"))
    );
    assert_eq!(heard[0].key(), all[0]["id"]);
    assert_eq!(all[0]["state"], "delivered");
    for part in &all[1..] {
        assert_eq!(
            (&part["state"], &part["part_of"]),
            (&Value::from("grouped"), &all[0]["id"])
        );
    }
    let part = all[1]["id"].as_str().unwrap();
    let refused = product.cli(&["alert", "retry", part]);
    let told = crate::product::told(&refused);
    assert!(
        !refused.status.success() && told.contains("part of another"),
        "{told}"
    );
    assert_eq!(ops.heard().len(), 1);
}

/// A target gets no more messages in a minute than it was said to; what waits says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_gets_no_more_than_its_rate() {
    let ops = Receiver::start().await;
    let config = Config::new(&webhook("ops", &ops, "rate = 2"));
    let product = config.dev();
    let job = Fragile::put(&product, "often", "ops").await;
    for _ in 0..2 {
        job.fail(&product).await;
    }
    so_many(&product, 2, "delivered").await;
    job.fail(&product).await;
    let all = alerts_are(&product, "the third waits", |all| {
        all.len() == 3 && all[2]["waits"].is_string()
    })
    .await;
    assert_eq!(
        all[2]["waits"],
        "its target gets at most 2 messages a minute"
    );
    assert_eq!(
        (&all[2]["state"], &all[2]["tries"]),
        (&"pending".into(), &0.into())
    );
    let shown = crate::product::told(&product.cli(&["alert", "ls"]));
    assert!(shown.contains("at most 2 messages a minute"), "{shown}");
    let heard = ops.hears(3).await;
    assert_eq!(heard.len(), 3);
    so_many(&product, 3, "delivered").await;
}

/// Quiet hours all day: what is for this target waits and says until when, or goes to another one.
#[tokio::test(flavor = "multi_thread")]
async fn in_quiet_hours_alerts_wait_or_go_elsewhere() {
    let (ops, desk, night) = (
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
    );
    let quiet = |rest: &str| {
        format!("quiet = {{ from = \"00:00\", to = \"24:00\", zone = \"Asia/Tokyo\"{rest} }}")
    };
    let text = webhook(
        "ops",
        &ops,
        &quiet(", days = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]"),
    ) + &webhook("desk", &desk, &quiet(", instead = \"night\""))
        + &webhook("night", &night, "");
    let config = Config::new(&text);
    let product = config.dev();
    Fragile::put(&product, "waits", "ops")
        .await
        .fail(&product)
        .await;
    Fragile::put(&product, "moves", "desk")
        .await
        .fail(&product)
        .await;
    let heard = night.hears(1).await;
    assert_eq!(heard[0].json()["job"], "moves");
    let all = alerts_are(&product, "all found their place", |all| {
        all.len() == 3 && all[0]["waits"].is_string() && all[2]["state"] == "delivered"
    })
    .await;
    let why = all[0]["waits"].as_str().unwrap();
    assert!(
        why.starts_with("quiet hours, 00:00 to 24:00 Asia/Tokyo"),
        "{why}"
    );
    assert_eq!(
        (&all[0]["state"], &all[0]["tries"]),
        (&"pending".into(), &0.into())
    );
    assert!(all[0]["next_try"].is_string());
    assert_eq!(
        (&all[1]["state"], &all[1]["part_of"]),
        (&"moved".into(), &all[2]["id"])
    );
    assert_eq!(
        (&all[2]["kind"], &all[2]["target"]),
        (&"diversion".into(), &"night".into())
    );
    assert_eq!(heard[0].key(), all[2]["id"]);
    assert_eq!((ops.heard().len(), desk.heard().len()), (0, 0));
}

/// From the second failure in a row on the lead hears of it too, and when it is over everybody who had heard of the
/// failures and wants to know.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_failures_are_escalated_and_recovery_is_told() {
    let (ops, lead, shy) = (
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
    );
    let escalate = "recovery = true\nescalate = [{ after = 2, to = \"lead\" }]";
    let text = webhook("ops", &ops, escalate)
        + &webhook("lead", &lead, "recovery = true")
        + &webhook("shy", &shy, "");
    let config = Config::new(&text);
    let product = config.dev();
    let job = Fragile::put(&product, "nightly", "ops").await;
    let other = Fragile::put(&product, "hourly", "shy").await;
    other.fail(&product).await;
    job.fail(&product).await;
    so_many(&product, 2, "delivered").await;
    assert_eq!(lead.heard().len(), 0, "one failure is not two");
    job.fail(&product).await;
    so_many(&product, 4, "delivered").await;
    // Each has arrived before the next, which would be one with it otherwise.
    job.fail(&product).await;
    assert_eq!(lead.hears(2).await[0].json()["failures_in_a_row"], "2");
    so_many(&product, 6, "delivered").await;
    other.succeed(&product).await;
    job.succeed(&product).await;
    let (told, escalated) = (ops.hears(4).await, lead.hears(3).await);
    for last in [told.last(), escalated.last()] {
        let body = &last.unwrap().body;
        let parts = [
            "job nightly succeeds again",
            "after 3 runs in a row had not over ",
        ];
        assert!(parts.iter().all(|part| body.contains(part)), "{body}");
    }
    let all = so_many(&product, 8, "delivered").await;
    assert_eq!(
        all.len(),
        8,
        "who does not want to know leaves no trace: {all:?}"
    );
    let kinds = |kind: &str| all.iter().filter(|alert| alert["kind"] == kind).count();
    assert_eq!((kinds("escalation"), kinds("recovery")), (2, 2));
    // The next failure is the first of its own row.
    job.succeed(&product).await;
    assert_eq!(alerts(&product).await.len(), 8);
    assert_eq!(shy.heard().len(), 1);
}

/// Failures that are one with an alert that waits, for the end of quiet hours or of the pause after a failed try, reach
/// whoever is to hear of so many while it waits.
#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_waits_is_escalated_when_failures_join_it() {
    let (ops, desk, lead) = (
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
    );
    desk.set(Mode::Refuse(503));
    let escalate = "escalate = [{ after = 3, to = \"lead\" }]\n";
    let quiet = "quiet = { from = \"00:00\", to = \"24:00\", zone = \"UTC\" }";
    let retry = "retry = { initial_s = 3600, factor = 1.0, max_s = 3600, give_up_after_s = 36000 }";
    let text = webhook("ops", &ops, &format!("{escalate}{quiet}"))
        + &webhook("desk", &desk, &format!("{escalate}{retry}"))
        + &webhook("lead", &lead, "");
    let config = Config::new(&text);
    let product = config.dev();
    let sleeps = Fragile::put(&product, "sleeps", "ops").await;
    let pauses = Fragile::put(&product, "pauses", "desk").await;
    // The second failure is told in another way than the first, and those after it are one with it.
    for _ in 0..2 {
        sleeps.fail(&product).await;
        pauses.fail(&product).await;
    }
    alerts_are(&product, "all wait", |all| {
        let waits = |alert: &Value| alert["next_try"].is_string();
        all.len() == 4 && all.iter().all(waits)
    })
    .await;
    sleeps.fail(&product).await;
    pauses.fail(&product).await;
    let heard = lead.hears(2).await;
    let jobs: Vec<_> = heard
        .iter()
        .map(|request| request.json()["job"].clone())
        .collect();
    assert!(
        jobs.contains(&"sleeps".into()) && jobs.contains(&"pauses".into()),
        "{jobs:?}"
    );
    let all = so_many(&product, 2, "delivered").await;
    let waiting: Vec<_> = all
        .iter()
        .filter(|alert| alert["state"] == "pending")
        .collect();
    assert_eq!(waiting.len(), 4, "{all:?}");
    let joined = waiting.iter().filter(|alert| alert["folded"] == 1);
    assert_eq!(joined.count(), 2, "{all:?}");
    assert_eq!(
        (ops.heard().len(), desk.heard().len()),
        (0, 2),
        "the pause is kept"
    );
}

/// A notice of recovery in quiet hours goes to the other target as what it is, if that wants to know; else it waits.
#[tokio::test(flavor = "multi_thread")]
async fn in_quiet_hours_a_notice_of_recovery_stays_one() {
    let (desk, night) = (Receiver::start().await, Receiver::start().await);
    let targets = |quiet: &str| {
        let awake = webhook("night", &night, "recovery = true") + &webhook("deaf", &night, "");
        let quiet = |instead: &str| match quiet {
            "" => String::new(),
            hours => format!("quiet = {{ {hours}, zone = \"UTC\", instead = \"{instead}\" }}"),
        };
        let policy = |instead: &str| format!("recovery = true\n{}", quiet(instead));
        awake + &webhook("desk", &desk, &policy("night")) + &webhook("lone", &desk, &policy("deaf"))
    };
    let config = Config::new(&targets(""));
    let product = config.dev();
    let told = Fragile::put(&product, "told", "desk").await;
    let kept = Fragile::put(&product, "kept", "lone").await;
    told.fail(&product).await;
    kept.fail(&product).await;
    so_many(&product, 2, "delivered").await;
    let quiet = targets("from = \"00:00\", to = \"24:00\"");
    std::fs::write(config.path(), quiet).unwrap();
    let product = config.killed_and_started(product);
    told.succeed(&product).await;
    kept.succeed(&product).await;
    let heard = night.hears(1).await;
    assert!(
        heard[0].body.contains("job told succeeds again"),
        "{}",
        heard[0].body
    );
    let all = alerts_are(&product, "both found their place", |all| {
        let waits = |alert: &Value| alert["state"] == "pending" && alert["waits"].is_string();
        let is_over = |alert: &Value| alert["target"] == "night" && alert["state"] == "delivered";
        all.len() == 5 && all.iter().any(waits) && all.iter().any(is_over)
    })
    .await;
    let of = |target: &str| {
        let mut all = all.iter().rev();
        all.find(|alert| alert["target"] == target).unwrap()
    };
    assert_eq!(of("night")["kind"], "recovery");
    assert_eq!(of("desk")["part_of"], of("night")["id"]);
    let why = of("lone")["waits"].as_str().unwrap();
    assert!(why.ends_with(": deaf is not told of recoveries"), "{why}");
    assert_eq!(night.heard().len(), 1);
}

/// What cannot be delivered is visible with the reason, and can be sent again by a person under the same key.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_is_visible_and_can_be_sent_again() {
    let ops = Receiver::start().await;
    ops.set(Mode::Refuse(418));
    let retry = "retry = { initial_s = 1, factor = 1.0, max_s = 1, give_up_after_s = 1 }";
    let config = Config::new(&webhook("ops", &ops, retry));
    let product = config.dev();
    Fragile::put(&product, "doomed", "ops")
        .await
        .fail(&product)
        .await;
    let all = so_many(&product, 1, "failed").await;
    assert_eq!(all[0]["last_error"], "the target answered 418 I'm a teapot");
    assert_eq!(all[0]["tries"], 2);
    let shown = crate::product::told(&product.cli(&["alert", "ls", "--state", "failed"]));
    assert!(shown.contains("418 I'm a teapot"), "{shown}");
    let metrics = product
        .bare(reqwest::Method::GET, "/metrics")
        .bearer_auth(&product.token);
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    for (outcome, count) in [("failed", 1), ("given_up", 1)] {
        let line = format!(
            "sandclock_alert_deliveries_total{{target=\"ops\",outcome=\"{outcome}\"}} {count}"
        );
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    ops.set(Mode::Take);
    let id = all[0]["id"].as_str().unwrap();
    assert!(product.cli(&["alert", "retry", id]).status.success());
    so_many(&product, 1, "delivered").await;
    let heard = ops.heard();
    assert_eq!(heard.len(), 3);
    assert!(heard.iter().all(|request| request.key() == id));
}
