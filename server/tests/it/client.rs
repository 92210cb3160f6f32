//! What the client commands say: files of jobs, servers that are not there, output on a terminal.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as a user does"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::product::Product;

fn told(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn apply(product: &Product, name: &str, text: &str) -> Output {
    let file = product.home().join(name);
    std::fs::write(&file, text).unwrap();
    product.cli(&["job", "apply", "-f", file.to_str().unwrap()])
}

#[tokio::test]
async fn a_file_is_refused_at_its_own_line() {
    let product = Product::start(&["--no-examples"]);
    let cases = [
        (
            "a.toml",
            "name = \"a\"\ncommand = \"true\"\n\n[retry]\nmax = \"often\"\n",
            "a.toml, line 5: job a: retry.max: \"often\" is not accepted: a whole number",
        ),
        (
            "b.toml",
            "[[jobs]]\nname = \"b\"\ncommand = \"true\"\n[[jobs]]\nname = \"c\"\nargv = []\n",
            "b.toml, line 6: job c: argv: ",
        ),
        (
            "c.toml",
            "[[jobs]]\ncommand = \"true\"\n",
            "c.toml, line 1: jobs[0].name: nothing is not accepted: every job",
        ),
        (
            "d.toml",
            "jobs = []\nprune = true\n",
            "d.toml, line 2: prune: true is not accepted: only 'jobs'",
        ),
        (
            "e.toml",
            "name = \n",
            "e.toml: (the document): the text is not accepted: line 1 is not TOML: ",
        ),
        (
            "f.json",
            "{\"name\": \"f\",\n \"name\": \"g\"}",
            "\"name\" is given twice at line 2",
        ),
        (
            "g.toml",
            "[[jobs]]\nname = \"g\"\ncommand = \"true\"\n[[jobs]]\nname = \"g\"\ncommand = \"false\"\n",
            "g.toml, line 5: jobs[1].name: g is not accepted: each name once; jobs[0] in line 2 has it, too",
        ),
        (
            "h.txt",
            "name = \"h\"\n",
            "h.txt is read as JSON, because its name does not end in .toml, .yaml or .yml: (the document): ",
        ),
    ];
    for (name, text, expected) in cases {
        let said = told(&apply(&product, name, text));
        assert!(said.contains(expected), "{said}");
    }
    let saved = product.get("/jobs").await["items"].take();
    let names: Vec<_> = saved
        .as_array()
        .unwrap()
        .iter()
        .map(|job| &job["name"])
        .collect();
    assert!(names.is_empty(), "{names:?} of files that are refused");
    let none = apply(&product, "i.json", "{\"jobs\": []}");
    assert!(none.status.success(), "{none:?}");
    let said = crate::product::told(&none);
    assert!(said.contains("i.json holds no jobs\n"), "{said}");
}

#[tokio::test]
async fn what_get_shows_can_be_applied() {
    let product = Product::start(&["--no-examples"]);
    let job = json!({ "command": "true", "schedule": "@daily" });
    product.put_job("a", &job).await;
    let shown = product.cli(&["job", "get", "a"]).stdout;
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandclock"));
    let mut process = command
        .args(["job", "apply", "-f", "-"])
        .env("SANDCLOCK_URL", &product.url)
        .env("SANDCLOCK_TOKEN", &product.token)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(&shown).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = crate::product::told(&output);
    assert!(said.ends_with("1 unchanged, 0 deleted\n"), "{said}");
}

fn job_ls(url: &str, token: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandclock"));
    let command = command.args(["job", "ls", "--url", url, "--token", token]);
    told(&command.output().unwrap())
}

/// Answers every request with these bytes.
pub(crate) fn stranger(answer: impl Into<String>) -> String {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let mut request = [0; 4096];
            let _ = client.read(&mut request);
            let _ = client.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_told_with_the_cause_and_the_remedy() {
    let product = Product::start(&["--no-examples"]);
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let page = "HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
    let fine = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
    let tls = product.url.replace("http:", "https:");
    let below = format!("{}/scheduler/", product.url);
    let cases = [
        (closed, "connection refused", "sandclock dev"),
        (
            "http://nobody.invalid:8070".to_owned(),
            "the host name nobody.invalid is not known",
            "SANDCLOCK_URL",
        ),
        (tls, "does not speak TLS", "http://"),
        (
            stranger("\u{15}\u{3}\u{3}\0\u{2}\u{2}F"),
            "does not speak plain HTTP",
            "https://",
        ),
        (stranger(page), "404 Not Found", "check the address"),
        (stranger(fine), "not as Sandclock does", "check the address"),
        (below, "404 Not Found for its API", "check the address"),
        (
            "localhost:8070".to_owned(),
            "is no address",
            "http://127.0.0.1:8070",
        ),
    ];
    let unknown = job_ls(&product.url, "sandclock_0");
    for part in [&product.url, "not known here", "SANDCLOCK_TOKEN"] {
        assert!(unknown.contains(part), "{part:?} is not in {unknown}");
    }
    for (url, cause, remedy) in cases {
        let said = job_ls(&url, &product.token);
        for part in [url.trim_end_matches('/'), cause, remedy] {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
    }
}

#[tokio::test]
async fn a_terminal_obeys_no_job_and_a_pipe_gets_every_byte() {
    let product = Product::start(&["--no-examples"]);
    let job = json!({ "command": r"printf '\033]0;owned\007a\xc2\x9b2J\xff\n'" });
    product.put_job("rogue", &job).await;
    let run = product.run_job("rogue").await;
    let id = run["id"].as_str().unwrap();
    for args in [&["run", "logs", id][..], &["run", "logs", "-f", id]] {
        let plain = product.cli(args).stdout;
        assert_eq!(plain, b"\x1b]0;owned\x07a\xc2\x9b2J\xff\n", "{args:?}");
        let shown = product.on_a_terminal(args);
        assert_eq!(shown, "^[]0;owned^Ga<U+009B>2J\u{fffd}\r\n", "{args:?}");
    }
}

/// One line each, within 80 columns, and what is cut says so; a pipe gets everything.
#[tokio::test]
async fn tables_fit_a_terminal_and_are_whole_in_a_pipe() {
    let product = Product::start(&["--no-examples"]);
    let name = format!("reports/{}/yearly", "finance-".repeat(10));
    let job =
        json!({ "command": "true", "schedule": "7,13,21,34,48 2-5,9-17/2 1,15 jan-jun mon-fri" });
    product.put_job(&name.replace('/', "%2F"), &job).await;
    let run = product.run_job(&name.replace('/', "%2F")).await;
    let id = run["id"].as_str().unwrap();
    for (args, whole) in [(["job", "ls"], "reports/finance-"), (["run", "ls"], id)] {
        let shown = product.on_a_terminal(&args);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines.len(), 2, "{shown}");
        assert!(
            lines.iter().all(|line| line.chars().count() <= 80),
            "{shown}"
        );
        assert!(
            lines[1].starts_with(whole) && lines[1].contains('…'),
            "{shown}"
        );
        let piped = String::from_utf8(product.cli(&args).stdout).unwrap();
        assert!(piped.contains(&name) && !piped.contains('…'), "{piped}");
    }
    let meaning = product
        .get(&format!("/jobs/{}", name.replace('/', "%2F")))
        .await;
    let piped = String::from_utf8(product.cli(&["job", "ls"]).stdout).unwrap();
    assert!(
        piped.contains(meaning["schedule_text"].as_str().unwrap()),
        "{piped}"
    );
}
