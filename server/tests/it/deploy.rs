//! The files of `deploy/`, as the program reads them. `cargo xtask test` checks the others with the programs that
//! they are for.

use std::path::{Path, PathBuf};

use sandclock_server::config::{Config, CoordinationSection, Environment, RunLogSection};

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
