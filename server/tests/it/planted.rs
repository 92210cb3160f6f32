//! Secrets are planted in a running fleet, printed, failed with and told of; then everything that the fleet has written,
//! and everything that it answers, is searched for them.
#![expect(
    clippy::disallowed_methods,
    reason = "a test looks at processes from outside"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::alerts::receiver::Receiver;
use crate::openapi::operations;
use crate::product::{Product, told, wait_for};
use crate::secured::{PASSWORD, Scene};
use crate::worker::Worker;

const PATIENCE: Duration = Duration::from_secs(60);

/// What the jobs print that is no secret: who does not find this does not search.
const CONTROL: &str = "control-4f1d9a-is-no-secret";

/// The key that webhooks are signed with.
const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Values by what plants them. Those of `env-…` stand in the workers' environment, because the operator has put them
/// there.
const PLANTED: [(&str, &str); 9] = [
    ("file-of-a-job", "planted-PfW2!kq \"quoted\" & <x>"),
    ("env-of-a-job", "planted-EwV7mR/tz+3=="),
    (
        "file-of-a-worker",
        "planted-WxT4hB9s\nsecond-line-8c1e\nthird-line-0fd2",
    ),
    ("env-of-a-worker", "planted-Kd83nYcU$HOME"),
    ("store", "planted-Zt6LpQ0v'single'"),
    ("plugin", "planted-Jm5Rk2Xe"),
    ("header", "planted-Hb1Cw9Ua"),
    ("signing", SIGNING),
    ("password", PASSWORD),
];

fn planted(name: &str) -> &'static str {
    let found = PLANTED.iter().find(|(known, _)| *known == name);
    found.unwrap().1
}

/// What a search finds: the forms in which values are searched for, with what planted them.
struct Search(Vec<(String, Vec<u8>)>);

impl Search {
    fn of(secrets: &BTreeMap<String, String>) -> Self {
        let mut needles = Vec::new();
        for (name, value) in secrets {
            let bytes = value.as_bytes();
            let json = json!(value).to_string();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let mut forms = vec![
                value.clone(),
                json.trim_matches('"').to_owned(),
                STANDARD_NO_PAD.encode(bytes),
                hex,
                percent_encode(bytes, NON_ALPHANUMERIC).to_string(),
            ];
            forms.extend(value.lines().map(str::to_owned));
            forms.retain(|form| form.len() >= 8);
            needles.extend(
                forms
                    .into_iter()
                    .map(|form| (name.clone(), form.into_bytes())),
            );
        }
        Self(needles)
    }

    /// What planted the values that these bytes hold.
    fn all_found_in(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let holds = |needle: &[u8]| memchr::memmem::find(bytes, needle).is_some();
        let found = self.0.iter().filter(|(_, needle)| holds(needle));
        found.map(|(name, _)| name.as_str()).collect()
    }

    /// What planted a value that these bytes hold.
    fn found_in(&self, bytes: &[u8]) -> Option<&str> {
        let holds = |needle: &[u8]| memchr::memmem::find(bytes, needle).is_some();
        let mut needles = self.0.iter();
        needles
            .find(|(_, needle)| holds(needle))
            .map(|(name, _)| name.as_str())
    }
}

/// The files that hold what operators planted, and what the fleet is told of them.
struct Garden {
    folder: TempDir,
    hook: Receiver,
}

