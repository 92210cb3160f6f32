//! The trail as people read it: pages, filters, the command, and what a crash leaves.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use sandclock_backend_embedded::{Embedded, EmbeddedConfig};
use sandclock_core::backend::{AuditEntry, AuditOutcome};
use sandclock_core::time::Clock as _;
use sandclock_server::clock::SystemClock;
use serde_json::{Value, json};

use super::entries;
use crate::product::{Product, told, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// A product on which one job was saved, changed and deleted, and then another was saved.
async fn changed() -> Product {
    let product = Product::start(&["--no-examples"]);
    for command in ["true", "false"] {
        let job = json!({ "command": command });
        product.put_job("reports", &job).await;
    }
    let gone = product.request(Method::DELETE, "/jobs/reports");
    assert_eq!(gone.send().await.unwrap().status(), 204);
    let job = json!({ "command": "true" });
    product.put_job("billing", &job).await;
    product
}

/// The action and the subject of each.
pub(super) fn named(entries: &[Value]) -> Vec<(&str, &str)> {
    let pair = |entry| (word(entry, "action"), word(entry, "subject"));
    entries.iter().map(pair).collect()
}

fn word<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry[name].as_str().unwrap()
}

#[tokio::test]
async fn the_trail_is_read_in_pages_and_by_what_one_looks_for() {
    let product = changed().await;
    let all = entries(&product, "").await;
    let expected = [
        ("job.put", "billing"),
        ("job.delete", "reports"),
        ("job.put", "reports"),
        ("job.put", "reports"),
    ];
    assert_eq!(named(&all), expected);
    assert_eq!(all[2]["before"]["command"], "true");
    assert_eq!(all[2]["after"]["command"], "false");
    assert_eq!(all[1]["after"], Value::Null);

    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let mut page = product.get(&format!("/audit?limit=1{cursor}")).await;
        paged.append(page["items"].as_array_mut().unwrap());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, all);

    let at = all[1]["at"].as_str().unwrap();
    for (query, which) in [
        ("subject=reports".to_owned(), &all[1..]),
        ("action=job.delete".to_owned(), &all[1..2]),
        (
            "who=admin&action=job.put&subject=billing".to_owned(),
            &all[..1],
        ),
        ("who=nobody".to_owned(), &all[..0]),
        (format!("since={at}"), &all[..2]),
        (format!("until={at}"), &all[2..]),
    ] {
        assert_eq!(entries(&product, &query).await, which, "{query}");
    }
    for wrong in ["since=yesterday", "limit=0", "cursor=x", "no=such"] {
        let path = format!("/audit?{wrong}");
        let refused = product.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(
            refused.status(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn the_command_lists_the_trail() {
    let product = changed().await;
    let listed = told(&product.cli(&["audit", "ls", "--subject", "reports", "-n", "2"]));
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!(lines.len(), 3, "{listed}");
    for (line, words) in lines.iter().zip([
        ["AT", "WHO", "ACTION", "SUBJECT", "OUTCOME", "FROM"],
        ["Z", "admin", "job.delete", "reports", "done", "127.0.0.1"],
        ["Z", "admin", "job.put", "reports", "done", "127.0.0.1"],
    ]) {
        assert!(words.iter().all(|word| line.contains(word)), "{listed}");
    }
    let json = product.cli(&["audit", "ls", "--action", "job.delete", "--output", "json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["items"][0]["before"]["command"], "false");

    let long = "a-job-whose-name-is-as-long-as-those-of-people-who-say-everything-in-them/x";
    let path = long.replace('/', "%2F");
    product.put_job(&path, &json!({ "command": "true" })).await;
    let shown = product.on_a_terminal(&["audit", "ls"]);
    for line in shown.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(shown.contains("job.put"), "{shown}");
}

/// What is older than `retention.audit_days`, which is more than a year unless set.
#[tokio::test]
async fn old_entries_go() {
    const DAY: Duration = Duration::from_secs(86_400);
    let mut product = changed().await;
    let kept = entries(&product, "").await;
    product.stop().await;
    let old = |days: u32, id: &str| AuditEntry {
        id: id.to_owned(),
        at: SystemClock.now().minus(DAY * days),
        who: "ann".to_owned(),
        token: None,
        from: String::new(),
        action: "job.put".to_owned(),
        subject: "old".to_owned(),
        outcome: AuditOutcome::Done,
        status: Some(200),
        asked: None,
        before: None,
        after: None,
    };
    let path = product.data().join("sandclock.db");
    let store = Embedded::open(EmbeddedConfig { path }).unwrap();
    let audit = store.records().audit;
    audit.put(&old(401, "too-old")).await.unwrap();
    audit.put(&old(399, "old-enough")).await.unwrap();
    drop((audit, store));
    let product = product.restart_after_kill(&["--no-examples"]);
    let mut left = Vec::new();
    wait_for("one is gone", PATIENCE, async || {
        left = entries(&product, "").await;
        left.len() == kept.len() + 1
    })
    .await;
    assert_eq!(left[kept.len()]["id"], "old-enough");
    assert_eq!(left[..kept.len()], kept);
}

/// A process that ends in the middle of a change leaves what it had begun.
#[tokio::test]
async fn a_crash_in_the_middle_leaves_what_had_begun() {
    let product = Product::start(&["--no-examples"]);
    let address = product.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    // The handler waits for the module to its end.
    let head = format!(
        "PUT /api/v1/plugins/late HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 1000\r\n\r\n",
        product.token
    );
    stream.write_all(head.as_bytes()).unwrap();
    let from = stream.local_addr().unwrap().ip().to_string();
    wait_for("it has begun", PATIENCE, async || {
        !entries(&product, "subject=late").await.is_empty()
    })
    .await;
    let product = product.restart_after_kill(&["--no-examples"]);
    let left = entries(&product, "subject=late").await;
    assert_eq!(left.len(), 1);
    let entry = &left[0];
    assert_eq!(
        (&entry["action"], &entry["outcome"], &entry["status"]),
        (&json!("plugin.push"), &json!("begun"), &Value::Null)
    );
    assert_eq!(entry["from"], from.as_str());
}
