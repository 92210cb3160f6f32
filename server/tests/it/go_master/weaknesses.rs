//! Faults of Go masters, by their number, that this server does not have.

use reqwest::Method;

use super::{Answer, FORM, Fleet, ask, escaped, get, post, refusal, save};

const JOB: &str = r#"{"name":"j","command":"true","cronExpr":"@daily"}"#;

/// A schedule that ends every Go worker, at once and at each start.
#[tokio::test]
async fn w9_a_schedule_that_kills_workers_is_refused() {
    let fleet = Fleet::new();
    let (server, mut raw) = (fleet.master(), fleet.raw().await);
    save(&server, JOB);
    for expr in [
        "*/10 22-4 * * *",
        "50-10 * * * *",
        "0 0 1 nov-feb *",
        "0 9 * * 5-2",
        "0 0 30 2 *",
        "0 0 0 1 1 * 2020",
        "* * * *",
        "@midnight-ish",
        "",
    ] {
        for name in ["j", "new"] {
            let job = format!(r#"{{"name":"{name}","command":"true","cronExpr":"{expr}"}}"#);
            let told = refusal(&save(&server, &job));
            assert!(told.starts_with("cronExpr: "), "{expr}: {told}");
            assert!(told.contains(expr), "{expr}: {told}");
        }
    }
    assert_eq!(raw.get("jobs", "new").await, None);
    assert_eq!(raw.get("jobs", "j").await.as_deref(), Some(JOB));
}

/// Any page that somebody looks at could have any command run.
#[tokio::test]
async fn w24_pages_of_other_sites_change_nothing() {
    let fleet = Fleet::new();
    let (server, mut raw) = (fleet.master(), fleet.raw().await);
    let form = format!("job={}", escaped(JOB));
    for from in [
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://cron.example\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\nOrigin: http://cron.example:8070\r\n",
    ] {
        let headers = format!("{FORM}{from}");
        for route in ["save", "delete", "kill", "list", "log"] {
            let request = format!("POST /job/{route}");
            let answer = ask(&server, &request, &headers, form.as_bytes());
            assert_eq!(answer.status, 403, "{from}");
            assert!(refusal(&answer).contains("another site"), "{answer:?}");
        }
        assert_eq!(raw.get("jobs", "j").await, None);
    }
    let own = format!("{FORM}Origin: http://cron.example:8070\r\n");
    let answer = ask(&server, "POST /job/save", &own, form.as_bytes());
    assert_eq!(answer.body, r#"{"errno":0,"msg":"success","data":null}"#);
    assert!(!answer.head.contains("access-control"), "{}", answer.head);
}

#[tokio::test]
async fn w24_unless_opened_the_routes_ask_for_a_token() {
    let fleet = Fleet::new();
    let (server, mut raw) = (fleet.server(), fleet.raw().await);
    let routes = [
        "/job/list",
        "/job/log",
        "/worker/list",
        "/job/save",
        "/job/delete",
        "/job/kill",
    ];
    let form = format!("job={}&name=j", escaped(JOB));
    for route in routes {
        for headers in [
            FORM.to_owned(),
            format!("{FORM}Authorization: Bearer sandclock_no\r\n"),
        ] {
            let answer = ask(&server, &format!("POST {route}"), &headers, form.as_bytes());
            assert_eq!(answer.status, 401, "{route}");
            assert!(
                refusal(&answer).contains("token") || refusal(&answer).contains("Bearer"),
                "{answer:?}"
            );
        }
    }
    assert_eq!(raw.get("jobs", "j").await, None);
    for route in routes {
        let headers = format!("{FORM}Authorization: Bearer {}\r\n", server.token);
        let answer = ask(&server, &format!("POST {route}"), &headers, form.as_bytes());
        assert_eq!(answer.status, 200, "{route}");
        assert!(answer.body.starts_with(r#"{"errno":0,"#), "{answer:?}");
    }
}

/// What a command says, or prints, is markup to a Go master's page.
#[tokio::test]
async fn w25_no_answer_is_a_page() {
    let fleet = Fleet::new();
    let server = fleet.master();
    let script = "<script>alert(1)</script>";
    let job = format!(r#"{{"name":"j","command":"{script}","cronExpr":"@daily"}}"#);
    let answers: Vec<Answer> = vec![
        save(&server, &job),
        save(&server, &format!("{{{script}")),
        save(&server, &job),
        get(&server, "/job/list"),
        post(&server, "/job/kill", &format!("name={}", escaped(script))),
        post(&server, "/job/delete", "name=j"),
        get(&server, "/job/log?name=j"),
        get(&server, "/worker/list"),
    ];
    for answer in answers {
        assert_eq!(answer.status, 200);
        let head = &answer.head;
        assert!(
            head.contains("\r\ncontent-type: text/plain; charset=utf-8\r\n"),
            "{head}"
        );
        assert!(
            head.contains("\r\nx-content-type-options: nosniff\r\n"),
            "{head}"
        );
        assert!(
            head.contains(&format!("\r\ncontent-length: {}\r\n", answer.body.len())),
            "{head}"
        );
        assert!(
            !answer.body.contains(['<', '>', '&', '\n']),
            "{}",
            answer.body
        );
    }
}

/// A Go master's page puts a command into itself as markup and reads it back as text: `sort <in >out` loses `<in `.
/// What is read here, by either way, and saved again is what it was.
#[tokio::test]
async fn w26_a_command_that_is_read_and_saved_again_is_what_it_was() {
    let fleet = Fleet::new();
    let (server, mut raw) = (fleet.master(), fleet.raw().await);
    let command = "sort <in >out && echo '<b>&lt;&amp;\u{2028}\\u003c</b>' \"$A\"\t# 你";
    let job = |schedule: &str| {
        serde_json::json!({ "name": "j", "command": command, "cronExpr": schedule }).to_string()
    };
    save(&server, &job("@daily"));
    for schedule in ["@hourly", "@weekly"] {
        let list: serde_json::Value =
            serde_json::from_str(&get(&server, "/job/list").body).unwrap();
        let mut shown = list["data"][0].clone();
        shown["cronExpr"] = schedule.into();
        save(&server, &shown.to_string());
        assert_eq!(raw.get("jobs", "j").await.unwrap(), job(schedule));
    }
    let shown = server.get("/jobs/j").await;
    assert_eq!(shown["command"], command);
    let patch = serde_json::json!({ "command": shown["command"], "description": "edited" });
    let answer = server.request(Method::PATCH, "/jobs/j").json(&patch);
    let answer = answer.send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
    let stored = raw.get("jobs", "j").await.unwrap();
    let stored: serde_json::Value = serde_json::from_str(&stored).unwrap();
    assert_eq!(stored["command"], command);
}

/// The page needs nothing of others.
#[tokio::test]
async fn w27_the_page_loads_nothing_from_elsewhere() {
    let fleet = Fleet::new();
    let server = fleet.master();
    let page = get(&server, "/");
    assert_eq!(page.status, 200);
    assert!(
        page.head
            .contains("content-security-policy: default-src 'none'"),
        "{}",
        page.head
    );
    for elsewhere in [
        "src=\"http",
        "src=\"//",
        "<script>",
        "href=\"http",
        "href=\"//",
        "@import",
        "url(",
    ] {
        assert!(!page.body.contains(elsewhere), "{elsewhere}: {}", page.body);
    }
}

/// A Go master saves whatever it is sent.
#[tokio::test]
async fn w28_what_cannot_be_a_job_is_refused_by_name() {
    let fleet = Fleet::new();
    let (server, mut raw) = (fleet.master(), fleet.raw().await);
    let long = "x".repeat(140_000);
    let job = |name: &str, command: &str| {
        format!(
            r#"job={}"#,
            escaped(&format!(
                r#"{{"name":"{name}","command":"{command}","cronExpr":"@daily"}}"#
            ))
        )
    };
    let with = |text: &str| format!("job={}", escaped(text));
    let cases = [
        (String::new(), "job: nothing is not accepted"),
        ("job=".to_owned(), "job: nothing is not accepted"),
        ("job=%zz".to_owned(), "invalid URL escape \"%zz\""),
        (
            with("{bad"),
            "job: {bad is not accepted: the value is not JSON",
        ),
        (
            with(r#"{"name":5}"#),
            "job: {\"name\":5} is not accepted: member name is a number",
        ),
        (with("[]"), "job: [] is not accepted: the value is a list"),
        (with("{}"), "name: \"\" is not accepted"),
        (job("", "true"), "name: \"\" is not accepted"),
        (job("../x", "true"), "name: \"../x\" is not accepted"),
        (job("a b", "true"), "name: \"a b\" is not accepted"),
        (job("j", ""), "command: \"\" is not accepted"),
        (job("j", "  "), "command: \"  \" is not accepted"),
        (job("j", "a\\u0000b"), "command: \"a\\0b\" is not accepted"),
        (job("j", &long), "command: 140000 bytes is not accepted"),
        (
            with(r#"{"name":"j","command":"true","cronExpr":"@daily","sandclock":{}}"#),
            "sandclock: given is not accepted",
        ),
    ];
    for (form, want) in cases {
        let answer = post(&server, "/job/save", &form);
        assert_eq!(answer.status, 200);
        let told = refusal(&answer);
        assert!(told.starts_with(want), "{told}");
    }
    let large = post(
        &server,
        "/job/save",
        &format!("job={}", "x".repeat(2 << 20)),
    );
    assert_eq!(refusal(&large), "a body may have 1048576 bytes at most");
    for name in ["", "j", "a b", "../x"] {
        assert_eq!(raw.get("jobs", name).await, None, "{name}");
    }
    let jobs = server.request(Method::GET, "/jobs").send().await.unwrap();
    assert!(jobs.status().is_success());
}