impl Garden {
    async fn plant() -> Self {
        let garden = Self {
            folder: TempDir::new().unwrap(),
            hook: Receiver::start().await,
        };
        for (name, value) in PLANTED {
            garden.write(name, &format!("{value}\n"));
        }
        garden
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The sections of a configuration, behind those of the stores.
    fn toml(&self) -> String {
        let path = |name: &str| self.path(name).display().to_string();
        let (url, header) = (self.hook.url(), planted("header"));
        format!(
            "worker.secrets_key = {key:?}\nworker.pass_env = []\n\
             [worker.secrets]\nof-file = {{ file = {file:?} }}\nof-env = {{ env = \"OF_ENV\" }}\n\
             [plugins.secrets.token]\nfile = {plugin:?}\n\
             [plugins.http.oncall]\nurl = \"https://oncall.example.org\"\n\
             headers = {{ authorization = \"Bearer {{{{secret:token}}}}\" }}\n\
             [alerts.targets.hook]\ntype = \"webhook\"\nurl = {url:?}\nsecret_file = {signing:?}\n\
             headers = {{ Authorization = \"Bearer {header}\" }}\n",
            key = path("key"),
            file = path("file-of-a-worker"),
            plugin = path("plugin"),
            signing = path("signing"),
        )
    }
}

/// A running fleet, and what was planted in it.
struct Fleet {
    scene: Scene,
    garden: Garden,
    servers: Vec<Product>,
    workers: Vec<Worker>,
    secrets: BTreeMap<String, String>,
    /// What changes, from before the first run on.
    changes: Mutex<Response>,
}

impl Fleet {
    /// With this beside all else in the workers' environment.
    async fn start(more: &[(&'static str, &'static str)]) -> Self {
        let scene = Scene::new().await;
        let garden = Garden::plant().await;
        let key = garden.path("key").display().to_string();
        let config = scene.toml(&[]) + &garden.toml();
        // The key must be there before a worker starts.
        let keygen = std::process::Command::new(crate::product::PROGRAM);
        let made = { keygen }
            .args(["secret", "keygen", &key])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", told(&made));
        let trace = ("SANDCLOCK_LOG", "trace");
        let servers: Vec<_> = (0..2)
            .map(|_| Product::server_with(&config, &[trace]))
            .collect();
        let of_jobs = [
            trace,
            ("OF_ENV", planted("env-of-a-worker")),
            ("OF_A_JOB", planted("env-of-a-job")),
        ];
        let changes = servers[1].request(Method::GET, "/events").send();
        let changes = Mutex::new(changes.await.unwrap());
        let variables = [&of_jobs, more].concat();
        let start = |name| Worker::start_on_with(name, &config, &variables);
        let workers = ["w1", "w2"].map(start).into();
        let set = servers[0].cli_told(
            &["secret", "set", "of-store", "--key", &key],
            planted("store"),
        );
        assert!(set.status.success(), "{}", told(&set));
        let mut secrets: BTreeMap<_, _> = PLANTED
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        for (at, server) in servers.iter().enumerate() {
            // The id stands in front, and is no secret.
            let secret = server.token.rsplit('_').next().unwrap();
            secrets.insert(format!("token {at}"), secret.to_owned());
        }
        let key = std::fs::read_to_string(&key).unwrap();
        let key = key.trim().split_once(':').unwrap().1;
        secrets.insert("key".to_owned(), key.to_owned());
        Self {
            scene,
            garden,
            servers,
            workers,
            secrets,
            changes,
        }
    }

    /// Where a job finds what was planted for jobs.
    fn sources(&self) -> Value {
        json!({
            "A": { "file": self.garden.path("file-of-a-job") },
            "B": { "env": "OF_A_JOB" },
            "C": { "name": "of-file" },
            "D": { "name": "of-env" },
            "E": { "name": "of-store" },
        })
    }

    /// A job that shows what it has in every way that is not meant to hide it, and fails.
    fn loud(&self) -> Value {
        let each = "for v in \"$A\" \"$B\" \"$C\" \"$D\" \"$E\"; do\n\
                    echo \"$v\"; echo \"$v\" >&2\n\
                    printf %s \"${v:0:9}\"; sleep 0.2; printf '%s\\n' \"${v:9}\"\n\
                    printf %s \"$v\" | base64 -w0; echo; printf %s \"$v\" | base64 -w 20\n\
                    printf %s \"$v\" | od -An -tx1 -w4096 -v | tr -d ' '; echo\n\
                    done";
        let command = format!("echo {CONTROL}\n{each}\nset -x\n: \"$E\"\nexit 3");
        json!({
            "command": command,
            "description": CONTROL,
            "output": "split",
            "secrets": self.sources(),
            "hooks": [{ "plugin": "webhook-alert", "config": { "target": "hook", "every": 1 } }],
        })
    }

    fn logs(&self) -> impl Iterator<Item = Vec<u8>> {
        let of_workers = self.workers.iter().map(|worker| worker.log().into_bytes());
        self.servers.iter().map(Product::log).chain(of_workers)
    }

    /// Every file that the fleet has written, its logs among them; what it was configured with is left out.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let servers = self.servers.iter().map(Product::home);
        let homes = servers.chain(self.workers.iter().map(Worker::home));
        let mut all = Vec::new();
        homes.for_each(|home| read_all(home, &mut all));
        all.retain(|(path, _)| path.extension().is_none_or(|extension| extension != "toml"));
        all
    }

