//! `sandclock doctor`: what is in order is said to be, and of what is not, what and the remedy.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as an operator does"
)]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use etcd_client::{AlarmAction, AlarmType, Client};
use mongodb::bson::doc;
use mongodb::options::IndexOptions;
use sandclock_testkit::services::{Mongo, OwnEtcd};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::product::{PROGRAM, Product};
use crate::stores::Stores;

/// A host: its configuration, and its data directory.
struct Host {
    folder: TempDir,
}

impl Host {
    fn new(config: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
        let config = format!("data = {:?}\n{config}", data.display().to_string());
        fs::write(folder.path().join("sandclock.toml"), config).unwrap();
        Self { folder }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.arg("doctor").args(args);
        let config = self.folder.path().join("sandclock.toml");
        command.arg("--config").arg(config).output().unwrap()
    }

    /// What is told, and with which exit status.
    fn told(&self) -> (Told, Option<i32>) {
        let output = self.run(&["--output", "json"]);
        let told = serde_json::from_slice(&output.stdout);
        (Told(told.expect("a document")), output.status.code())
    }
}

struct Told(Value);

impl Told {
    fn all(&self) -> impl Iterator<Item = &Value> {
        self.0["checks"].as_array().unwrap().iter()
    }

    fn of(&self, check: &str) -> &Value {
        let mut those = self.all().filter(|one| one["check"] == check);
        those
            .next()
            .unwrap_or_else(|| panic!("{check}: {}", self.0))
    }

    /// This check fails with this in its finding, and has a remedy.
    fn fails(&self, check: &str, finding: &str) {
        self.is(check, "failed", finding);
        assert!(self.of(check)["remedy"].is_string(), "{}", self.0);
    }

    fn is(&self, check: &str, state: &str, finding: &str) {
        let told = self.of(check);
        assert_eq!(told["state"], state, "{told}");
        let said = told["finding"].as_str().unwrap();
        assert!(said.contains(finding), "{told}");
    }

    fn nothing_fails(&self) {
        assert!(self.all().all(|one| one["state"] != "failed"), "{}", self.0);
        assert_eq!(self.0["good"], true);
    }
}

#[tokio::test]
async fn one_process_in_order_is_said_to_be_while_it_runs_and_before() {
    let host = Host::new("");
    let (told, status) = host.told();
    told.nothing_fails();
    assert_eq!(status, Some(0));
    told.is("store", "ok", "not there yet");
    assert!(
        host.data().read_dir().unwrap().next().is_none(),
        "nothing is left"
    );

    let mut product = Product::start(&["--no-examples"]);
    product.put_job("job", &json!({ "command": "true" })).await;
    let running = Host::new("");
    fs::remove_dir(running.data()).unwrap();
    std::os::unix::fs::symlink(product.data(), running.data()).unwrap();
    let (told, status) = running.told();
    told.nothing_fails();
    assert_eq!(status, Some(0));
    told.is("store", "ok", "undamaged");
    told.is("configuration", "ok", "for sandclock dev");
    told.is("data directory", "ok", "by its owner alone");
    // The process goes on.
    assert_eq!(product.run_job("job").await["state"], "succeeded");
    let shown = running.run(&[]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.starts_with("CHECK "), "{shown}");
    let config = running.folder.path().join("sandclock.toml");
    let shown = product.on_a_terminal(&["doctor", "--config", config.to_str().unwrap()]);
    assert!(shown.contains("undamaged"), "{shown}");
    let fits = |line: &str| line.trim_end().chars().count() <= 80;
    assert!(shown.lines().all(fits), "{shown}");

    product.stop().await;
    let stopped = names(&product.data());
    running.told().0.is("store", "ok", "undamaged");
    assert_eq!(names(&product.data()), stopped, "nothing is left");
}

