//! How a server starts with the files of a Go fleet, and when it does not.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as an operator does"
)]

use std::process::{Command, Output};

use reqwest::{Certificate, Client};
use sandclock_testkit::services::Certificates;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Fleet, get};
use crate::product::{PROGRAM, Product};

/// Starts a role with a file that keeps it from starting.
fn refused(args: &[&str], file: &Value) -> String {
    let home = TempDir::new().unwrap();
    std::fs::write(home.path().join("go.json"), file.to_string()).unwrap();
    let output: Output = Command::new(PROGRAM)
        .args(args)
        .current_dir(&home)
        .env("SANDCLOCK__DATA", home.path().join("data"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(output.stdout, b"", "{said}");
    said
}

fn master() -> Value {
    json!({ "apiPort": 8070, "etcdEndpoints": ["127.0.0.1:1"], "mongodbUri": "mongodb://127.0.0.1:1" })
}

fn worker() -> Value {
    json!({ "etcdEndpoints": ["127.0.0.1:1"], "mongodbUri": "mongodb://127.0.0.1:1", "jobLogBatchSize": 100 })
}

/// A Go master that cannot start says so on standard output and exits with 0.
#[test]
fn w30_a_start_that_fails_says_so() {
    let mut file = master();
    file["apiPort"] = json!("8070");
    let said = refused(&["server", "-config", "go.json", "--go-open"], &file);
    assert!(
        said.contains("apiPort: \"8070\" is not accepted: a port"),
        "{said}"
    );
    let said = refused(&["server", "-config", "missing.json", "--go-open"], &file);
    assert!(said.contains("missing.json"), "{said}");
}

#[test]
fn a_masters_file_alone_opens_nothing() {
    for config in [
        &["-config", "go.json"][..],
        &["-config=go.json"],
        &["--config", "go.json"],
        &["--config=go.json"],
    ] {
        let said = refused(&[&["server"], config].concat(), &master());
        for named in [
            "go.json",
            "0.0.0.0:8070",
            "--go-open",
            "--tls-certificate",
            "SANDCLOCK__TLS__KEY",
            "SANDCLOCK__BEHIND_PROXY",
            "token",
        ] {
            assert!(said.contains(named), "{said}");
        }
    }
}

#[test]
fn a_file_of_the_other_role_is_refused() {
    let said = refused(&["server", "-config", "go.json", "--go-open"], &worker());
    assert!(
        said.contains("go.json") && said.contains("apiPort") && said.contains("sandclock-worker"),
        "{said}"
    );
    let said = refused(&["worker", "-config", "go.json"], &master());
    assert!(
        said.contains("go.json") && said.contains("sandclock server"),
        "{said}"
    );
}

#[tokio::test]
async fn it_listens_where_the_file_says_and_warns() {
    let fleet = Fleet::new();
    let mut file = fleet.master_json();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    file["APIPORT"] = json!(port);
    let args = ["--config=master.json", "--go-open"];
    let server = Product::in_place_of_a_master(&file, &args, &fleet.stores.variables());
    assert_eq!(server.url, format!("http://0.0.0.0:{port}"));
    assert!(get(&server, "/job/list").body.starts_with(r#"{"errno":0,"#));
    let log = String::from_utf8(server.log()).unwrap();
    assert!(
        log.contains("the routes of the Go master are open"),
        "{log}"
    );
}

#[tokio::test]
async fn with_tls_by_flag_or_environment_the_routes_ask_for_a_token() {
    let fleet = Fleet::new();
    let certificates = Certificates::make();
    let shown = |path: std::path::PathBuf| path.display().to_string();
    let certificate = shown(certificates.certificate("server"));
    let key = shown(certificates.key("server"));
    let authority = std::fs::read(certificates.certificate("authority")).unwrap();
    let flags = ["--tls-certificate", &certificate, "--tls-key", &key];
    let mut settings = fleet.stores.variables();
    let by_flag = [&["-config", "master.json"], &flags[..]].concat();
    let mut servers = vec![Product::in_place_of_a_master(
        &fleet.master_json(),
        &by_flag,
        &settings,
    )];
    settings.push((
        "SANDCLOCK__TLS__CERTIFICATE".to_owned(),
        certificate.clone(),
    ));
    settings.push(("SANDCLOCK__TLS__KEY".to_owned(), key.clone()));
    let args = ["-config", "master.json"];
    let by_environment = Product::in_place_of_a_master(&fleet.master_json(), &args, &settings);
    servers.push(by_environment);
    for server in servers {
        let url = server.url.replace("0.0.0.0", "127.0.0.1");
        assert!(url.starts_with("https://"), "{url}");
        let authority = Certificate::from_pem(&authority).unwrap();
        let client = Client::builder()
            .tls_certs_only([authority])
            .build()
            .unwrap();
        let answer = client.get(format!("{url}/job/list")).send().await.unwrap();
        assert_eq!(answer.status(), 401);
        let log = String::from_utf8(server.log()).unwrap();
        assert!(!log.contains("are open"), "{log}");
    }
}

#[tokio::test]
async fn behind_a_proxy_the_routes_ask_for_a_token() {
    let fleet = Fleet::new();
    let mut settings = fleet.stores.variables();
    settings.push(("SANDCLOCK__BEHIND_PROXY".to_owned(), "true".to_owned()));
    let args = ["-config", "master.json"];
    let server = Product::in_place_of_a_master(&fleet.master_json(), &args, &settings);
    assert_eq!(get(&server, "/job/list").status, 401);
    let log = String::from_utf8(server.log()).unwrap();
    assert!(!log.contains("are open"), "{log}");
}