    /// What every `GET` of the document answers.
    async fn answers(&self, runs: &[String]) -> Vec<(String, Vec<u8>)> {
        let server = &self.servers[1];
        let mut all = Vec::new();
        for operation in operations(&server.get("/openapi.json").await) {
            if operation.method != Method::GET {
                continue;
            }
            if operation.path.ends_with("/events") {
                let changes = self.changes_until(&runs[runs.len() - 1]).await;
                all.push((operation.path, changes));
                continue;
            }
            let mut paths = vec![operation.path.clone()];
            if operation.path.contains("/runs/{id}") {
                let path = |run: &String| operation.path.replace("{id}", run);
                paths = runs.iter().map(path).collect();
            }
            for path in paths {
                let path = path.replace("/jobs/{name}", "/jobs/loud");
                let path = path.replace("{name}", "webhook-alert");
                let path = path
                    .replace("{sha256}", &"0".repeat(64))
                    .replace("{id}", "x");
                let query = if path.contains("preview") {
                    "?expr=@daily"
                } else {
                    ""
                };
                let request = server.bare(Method::GET, &format!("{path}{query}"));
                let request = request.bearer_auth(&server.token);
                let answer = request.send().await.unwrap().bytes().await.unwrap();
                all.push((path, answer.to_vec()));
            }
        }
        for path in ["/metrics", "/readyz"] {
            let request = server.bare(Method::GET, path).bearer_auth(&server.token);
            let answer = request.send().await.unwrap().bytes().await.unwrap();
            all.push((path.to_owned(), answer.to_vec()));
        }
        all
    }

    /// What has changed until this run had ended.
    async fn changes_until(&self, run: &str) -> Vec<u8> {
        let mut changes = self.changes.lock().await;
        let mut said = Vec::new();
        let ended = |said: &[u8]| {
            let said = String::from_utf8_lossy(said);
            let mut events = said.split("\n\n");
            events.any(|event| event.contains("run.ended") && event.contains(run))
        };
        while !ended(&said) {
            let piece = tokio::time::timeout(PATIENCE, changes.chunk()).await;
            said.extend_from_slice(&piece.unwrap().unwrap().unwrap());
        }
        said
    }
}

fn read_all(folder: &Path, all: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, all);
        } else if let Ok(bytes) = std::fs::read(&path) {
            all.push((path, bytes));
        }
    }
}

/// The arguments of every process on this host, and the environments of those that run our program.
fn processes() -> Vec<(String, Vec<u8>, Option<Vec<u8>>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let folder = entry.unwrap().path();
        let Ok(arguments) = std::fs::read(folder.join("cmdline")) else {
            continue;
        };
        let program = std::fs::read_link(folder.join("exe")).unwrap_or_default();
        let is_ours = program == Path::new(crate::product::PROGRAM);
        let environment =
            is_ours.then(|| std::fs::read(folder.join("environ")).unwrap_or_default());
        let name = String::from_utf8_lossy(&arguments).into_owned();
        all.push((name, arguments, environment));
    }
    all
}

/// Runs that print what they have and fail, and one that misses a secret.
async fn runs(server: &Product, fleet: &Fleet) -> Vec<String> {
    server.put_job("loud", &fleet.loud()).await;
    let mut runs = Vec::new();
    for _ in 0..4 {
        let run = server.run_job("loud").await;
        assert_eq!(run["state"], "failed", "{run}");
        runs.push(run["id"].as_str().unwrap().to_owned());
    }
    let missing = json!({ "command": "true", "secrets": { "X": { "name": "nowhere" } } });
    server.put_job("missing", &missing).await;
    let run = server.run_job("missing").await;
    assert_eq!(run["state"], "failed", "{run}");
    let cause = run["cause"].as_str().unwrap();
    assert!(
        cause.contains("\"X\"") && cause.contains("nowhere"),
        "{cause}"
    );
    runs.push(run["id"].as_str().unwrap().to_owned());
    runs
}

