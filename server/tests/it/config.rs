//! `sandclock config check` and `show`: all that is wrong with a configuration, and what counts of it.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as an operator does"
)]

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::product::PROGRAM;

/// A folder with a configuration, and the commands about it.
struct Written {
    _folder: TempDir,
    file: PathBuf,
}

impl Written {
    fn new(name: &str, text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        Self {
            _folder: folder,
            file,
        }
    }

    fn run(&self, args: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.arg("config").args(args).arg("--config");
        command.arg(&self.file).envs(environment.iter().copied());
        command.output().unwrap()
    }

    fn place(&self, line: u32) -> String {
        format!("{}, line {line}: ", self.file.display())
    }
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn all_faults_are_told_with_their_places() {
    let text = "listen = \"everywhere\"\nbehind_prox = true\n[worker]\nmax_concurrent_runs = 0\nspool_max_bytes = 3\n\
                [coordination]\ntype = \"etcd\"\nendpoints = \"etcd-1\"\n[run_log]\ntype = \"mongodb\"\nuri = 7\n\
                [alerts.targets.default]\ntype = \"pigeon\"\n";
    let written = Written::new("sandclock.toml", text);
    let wrong = [
        ("SANDCLOCK__RETENTION__RUNS_DAYS", "soon"),
        ("SANDCLOCK__API__BURST", "0"),
    ];
    let checked = written.run(&["check"], &wrong);
    assert_eq!(checked.status.code(), Some(1));
    let told = out(&checked);
    for (line, expected) in [
        (1, "listen: \"everywhere\" is not accepted: an address"),
        (
            2,
            "behind_prox: true is not accepted: there is no such field",
        ),
        (
            4,
            "worker.max_concurrent_runs: 0 is not accepted: a number from 1",
        ),
        (
            5,
            "worker.spool_max_bytes: 3 is not accepted: a number of bytes",
        ),
        (
            8,
            "coordination.endpoints: \"etcd-1\" is not accepted: a list",
        ),
        (11, "run_log.uri: (not shown) is not accepted: text"),
        (
            13,
            "alerts.targets.default.type: \"pigeon\" is not accepted: known are",
        ),
    ] {
        let expected = written.place(line) + expected;
        assert!(told.contains(&expected), "{expected}\n{told}");
    }
    for expected in [
        "environment variable SANDCLOCK__RETENTION__RUNS_DAYS: retention.runs_days: \"soon\" is not accepted",
        "environment variable SANDCLOCK__API__BURST: api.burst: 0 is not accepted: a number from 1",
    ] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
    assert_eq!(told.lines().count(), 9, "{told}");
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(said.contains("has 9 faults"), "{said}");

    let told = written.run(&["check", "--output", "json"], &wrong);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["good"], false);
    let first = json!({
        "line": 1, "set_by": null, "field": "listen", "value": "\"everywhere\"",
        "accepted": "an address and a port, such as 127.0.0.1:8070",
    });
    let faults = told["faults"].as_array().unwrap();
    assert!(faults.contains(&first), "{faults:?}");
}

/// What is missing is told, and nothing that only its lack has made.
#[test]
fn no_fault_is_told_that_another_one_has_made() {
    let text =
        "[coordination]\ntype = \"etcd\"\nendpoints = [\"e:1\"]\n[run_log]\ntype = \"mongodb\"\n";
    let written = Written::new("sandclock.toml", text);
    let told = out(&written.run(&["check"], &[]));
    let expected =
        written.place(4) + "run_log.uri: (not shown) is not accepted: uri must be given\n";
    assert_eq!(told, expected);
    let written = Written::new("sandclock.toml", "listen = \"0.0.0.0:1\"\ntls.key = 3\n");
    let told = out(&written.run(&["check"], &[]));
    assert_eq!(
        told,
        written.place(2) + "tls.key: 3 is not accepted: text\n"
    );
    let written = Written::new("sandclock.toml", "a = \n");
    let told = out(&written.run(&["check"], &[]));
    assert!(told.contains("line 1 is not TOML"), "{told}");
}

