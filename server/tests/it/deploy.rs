//! The files of `deploy/`, with the program that they are for: configurations as it reads them, and live streams
//! through nginx. `cargo xtask test` checks the others.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start nginx and its clients as people do"
)]

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandclock_server::config::{Config, CoordinationSection, Environment, RunLogSection};
use serde_json::json;

use crate::product::Product;

/// What a stop may take beyond `worker.drain_s`: runs that are told to end get 15 s, the rest is for the stores.
const AFTER_THE_DRAIN_S: u64 = 20;

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(path)
}

fn config(path: &str) -> Config {
    Config::load(Some(&deploy(path)), &Environment::default()).unwrap()
}

/// The seconds behind `key` in a file.
fn seconds(path: &str, key: &str) -> u64 {
    let text = std::fs::read_to_string(deploy(path)).unwrap();
    let mut values = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix(key));
    let last = values.next_back().unwrap();
    last.trim_end_matches('s').trim().parse().unwrap()
}

#[test]
fn the_example_configurations_are_accepted_and_name_one_fleet() {
    for folder in ["config", "compose"] {
        let server = config(&format!("{folder}/server.toml"));
        let worker = config(&format!("{folder}/worker.toml"));
        let [server, worker] = [server, worker].map(|config| {
            let CoordinationSection::Etcd(etcd) = config.coordination else {
                panic!("{folder}: a fleet is on etcd")
            };
            let RunLogSection::Mongodb(mongodb) = config.run_log else {
                panic!("{folder}: a fleet logs to MongoDB")
            };
            let etcd = (etcd.endpoints, etcd.prefix, etcd.go.jobs, etcd.beside_go);
            (etcd, mongodb.uri, mongodb.database, mongodb.collection)
        });
        assert_eq!(server, worker, "{folder}");
    }
}

#[test]
fn whoever_stops_a_worker_waits_for_its_drain() {
    let units = [
        (
            "config/worker.toml",
            "systemd/sandclock-worker.service",
            "TimeoutStopSec=",
        ),
        ("compose/worker.toml", "compose.yaml", "stop_grace_period:"),
    ];
    for (worker, stopper, key) in units {
        let least = config(worker).worker.drain_s + AFTER_THE_DRAIN_S;
        let given = seconds(stopper, key);
        assert!(given >= least, "{stopper}: {key} {given} is below {least}");
    }
}

/// A process that is told to end when it is dropped; nginx takes its children with it.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        let _ = kill(pid, Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// nginx with the file of `deploy/`, before this server and another that is dead; its address.
fn nginx(folder: &Path, server: &str) -> (Process, String) {
    let shown = folder.display();
    let certificate = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
        ])
        .args(["-subj", "/CN=sandclock.example.org"])
        .arg("-keyout")
        .arg(folder.join("sandclock.key"))
        .arg("-out")
        .arg(folder.join("sandclock.pem"))
        .output()
        .expect("openssl is there: cargo xtask tools");
    assert!(certificate.status.success(), "{certificate:?}");
    // nginx takes a socket over that is open already, so nobody else can have its port.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let inherited: OwnedFd = nix::unistd::dup(&listener).unwrap();
    let text = std::fs::read_to_string(deploy("nginx/sandclock.conf")).unwrap();
    let text = text
        .replace("/etc/nginx/tls/", &format!("{shown}/"))
        .replace("192.0.2.11:8070", "127.0.0.1:1")
        .replace("192.0.2.12:8070", server.trim_start_matches("http://"))
        .replace("listen 80;", &format!("listen unix:{shown}/plain;"))
        .replace("listen [::]:80;", "")
        .replace("listen 443 ", &format!("listen {address} "))
        .replace("listen [::]:443 ssl http2;", "");
    let whole = format!(
        "daemon off;\npid {shown}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n\
         client_body_temp_path {shown}/body;\nproxy_temp_path {shown}/proxy;\nfastcgi_temp_path {shown}/f;\n\
         uwsgi_temp_path {shown}/u;\nscgi_temp_path {shown}/s;\n{text}\n}}\n"
    );
    std::fs::write(folder.join("nginx.conf"), whole).unwrap();
    let path = std::env::var("PATH").unwrap();
    let started = Command::new("nginx")
        .env("PATH", format!("{path}:/usr/sbin"))
        .env("NGINX", format!("{};", inherited.as_raw_fd()))
        .args(["-e", "stderr", "-p"])
        .arg(folder)
        .arg("-c")
        .arg(folder.join("nginx.conf"))
        .spawn();
    let started = started.expect("nginx is there: cargo xtask tools");
    (Process(started), format!("https://{address}"))
}

#[tokio::test]
async fn a_live_stream_passes_nginx_as_it_comes_though_a_server_is_dead() {
    let product = Product::start(&["--no-examples"]);
    let folder = tempfile::tempdir().unwrap();
    let (_nginx, url) = nginx(folder.path(), &product.url);
    let go_on = folder.path().join("go-on");
    let command = format!(
        "echo begun; until test -e {}; do sleep 0.1; done; echo finished",
        go_on.display()
    );
    product
        .put_job("long", &json!({ "command": command }))
        .await;
    let run = product.start_run("long").await;
    let client = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--insecure",
            "--no-buffer",
            "--max-time",
            "60",
        ])
        .args([
            "--fail",
            "--retry",
            "60",
            "--retry-all-errors",
            "--retry-delay",
            "1",
        ])
        .args([
            "--header",
            &format!("Authorization: Bearer {}", product.token),
        ])
        .arg(format!("{url}/api/v1/runs/{run}/stream"))
        .stdout(Stdio::piped())
        .spawn();
    let mut client = Process(client.expect("curl is there: cargo xtask tools"));
    let lines = BufReader::new(client.0.stdout.take().unwrap()).lines();
    let mut said = String::new();
    for line in lines {
        let line = line.unwrap();
        // The run ends only when its first words have come through.
        if line.contains("begun") {
            std::fs::write(&go_on, "").unwrap();
        }
        said += &line;
    }
    assert!(
        said.contains("finished") && said.contains("event: end"),
        "{said}"
    );
}