fn names(folder: &Path) -> BTreeSet<OsString> {
    let entries = folder.read_dir().unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

#[test]
fn a_broken_configuration_is_told_with_every_fault() {
    let host = Host::new("listen = \"everywhere\"\nbehind_prox = true\n");
    let (told, status) = host.told();
    assert_eq!(status, Some(1));
    let faults: Vec<_> = told.all().collect();
    assert_eq!(faults.len(), 2, "{faults:?}");
    let listen = faults.iter().find(|fault| {
        let finding = fault["finding"].as_str().unwrap();
        finding.ends_with("line 2: listen: \"everywhere\" is not accepted")
    });
    assert_eq!(
        listen.expect("told")["remedy"],
        "an address and a port, such as 127.0.0.1:8070"
    );
    let output = Command::new(PROGRAM)
        .args(["doctor", "--output", "json", "--config", "/nowhere.toml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = Told(serde_json::from_slice(&output.stdout).unwrap());
    told.fails("configuration", "/nowhere.toml");
}

#[test]
fn a_data_directory_that_cannot_be_written_or_is_open_is_told() {
    let host = Host::new("");
    fs::set_permissions(host.data(), Permissions::from_mode(0o755)).unwrap();
    let (told, status) = host.told();
    assert_eq!(status, Some(0));
    told.is("data directory", "warning", "(mode 755)");
    let remedy = told.of("data directory")["remedy"].as_str().unwrap();
    assert!(remedy.starts_with("chmod 700 "), "{remedy}");
    // One that is not there is not made, and nothing is written where it would be.
    let host = Host::new("");
    fs::remove_dir(host.data()).unwrap();
    let changed = || {
        fs::metadata(host.folder.path())
            .unwrap()
            .modified()
            .unwrap()
    };
    let before = changed();
    host.told()
        .0
        .is("data directory", "ok", "the first start makes it");
    assert_eq!(changed(), before);
    // Nobody may write there, root neither.
    let host = Host::new("");
    fs::write(host.data().join("file"), "").unwrap();
    let text = format!(
        "data = {:?}\n",
        Path::new("/proc/self").display().to_string()
    );
    fs::write(host.folder.path().join("sandclock.toml"), text).unwrap();
    let (told, status) = host.told();
    assert_eq!(status, Some(1));
    told.fails("data directory", "cannot be written");
}

#[tokio::test]
async fn a_store_that_is_damaged_is_told() {
    let host = Host::new("");
    let file = host.data().join("sandclock.db");
    fs::write(&file, "no database at all, whatever its name says").unwrap();
    let (told, status) = host.told();
    assert_eq!(status, Some(1));
    told.fails("store", "not a database");
    fs::write(&file, "").unwrap();
    host.told().0.is("store", "failed", "is empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_in_order_is_said_to_be_and_what_breaks_is_told() {
    let mut etcd = OwnEtcd::start();
    let stores = Stores::of(etcd.address(), Mongo::replica_set().uri);
    let host = Host::new(&stores.toml());
    let (told, status) = host.told();
    told.nothing_fails();
    assert_eq!(status, Some(0));
    told.is("MongoDB indexes", "ok", "none yet");

    let server = Product::server(&stores.toml());
    server.put_job("job", &json!({ "command": "true" })).await;
    drop(server);
    let (told, _) = host.told();
    told.nothing_fails();
    told.is("etcd", "ok", "reading and writing is allowed");
    told.is("etcd alarms", "ok", "none");
    told.is("MongoDB", "ok", "replica set");
    told.is("MongoDB indexes", "ok", "all are there");
    told.is("clock", "ok", "MongoDB's");

    let log = stores.collection().await;
    let expiring = IndexOptions::builder().expire_after(Duration::from_secs(9));
    for (drop, make, state, finding) in [
        (
            "sandclock.state_1__id_-1",
            None,
            "warning",
            "log (sandclock.state, -_id)",
        ),
        ("sandclock.run_1", None, "failed", "log (sandclock.run)"),
        ("", Some(expiring.build()), "failed", "log (late)"),
    ] {
        match make {
            None => log.drop_index(drop).await.unwrap(),
            Some(options) => {
                let index = mongodb::IndexModel::builder();
                let index = index.keys(doc! { "late": 1 }).options(options).build();
                log.create_index(index).await.unwrap();
            }
        }
        let (told, _) = host.told();
        told.is("MongoDB indexes", state, finding);
        assert!(told.of("MongoDB indexes")["remedy"].is_string());
    }

    let mut client = Client::connect([etcd.address()], None).await.unwrap();
    let alarm = AlarmType::Nospace;
    client
        .alarm(AlarmAction::Activate, alarm, None)
        .await
        .unwrap();
    let (told, status) = host.told();
    assert_eq!(status, Some(1));
    told.fails("etcd alarms", "NOSPACE");

    etcd.kill();
    let (told, status) = host.told();
    assert_eq!(status, Some(1));
    told.fails("etcd", etcd.address());
    // Of what nobody could read nothing is said to be in order.
    told.fails("workers", "cannot be read");
    told.fails("users", "cannot be read");
    told.is("MongoDB", "ok", "replica set");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mongodb_that_is_away_is_told_and_the_rest_is_looked_at() {
    let etcd = OwnEtcd::start();
    let stores = Stores::of(
        etcd.address(),
        "mongodb://ann:hunter2@127.0.0.1:1/?replicaSet=x",
    );
    let host = Host::new(&format!(
        "{}run_log.connect_timeout_ms = 2000\n",
        stores.toml()
    ));
    let (told, status) = host.told();
    assert_eq!(status, Some(1));
    told.fails("MongoDB", "");
    told.is("etcd", "ok", "1 endpoint answers");
    assert!(!told.0.to_string().contains("hunter2"), "{}", told.0);
    let everybody = "every user of this host may read it";
    let mut told_of = told.all().filter(|one| one["check"] == "configuration");
    assert!(told_of.any(|one| one["finding"].as_str().unwrap().contains(everybody)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_another_user_and_its_worker_are_told() {
    let etcd = OwnEtcd::start();
    let stores = Stores::of(etcd.address(), Mongo::replica_set().uri);
    let server = Product::server(&stores.toml());
    let job = json!({ "command": "true", "user": "nobody" });
    server.put_job("job", &job).await;
    let (told, _) = Host::new(&stores.toml()).told();
    told.is("workers", "ok", "none is connected");
    let may = nix::unistd::geteuid().is_root();
    match may {
        true => told.is("users", "ok", "can run as other users"),
        false => told.is("users", "warning", "such as job for nobody"),
    }
}

#[test]
fn the_help_fits_a_terminal() {
    let output = Command::new(PROGRAM).args(["doctor", "--help"]).output();
    let help = String::from_utf8(output.unwrap().stdout).unwrap();
    assert!(help.contains("--config"), "{help}");
    assert!(
        help.lines().all(|line| line.chars().count() <= 80),
        "{help}"
    );
}