#[test]
fn a_good_configuration_is_said_to_fit_a_role() {
    let check = |written: &Written, args: &[&str]| {
        let checked = written.run(&[&["check"], args].concat(), &[]);
        (checked.status.code(), out(&checked))
    };
    let (code, told) = check(&Written::new("a.toml", ""), &[]);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("a.toml is good, for sandclock dev\n"),
        "{told}"
    );
    assert!(
        told.contains("not for sandclock server: coordination.type"),
        "{told}"
    );

    let fleet = "[coordination]\ntype = \"etcd\"\nendpoints = [\"e:1\"]\n[run_log]\ntype = \"mongodb\"\nuri = \"mongodb://m\"\n";
    let (code, told) = check(&Written::new("a.toml", fleet), &[]);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("good, for sandclock server and sandclock worker\n"),
        "{told}"
    );

    let missing = fleet.replace(
        "[run_log]",
        "user = \"ann\"\npassword_file = \"/no/such/file\"\n[run_log]",
    );
    let (code, told) = check(&Written::new("a.toml", &missing), &[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("coordination.password_file /no/such/file"),
        "{told}"
    );

    let master = json!({ "apiPort": 8070, "etcdEndpoints": ["e:1"], "mongodbUri": "mongodb://m" });
    let master = Written::new("master.json", &master.to_string());
    let (code, told) = check(&master, &[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("not for sandclock server: a Go master serves plain HTTP"),
        "{told}"
    );
    let (code, told) = check(&master, &["--go-open"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("good, for sandclock server\n"), "{told}");
}

#[test]
fn what_counts_is_shown_with_its_origin_and_without_secrets() {
    let text = "default_time_zone = \"Asia/Tokyo\"\n[worker]\nlabels = { \"a.b\" = \"c\" }\nmax_concurrent_runs = 3\n\
                [worker.secrets.API]\nfile = \"/run/api\"\n\
                [coordination]\ntype = \"etcd\"\nendpoints = [\"e:1\"]\nuser = \"ann\"\npassword = \"hunter2\"\n\
                [run_log]\ntype = \"mongodb\"\nuri = \"mongodb://ann:hunter2@m\"\n\
                [alerts.targets.default]\ntype = \"webhook\"\nurl = \"https://hunter2/\"\nheaders = { Auth = \"hunter2\" }\n\
                policy.quiet = { from = \"22:00\", to = \"06:30\", zone = \"UTC\", days = [\"mon\"] }\n\
                [oidc]\nissuer = \"https://id.example.org\"\nclient_id = \"s\"\nclient_secret = \"hunter2\"\n\
                public_url = \"https://cron.example.org\"\nrules = [{ group = \"ops\", role = \"admin\" }]\n\
                [telemetry]\notlp_endpoint = \"http://c:4318\"\nheaders = { Authorization = \"Bearer hunter2\" }\n\
                [log]\nformat = \"json\"\n";
    let written = Written::new("sandclock.toml", text);
    let environment = [
        ("SANDCLOCK__WORKER__MAX_CONCURRENT_RUNS", "9"),
        ("SANDCLOCK__WORKER__NAME", "w-7"),
    ];
    let shown = written.run(&["show", "--listen", "127.0.0.1:1"], &environment);
    let told = out(&shown);
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    let file = written.file.display();
    for expected in [
        "listen = \"127.0.0.1:1\"  # --listen\n".to_owned(),
        format!("default_time_zone = \"Asia/Tokyo\"  # {file}:1\n"),
        "name = \"w-7\"  # SANDCLOCK__WORKER__NAME\n".to_owned(),
        "max_concurrent_runs = 9  # SANDCLOCK__WORKER__MAX_CONCURRENT_RUNS\n".to_owned(),
        format!("[worker.labels]\n\"a.b\" = \"c\"  # {file}:3\n"),
        format!("[worker.secrets.API]\nfile = \"/run/api\"  # {file}:6\n"),
        format!("password = \"(redacted)\"  # {file}:11\n"),
        "drain_s = 30  # default\n".to_owned(),
        format!("[alerts.targets.default.headers]\nAuth = \"(redacted)\"  # {file}:18\n"),
        "from = \"22:00\"".to_owned(),
        "to = \"06:30\"".to_owned(),
        "rules = [{ group = \"ops\", prefixes = [], role = \"admin\" }]".to_owned(),
        "# workdir is not set\n".to_owned(),
        format!("otlp_endpoint = \"http://c:4318\"  # {file}:27\n"),
        format!("[telemetry.headers]\nAuthorization = \"(redacted)\"  # {file}:28\n"),
        format!("[log]\nformat = \"json\"  # {file}:30\n"),
    ] {
        assert!(told.contains(&expected), "{expected}\n{told}");
    }
    assert!(!told.contains("hunter2"), "{told}");

    let document = written.run(&["show", "--output", "json"], &environment);
    assert!(!out(&document).contains("hunter2"));
    let document: Value = serde_json::from_slice(&document.stdout).unwrap();
    assert_eq!(document["config"]["worker"]["max_concurrent_runs"], 9);
    assert_eq!(
        document["origins"]["coordination.endpoints"],
        json!({ "from": "file", "file": file.to_string(), "line": 9 })
    );
}

/// What is shown can be used as it is, where nothing is redacted, and means the same.
#[test]
fn what_is_shown_is_a_configuration() {
    let written = Written::new("a.toml", "[plugins.breakers.pager]\nfailures = 3\n");
    let document = |written: &Written| {
        let shown = written.run(&["show", "--output", "json"], &[]);
        let mut document: Value = serde_json::from_slice(&shown.stdout).unwrap();
        document["config"].take()
    };
    let again = Written::new("b.toml", &out(&written.run(&["show"], &[])));
    assert_eq!(document(&again), document(&written));
}
