//! The live tail for a reader who is cut off: behind the last event that it has, without gap or repeat.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::product::Product;

/// An event: what it is called, its id, and what it says.
type Told = (String, String, Value);

/// The event of these lines; `None` for a comment.
fn event(lines: &str) -> Option<Told> {
    let member = |name: &str| {
        let mut lines = lines.lines();
        lines.find_map(|line| line.strip_prefix(name))
    };
    let data = serde_json::from_str(member("data: ")?).unwrap();
    let of = |name| member(name).unwrap().to_owned();
    Some((of("event: "), of("id: "), data))
}

/// Connects behind this event, takes so many, and is cut off; fewer if the stream ends before.
async fn take(product: &Product, run: &str, last: Option<&str>, most: usize) -> Vec<Told> {
    let mut asked = product.request(Method::GET, &format!("/runs/{run}/stream"));
    if let Some(last) = last {
        asked = asked.header("last-event-id", last);
    }
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let (mut stream, mut text, mut told) = (answer.bytes_stream(), String::new(), Vec::new());
    while told.len() < most {
        let piece = timeout(Duration::from_secs(60), stream.next()).await;
        let Some(piece) = piece.unwrap() else { break };
        text += std::str::from_utf8(&piece.unwrap()).unwrap();
        while let Some((lines, rest)) = text.split_once("\n\n") {
            told.extend(event(lines));
            text = rest.to_owned();
        }
    }
    told.truncate(most);
    told
}

/// What events say, attempt by attempt.
fn output(told: &[Told]) -> Vec<(u64, String)> {
    let mut all: Vec<(u64, String)> = Vec::new();
    for (kind, _, data) in told {
        let new = match kind.as_str() {
            "output" => data["text"].as_str().unwrap().to_owned(),
            "cut" => format!("[{} cut]", data["bytes"]),
            _ => continue,
        };
        let attempt = data["attempt"].as_u64().unwrap();
        match all.last_mut() {
            Some((of, text)) if *of == attempt => text.push_str(&new),
            _ => all.push((attempt, new)),
        }
    }
    all
}

#[tokio::test]
async fn a_reader_who_is_cut_off_goes_on_without_gap_or_repeat() {
    let product = Product::start(&["--no-examples"]);
    // A character comes in two pieces, each with a chunk of its own, and there is a second attempt.
    let command = "for i in 1 2 3; do printf 'caf\\303'; sleep 1.2; printf '\\251 %s\\n' $i; done; \
                   exit $((SANDCLOCK_ATTEMPT < 2))";
    let retry = json!({ "max": 1, "backoff": { "initial_s": 0 } });
    let job = json!({ "command": command, "retry": retry });
    product.put_job("cafe", &job).await;
    let run = product.start_run("cafe").await;
    // Cut off after every event, while it runs.
    let mut told: Vec<Told> = Vec::new();
    while told.last().is_none_or(|(kind, ..)| kind != "end") {
        let last = told.last().map(|(_, id, _)| id.clone());
        told.extend(take(&product, &run, last.as_deref(), 1).await);
    }
    let text = "café 1\ncafé 2\ncafé 3\n".to_owned();
    let whole = [(1, text.clone()), (2, text)];
    assert_eq!(output(&told), whole);
    let (_, end, run_of_end) = told.last().unwrap();
    assert_eq!(run_of_end["state"], "succeeded");
    // In one piece, and from each event on, it is the same now that it is over.
    let once = take(&product, &run, None, usize::MAX).await;
    assert_eq!(output(&once), whole);
    for (at, (_, id, _)) in told.iter().enumerate().take(told.len() - 1) {
        let rest = take(&product, &run, Some(id), usize::MAX).await;
        let both = [told.get(..=at).unwrap(), &rest].concat();
        assert_eq!(output(&both), whole, "behind {id}");
    }
    let path = format!("/runs/{run}/stream");
    for (last, status) in [
        (end.as_str(), StatusCode::NO_CONTENT),
        ("x", StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let asked = product.request(Method::GET, &path);
        let answer = asked.header("last-event-id", last).send().await.unwrap();
        assert_eq!(answer.status(), status, "{last}");
    }
}

#[tokio::test]
async fn what_is_not_stored_is_told_once_to_a_reader_who_is_cut_off() {
    let product = Product::start(&["--no-examples"]);
    let job = json!({
        "command": "for i in $(seq 1 20000); do echo line $i; done",
        "limits": { "output_bytes": 65536 },
    });
    product.put_job("much", &job).await;
    let run = product.run_job("much").await;
    let run = run["id"].as_str().unwrap();
    let whole = take(&product, run, None, usize::MAX).await;
    let cuts = whole.iter().filter(|(kind, ..)| kind == "cut");
    assert_eq!(cuts.count(), 1, "{:?}", output(&whole));
    let mut told: Vec<Told> = Vec::new();
    while told.last().is_none_or(|(kind, ..)| kind != "end") {
        let last = told.last().map(|(_, id, _)| id.clone());
        told.extend(take(&product, run, last.as_deref(), 1).await);
    }
    assert_eq!(output(&told), output(&whole));
}
