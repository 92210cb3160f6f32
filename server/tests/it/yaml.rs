//! YAML on the command line: files of jobs, and what commands print.

use serde_json::json;

use crate::product::{Product, told};

const JOBS: &str = "\
# Jobs of one team.
jobs:
  - name: report/disk
    schedule: 30 2 * * mon-fri
    time_zone: Europe/Berlin
    command: |
      df -h /
      echo \"done: $?\"
    env: &env
      COUNTRY: NO
      VERSION: \"1.10\"
    timeout_s: 60
    labels: {team: ops}
  - name: report/memory
    schedule: '*/5 * * * *'
    argv: [free, -m]
    enabled: false
    env: *env
";

fn write(product: &Product, name: &str, text: &str) -> String {
    let path = product.home().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_applied_from_yaml() {
    let product = Product::start(&["--no-examples"]);
    for ending in ["yaml", "yml"] {
        let file = write(&product, &format!("jobs.{ending}"), JOBS);
        let applied = product.cli(&["job", "apply", "-f", &file]);
        assert!(applied.status.success(), "{}", told(&applied));
    }
    let disk = product.get("/jobs/report%2Fdisk").await;
    assert_eq!(disk["command"], "df -h /\necho \"done: $?\"\n");
    assert_eq!(disk["timeout_s"], 60.0);
    let memory = product.get("/jobs/report%2Fmemory").await;
    assert_eq!(memory["argv"], json!(["free", "-m"]));
    assert_eq!(memory["enabled"], false);
    let env = json!({ "COUNTRY": "NO", "VERSION": "1.10" });
    assert_eq!((&disk["env"], &memory["env"]), (&env, &env));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_yaml_has_wrong_is_told_with_file_line_and_field() {
    let product = Product::start(&["--no-examples"]);
    for (text, expected) in [
        ("name: a\ncommand: x\ntimeout_s: soon\n", "line 3: job a: "),
        (
            "name: a\ncommand: x\nenabled: no\n",
            "enabled: \"no\" is not accepted: true or false",
        ),
        (
            "name: a\ncommand: x\numask: 022\n",
            "umask: 22 is not accepted: text",
        ),
        ("name: a\nschedule: @daily\n", "line 2 is not YAML: "),
        (
            "jobs:\n  - name: a\n    command: x\n    odd: 1\n",
            "line 4: job a: ",
        ),
        (
            "jobs:\n  - command: x\n",
            "line 2: jobs[0].name: nothing is not accepted: every job in a file has a name",
        ),
        ("", "nothing is not accepted: one YAML document is"),
    ] {
        let file = write(&product, "wrong.yaml", text);
        let refused = product.cli(&["job", "apply", "-f", &file]);
        assert_eq!(refused.status.code(), Some(1));
        let said = told(&refused);
        assert!(
            said.contains(&file) && said.contains(expected),
            "{expected}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_as_yaml_can_be_applied() {
    let product = Product::start(&["--no-examples"]);
    let awkward = json!({
        "command": "printf '%s\\n' \"$A\"\n# ü\t\u{7f}\n", "schedule": "*/5 * * * *",
        "env": { "A": "no", "B": "1e3", "C": " x: y # z ", "D": "", "E": "~", "Y": "2026-01-01" },
        "labels": { "on": "off", "0": "null", "a b": "12:30" }, "description": "- one\n- two", "owner": "@ann",
        "hooks": [{ "plugin": "redact-secrets", "config": { "words": ["true", "null", "0x10"] } }],
        "retry": { "max": 2, "on": { "exit_codes": [3, 4] } },
    });
    product.put_job("awkward", &awkward).await;
    let before = product.get("/jobs/awkward").await;
    let printed = product.cli(&["job", "get", "awkward", "--output", "yaml"]);
    let text = String::from_utf8(printed.stdout).unwrap();
    assert!(text.starts_with("name: \"awkward\"\n"), "{text}");
    product
        .put_job("awkward", &json!({ "command": "true" }))
        .await;
    let file = write(&product, "awkward.yaml", &text);
    let applied = product.cli(&["job", "apply", "-f", &file]);
    assert!(applied.status.success(), "{}\n{text}", told(&applied));
    let mut after = product.get("/jobs/awkward").await;
    after["version"] = before["version"].clone();
    after["next"] = before["next"].clone();
    assert_eq!(after, before);

    let listed = product.cli(&["job", "ls", "--output", "yaml"]);
    let text = String::from_utf8(listed.stdout).unwrap();
    assert!(
        text.starts_with("items:\n  - name: \"awkward\"\n"),
        "{text}"
    );
    assert!(text.ends_with("\nnext: null\n"), "{text}");
}
