//! Each kind of target with a real receiver.

use async_nats::jetstream::{self, stream};
use futures_util::StreamExt as _;
use sandclock_testkit::services::{Certificates, Mail, Nats};
use serde_json::json;

use super::receiver::{Heard, PATIENCE, Receiver};
use super::scene::{Config, Fragile, alerts_are, so_many};
use super::sink::is_signed;
use crate::product::wait_for;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_signed_as_others_compute_it() {
    let ops = Receiver::start().await;
    let text = format!(
        "[alerts.targets.ops]\ntype = \"webhook\"\nurl = {:?}\nsecret = {SECRET:?}\n[alerts.targets.ops.headers]\n\
         Authorization = \"Bearer hunter2\"\nX-Team = \"ours\"\n",
        ops.url()
    );
    let config = Config::new(&text);
    let product = config.dev();
    let headers =
        json!({ "target": "ops", "headers": { "X-Team": "theirs", "X-Job": "{{job_id}}" } });
    let job = Fragile::put_with(&product, "signed", &headers).await;
    job.fail(&product).await;
    let all = so_many(&product, 1, "delivered").await;
    let heard = &ops.hears(1).await[0];
    assert!(is_signed(heard, SECRET), "{heard:?}");
    let forged = Heard {
        body: heard.body.replace("failed", "succeeded"),
        ..heard.clone()
    };
    assert!(!is_signed(&forged, SECRET), "another body");
    assert!(
        !is_signed(heard, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        "another key"
    );
    assert_eq!(heard.headers["webhook-id"], heard.key());
    assert_eq!(heard.key(), all[0]["id"]);
    assert_eq!(heard.headers["authorization"], "Bearer hunter2");
    assert_eq!(
        heard.headers["x-team"], "ours",
        "the operator has the last word"
    );
    let log = String::from_utf8_lossy(&product.log()).into_owned();
    assert!(!log.contains("hunter2") && !log.contains(SECRET), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_gets_a_message_of_its_form() {
    let slack = Receiver::start().await;
    let text = format!(
        "[alerts.targets.chat]\ntype = \"slack\"\nurl = {:?}\n",
        slack.url()
    );
    let config = Config::new(&text);
    let product = config.dev();
    let plain = json!({
        "target": "chat", "content_type": "text/plain", "body": "{{job_id}} is \"{{state}}\"",
    });
    let job = Fragile::put_with(&product, "plain", &plain).await;
    job.fail(&product).await;
    let blocks = json!({ "target": "chat", "body": { "blocks": [{ "type": "divider" }] } });
    let job = Fragile::put_with(&product, "own", &blocks).await;
    job.fail(&product).await;
    let foreign = json!({ "target": "chat", "body": { "job": "{{job_id}}" } });
    let job = Fragile::put_with(&product, "foreign", &foreign).await;
    job.fail(&product).await;
    so_many(&product, 3, "delivered").await;
    let heard = slack.hears(3).await;
    let bodies: Vec<_> = heard.iter().map(Heard::json).collect();
    // The second is a message of Slack's already. In which order they arrive nobody promises.
    for expected in [
        json!({ "text": "plain is \"failed\"" }),
        json!({ "blocks": [{ "type": "divider" }] }),
        json!({ "text": "{\"job\":\"foreign\"}" }),
    ] {
        assert!(bodies.contains(&expected), "{expected}: {bodies:?}");
    }
    assert!(
        heard
            .iter()
            .all(|request| request.headers["content-type"] == "application/json")
    );
}

/// A mail server that everybody trusts, or nobody.
fn email(name: &str, mail: &Mail, tls: &str, more: &str) -> String {
    format!(
        "[alerts.targets.{name}]\ntype = \"email\"\nhost = \"localhost\"\nport = {}\ntls = {tls:?}\nuser = {:?}\n\
         from = \"Sandclock <alerts@jobs.example.org>\"\nto = [\"ops@example.org\", \"Ann <ann@example.org>\"]\n{more}\n",
        mail.port,
        Mail::USER,
    )
}

fn is_the_mail_of(alert: &serde_json::Value, mails: &[serde_json::Value]) {
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!(mails[0]["encrypted"], true);
    assert_eq!(mails[0]["user"], Mail::USER);
    assert_eq!(mails[0]["to"].as_array().unwrap().len(), 2);
    let data = mails[0]["data"].as_str().unwrap();
    let text = |member: &str| alert[member].as_str().unwrap();
    let id = format!("Message-ID: <{}@jobs.example.org>", text("id"));
    let subject = format!("Subject: Sandclock: job {}", text("job"));
    let to = "To: ops@example.org, Ann <ann@example.org>";
    for part in [id.as_str(), &subject, to, "Date: "] {
        assert!(data.contains(part), "{part}: {data}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_goes_encrypted_to_all_and_is_known_again() {
    let certificates = Certificates::make();
    let (open, closed) = (
        Mail::start(&certificates, false),
        Mail::start(&certificates, true),
    );
    let trusted = format!("ca_file = {:?}\n", certificates.certificate("authority"));
    let password = format!("password = {:?}", Mail::PASSWORD);
    let never = "policy = { retry = { give_up_after_s = 0 } }";
    let text = email(
        "starttls",
        &open,
        "starttls",
        &(trusted.clone() + &password),
    ) + &email(
        "implicit",
        &closed,
        "implicit",
        &(trusted.clone() + &password),
    ) + &email(
        "stranger",
        &open,
        "starttls",
        &format!("{password}\n{never}"),
    ) + &email(
        "intruder",
        &open,
        "starttls",
        &format!("{trusted}password = \"hunter2\"\n{never}"),
    );
    let config = Config::new(&text);
    let product = config.dev();
    let body = json!({ "content_type": "text/plain", "body": "{{job_id}} läuft nicht.\n.\nEnde" });
    for target in ["starttls", "implicit", "stranger", "intruder"] {
        let mut body = body.clone();
        body["target"] = target.into();
        let job = Fragile::put_with(&product, target, &body).await;
        job.fail(&product).await;
    }
    let all = alerts_are(&product, "all were tried", |all| {
        all.len() == 4 && all.iter().all(|alert| alert["state"] != "pending")
    })
    .await;
    for (mail, alert) in [(&open, &all[0]), (&closed, &all[1])] {
        assert_eq!(alert["state"], "delivered", "{alert}");
        is_the_mail_of(alert, &mail.mails());
    }
    for (alert, word) in [(&all[2], "certificate"), (&all[3], "535")] {
        assert_eq!(alert["state"], "failed");
        let why = alert["last_error"].as_str().unwrap();
        assert!(why.contains(word), "{word}: {why}");
        assert!(!why.contains("hunter2"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_nats_keeps_the_alert_once() {
    let nats = Nats::start("sandclock", "hunter2");
    let target = |name: &str, subject: &str, rest: &str| {
        format!(
            "[alerts.targets.{name}]\ntype = \"nats\"\nservers = [{:?}]\nsubject = {subject:?}\nuser = \"sandclock\"\n\
             timeout_s = 5\n{rest}\n",
            nats.address
        )
    };
    let never = "policy = { retry = { give_up_after_s = 0 } }";
    let text = target("queue", "alerts.sandclock", "password = \"hunter2\"")
        + &target(
            "void",
            "nobody.listens",
            &format!("password = \"hunter2\"\n{never}"),
        )
        + &target(
            "intruder",
            "alerts.x",
            &format!("password = \"wrong-one\"\n{never}"),
        );
    let config = Config::new(&text);
    let product = config.dev();
    let options =
        async_nats::ConnectOptions::with_user_and_password("sandclock".into(), "hunter2".into());
    let client = options.connect(&nats.address).await.unwrap();
    let jetstream = jetstream::new(client);
    let stream = jetstream.create_stream(stream::Config {
        name: "ALERTS".to_owned(),
        subjects: vec!["alerts.>".to_owned()],
        ..stream::Config::default()
    });
    let mut stream = stream.await.unwrap();
    let job = Fragile::put(&product, "job", "queue").await;
    job.fail(&product).await;
    let all = so_many(&product, 1, "delivered").await;
    let id = all[0]["id"].as_str().unwrap();
    // Sent again it is known by its id.
    assert!(product.cli(&["alert", "retry", id]).status.success());
    alerts_are(&product, "it was sent twice", |all| {
        all[0]["tries"] == 2 && all[0]["state"] == "delivered"
    })
    .await;
    assert_eq!(stream.info().await.unwrap().state.messages, 1);
    let consumer = stream.create_consumer(jetstream::consumer::pull::Config::default());
    let mut messages = consumer.await.unwrap().messages().await.unwrap();
    let message = messages.next().await.unwrap().unwrap();
    let headers = message.headers.as_ref().unwrap();
    for name in ["Nats-Msg-Id", "Idempotency-Key"] {
        assert_eq!(headers.get(name).unwrap().as_str(), id);
    }
    let body: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(body["job"], "job");
    for (target, word) in [("void", "no stream"), ("intruder", "authorization")] {
        let job = Fragile::put(&product, target, target).await;
        job.fail(&product).await;
        let mut why = String::new();
        wait_for("it is given up", PATIENCE, async || {
            let all = super::scene::alerts(&product).await;
            let last = all.last().unwrap();
            why = last["last_error"].as_str().unwrap_or_default().to_owned();
            last["target"] == target && last["state"] == "failed"
        })
        .await;
        assert!(why.contains(word) && !why.contains("wrong-one"), "{why}");
    }
}
