//! The worker in the place of a Go fleet's: started as that one is, with its file, for a job that a Go master saved.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as an operator does"
)]

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use etcd_client::Client;
use sandclock_testkit::services::{Etcd, Mongo};
use serde_json::json;
use tempfile::TempDir;

use crate::product::{Product, wait_for};

/// No state that a test waits for may take longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that is killed when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_worker_takes_the_place_of_a_go_worker_with_its_file() {
    let own = format!("drop-in-{}", std::process::id());
    let (address, uri) = (Etcd::shared().address, Mongo::replica_set().uri);
    let home = TempDir::new().unwrap();
    let file = json!({
        "etcd集群列表": "comments are members too",
        "ETCDENDPOINTS": [address],
        "etcdDialTimeout": 5000,
        "mongodbUri": uri,
        "mongodbConnectTimeOut": 5000,
        "jobLogBatchSize": 100,
        "bashPath": "/bin/sh",
    });
    std::fs::write(home.path().join("worker.json"), file.to_string()).unwrap();
    // This test's own corner of the stores, and an address also where there is none but loopback.
    let keys = ["jobs", "locks", "kills", "workers"].map(|kind| {
        let name = format!("SANDCLOCK__COORDINATION__GO__{}", kind.to_uppercase());
        (name, format!("/{own}/{kind}/"))
    });
    let log = File::create(home.path().join("log")).unwrap();
    let worker = Command::new(env!("CARGO_BIN_EXE_sandclock-worker"))
        .args(["-config", "./worker.json"])
        .current_dir(&home)
        .envs(keys.clone())
        .env(
            "SANDCLOCK__COORDINATION__PREFIX",
            format!("/{own}/sandclock/"),
        )
        .env("SANDCLOCK__COORDINATION__REGISTER_AS", "192.0.2.7")
        .env("SANDCLOCK__RUN_LOG__DATABASE", &own)
        .env("SANDCLOCK__DATA", home.path().join("data"))
        .env("OF_THE_WORKER", "handed down")
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    let _worker = Process(worker.unwrap());

    let mut etcd = Client::connect([address], None).await.unwrap();
    let job = r#"{"name":"of go","command":"echo $0, $OF_THE_WORKER, $SANDCLOCK__DATA, $(pwd)","cronExpr":"* * * * * * *"}"#;
    let key = format!("/{own}/jobs/of go");
    etcd.put(key, job, None).await.unwrap();

    let go: String = ["jobs", "locks", "kills", "workers"]
        .map(|kind| format!("{kind} = \"/{own}/{kind}/\"\n"))
        .concat();
    let server = Product::server(&format!(
        "[coordination]\ntype = \"etcd\"\nendpoints = [\"{address}\"]\nprefix = \"/{own}/sandclock/\"\n\
         [coordination.go]\n{go}[run_log]\ntype = \"mongodb\"\nuri = \"{uri}\"\ndatabase = \"{own}\"\n"
    ));
    wait_for("a run of the Go job", PATIENCE, async || {
        let runs = server.get("/runs?state=succeeded").await;
        !runs["items"].as_array().unwrap().is_empty()
    })
    .await;
    let runs = server.get("/runs?state=succeeded").await;
    let run = runs["items"][0]["id"].as_str().unwrap().to_owned();
    let place = home.path().canonicalize().unwrap();
    assert_eq!(
        server.text(&format!("/runs/{run}/output")).await,
        format!("/bin/sh, handed down, , {}\n", place.display())
    );
    let registered = format!("/{own}/workers/192.0.2.7");
    let found = etcd.get(registered, None).await.unwrap();
    assert_eq!(found.count(), 1);
}