/// While a command has them all: nobody's arguments, and of our processes nobody's environment but what the operator has
/// put there.
async fn search_processes(server: &Product, fleet: &Fleet) {
    let search = Search::of(&fleet.secrets);
    // A number that no other test sleeps for.
    let still = json!({ "command": "sleep 3579", "secrets": fleet.sources(), "grace_s": 0 });
    server.put_job("still", &still).await;
    let run = server.start_run("still").await;
    wait_for("the command runs", PATIENCE, async || {
        let all = processes();
        all.iter()
            .any(|(name, ..)| name.starts_with("sleep\u{0}3579"))
    })
    .await;
    let mut elsewhere = fleet.secrets.clone();
    elsewhere.retain(|name, _| !name.starts_with("env-"));
    let elsewhere = Search::of(&elsewhere);
    let mut ours = 0;
    for (name, arguments, environment) in processes() {
        assert_eq!(search.found_in(&arguments), None, "arguments of {name}");
        let Some(environment) = environment else {
            continue;
        };
        ours += 1;
        let found = elsewhere.found_in(&environment);
        assert_eq!(found, None, "environment of {name}");
    }
    // Two servers, two workers, each of these with a spawner, and the run's supervisor.
    assert!(ours >= 7, "{ours} processes run our program");
    let kill = server.request(Method::POST, "/jobs/still/kill").send();
    assert!(kill.await.unwrap().status().is_success());
    server.ended(&run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_planted_secret_is_found_anywhere() {
    let fleet = Fleet::start(&[]).await;
    let server = &fleet.servers[0];
    let search = Search::of(&fleet.secrets);
    let control = Search::of(&[("control".to_owned(), CONTROL.to_owned())].into());
    let runs = runs(server, &fleet).await;
    fleet.garden.hook.hears(4).await;
    search_processes(server, &fleet).await;
    let mut searched = BTreeMap::new();
    let mut look = |place: &str, bytes: &[u8]| {
        assert_eq!(search.found_in(bytes), None, "{place}");
        *searched
            .entry(place.split(' ').next().unwrap().to_owned())
            .or_insert(false) |= control.found_in(bytes).is_some();
    };
    for heard in fleet.garden.hook.heard() {
        look("alerts", heard.body.as_bytes());
    }
    for pair in fleet.scene.all_of_etcd().await {
        look("etcd", &pair);
    }
    for document in fleet.scene.all_of_mongo().await {
        look("mongodb", &document);
    }
    for (path, answer) in fleet.answers(&runs).await {
        look(&format!("api {path}"), &answer);
    }
    for (path, bytes) in fleet.files() {
        look(&format!("files {}", path.display()), &bytes);
    }
    for log in fleet.logs() {
        let traced = memchr::memmem::find(&log, b" TRACE ").is_some();
        assert!(traced, "the log is not as open as it can be");
    }
    for place in ["etcd", "mongodb", "api"] {
        assert_eq!(
            searched.get(place),
            Some(&true),
            "{place}: the control is not found"
        );
    }
    let output = server.text(&format!("/runs/{}/output", runs[0])).await;
    assert!(
        output.contains(CONTROL) && output.contains("[secret:E]"),
        "{output}"
    );
}

/// The search itself is searched: a worker that masks nothing is found out, by each secret of its job.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_masks_nothing_is_found_out() {
    let fleet = Fleet::start(&[("SANDCLOCK_TEST_UNMASKED", "1")]).await;
    let server = &fleet.servers[0];
    let search = Search::of(&fleet.secrets);
    server.put_job("loud", &fleet.loud()).await;
    let run = server.run_job("loud").await;
    let run = run["id"].as_str().unwrap().to_owned();
    fleet.garden.hook.hears(1).await;
    let of_the_job = BTreeSet::from([
        "file-of-a-job",
        "env-of-a-job",
        "file-of-a-worker",
        "env-of-a-worker",
        "store",
    ]);
    let documents = fleet.scene.all_of_mongo().await;
    let stored: BTreeSet<_> = documents
        .iter()
        .flat_map(|one| search.all_found_in(one))
        .collect();
    assert_eq!(stored, of_the_job);
    let answers = fleet.answers(&[run]).await;
    let answered: BTreeSet<_> = answers
        .iter()
        .flat_map(|(_, one)| search.all_found_in(one))
        .collect();
    assert_eq!(answered, of_the_job);
    let heard = fleet.garden.hook.heard();
    let told: BTreeSet<_> = heard
        .iter()
        .flat_map(|one| search.all_found_in(one.body.as_bytes()))
        .collect();
    assert!(told.contains("store"), "{told:?}");
}
