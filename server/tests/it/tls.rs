//! TLS on the API's own listener: served, refused, replaced while it runs; and what the command line says about it.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as an operator does"
)]

use std::io::Read as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use reqwest::{Certificate, Client, Identity, Method, StatusCode};
use sandclock_testkit::services::Certificates;
use serde_json::json;
use tempfile::TempDir;

use crate::product::{PROGRAM, Product, told, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// Certificates, and a server's folder that holds some of them.
struct Scene {
    certificates: Certificates,
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        sandclock_server::tls();
        let scene = Self {
            certificates: Certificates::make(),
            folder: TempDir::new().unwrap(),
        };
        scene.deploy("server", "server");
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts this certificate and this key where the server has its own.
    fn deploy(&self, certificate: &str, key: &str) {
        std::fs::copy(self.certificates.key(key), self.path("key.pem")).unwrap();
        let certificate = self.certificates.certificate(certificate);
        std::fs::copy(certificate, self.path("certificate.pem")).unwrap();
    }

    /// The file of a configuration that begins with `more`.
    fn config(&self, more: &str) -> String {
        let (certificate, key) = (self.path("certificate.pem"), self.path("key.pem"));
        let text = format!("{more}\ntls.certificate = {certificate:?}\ntls.key = {key:?}\n");
        let file = self.path("sandclock.toml");
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    }

    fn dev(&self, more: &str) -> Product {
        Product::start(&["--no-examples", "--config", &self.config(more)])
    }

    /// A client that trusts this authority alone, and shows this certificate of its own.
    fn client(&self, authority: &str, own: Option<&str>) -> Client {
        let read = |path| std::fs::read(path).unwrap();
        let authority = read(self.certificates.certificate(authority));
        let client = Client::builder().pool_max_idle_per_host(0);
        let mut client = client.tls_certs_only([Certificate::from_pem(&authority).unwrap()]);
        if let Some(own) = own {
            let identity = read(self.certificates.both(own));
            client = client.identity(Identity::from_pem(&identity).unwrap());
        }
        client.build().unwrap()
    }

    fn authority(&self, name: &str) -> String {
        self.certificates.certificate(name).display().to_string()
    }

    /// What `job ls` says at this address with these arguments before it.
    fn job_ls(&self, product: &Product, url: &str, args: &[&str]) -> Output {
        let args = [args, &["--url", url, "job", "ls"]].concat();
        product.cli(&args)
    }
}

/// The value of a metric, asked for by a client that trusts `authority`.
async fn metric(product: &Product, client: &Client, name: &str) -> f64 {
    let request = client.get(format!("{}/metrics", product.url));
    let answer = request.bearer_auth(&product.token).send().await.unwrap();
    let page = answer.text().await.unwrap();
    let value = page.lines().find_map(|line| line.strip_prefix(name));
    let value = value.unwrap_or_else(|| panic!("no {name} in: {page}"));
    value.trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_served_over_tls_and_says_so() {
    let scene = Scene::new();
    let product = scene.dev("");
    assert!(product.url.starts_with("https://"), "{}", product.url);
    let client = scene.client("authority", None);
    let answer = client.get(format!("{}/healthz", product.url)).send();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let only = &answer.headers()["strict-transport-security"];
    assert_eq!(only, "max-age=31536000");
    let until = metric(
        &product,
        &client,
        "sandclock_tls_certificate_expires_at_seconds",
    )
    .await;
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    let days = (until - now) / 86_400.0;
    assert!((1.0..3.0).contains(&days), "{days} days are left");
    let strangers = scene.client("stranger", None);
    let refused = strangers.get(format!("{}/healthz", product.url)).send();
    assert!(refused.await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_says_what_to_do_about_a_certificate() {
    let scene = Scene::new();
    let mut product = scene.dev("");
    let (url, ca) = (product.url.clone(), scene.authority("authority"));
    let fine = scene.job_ls(&product, &url, &["--ca", &ca]);
    assert!(fine.status.success(), "{}", told(&fine));
    let stranger = scene.authority("stranger");
    let key = scene.certificates.key("server").display().to_string();
    let plain = url.replace("https:", "http:");
    let cases: [(&str, &[&str], &[&str]); 5] = [
        (&url, &[], &["certificate", "--ca or SANDCLOCK_CA"]),
        (&url, &["--ca", &stranger], &["--ca or SANDCLOCK_CA"]),
        (&url, &["--ca", &key], &["holds no certificate", "--ca"]),
        (&url, &["--ca", "/none"], &["--ca or SANDCLOCK_CA: /none"]),
        (&plain, &["--ca", &ca], &["speaks TLS", "try https://"]),
    ];
    for (url, args, says) in cases {
        let refused = scene.job_ls(&product, url, args);
        let said = told(&refused);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        for word in says {
            assert!(said.contains(word), "{word:?} is not in: {said}");
        }
    }
    product.stop().await;
    scene
        .certificates
        .issue_for("server", "authority", "DNS:example.org");
    scene.deploy("server", "server");
    let product = scene.dev("");
    let refused = told(&scene.job_ls(&product, &product.url, &["--ca", &ca]));
    assert!(
        refused.contains("use a name that the certificate is for"),
        "{refused}"
    );
    drop(product);
    scene.certificates.issue_expiring("server", "authority");
    scene.deploy("server", "server");
    let product = scene.dev("");
    wait_for("the certificate expires", PATIENCE, async || {
        let refused = told(&scene.job_ls(&product, &product.url, &["--ca", &ca]));
        refused.contains("renew it on the server")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_is_named_where_tls_is_asked_for() {
    let scene = Scene::new();
    let product = Product::start(&["--no-examples"]);
    let url = product.url.replace("http:", "https:");
    let refused = told(&scene.job_ls(&product, &url, &[]));
    assert!(refused.contains("does not speak TLS"), "{refused}");
}

/// What is under way goes on; what begins is shown the new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_shown_without_a_restart() {
    let scene = Scene::new();
    let product = scene.dev("");
    let of_before = scene.client("authority", None);
    let api = |client: &Client, method, path: &str| {
        let request = client.request(method, format!("{}/api/v1{path}", product.url));
        request.bearer_auth(&product.token)
    };
    let job = json!({ "command": "echo begun; sleep 600", "grace_s": 0 });
    let put = api(&of_before, Method::PUT, "/jobs/long").json(&job).send();
    assert!(put.await.unwrap().status().is_success());
    let run = api(&of_before, Method::POST, "/jobs/long/run").send().await;
    let run: serde_json::Value = run.unwrap().json().await.unwrap();
    let run = run["run"].as_str().unwrap();
    let mut stream = None;
    wait_for("the run can be watched", PATIENCE, async || {
        let path = format!("/runs/{run}/stream");
        let answer = api(&of_before, Method::GET, &path).send().await.unwrap();
        let there = answer.status().is_success();
        stream = Some(answer);
        there
    })
    .await;
    let mut stream = stream.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());

    scene.certificates.issue("next", "stranger");
    scene.deploy("next", "next");
    let of_after = scene.client("stranger", None);
    wait_for("the new one is shown", PATIENCE, async || {
        let health = of_after.get(format!("{}/healthz", product.url));
        health.send().await.is_ok()
    })
    .await;
    let health = of_before.get(format!("{}/healthz", product.url));
    assert!(health.send().await.is_err(), "the old one is shown still");
    let kill = api(&of_after, Method::POST, &format!("/runs/{run}/kill"));
    assert!(kill.send().await.unwrap().status().is_success());
    let mut rest = Vec::new();
    while let Some(piece) = stream.chunk().await.unwrap() {
        rest.extend(piece);
    }
    let rest = String::from_utf8(rest).unwrap();
    assert!(
        rest.contains("killed"),
        "the old connection ended with: {rest}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_no_use_changes_nothing_and_is_reported() {
    let scene = Scene::new();
    let product = scene.dev("");
    let client = scene.client("authority", None);
    let refused = "sandclock_tls_certificate_refused";
    assert!(metric(&product, &client, refused).await < 0.5);
    scene.certificates.issue_expiring("expired", "authority");
    let spoilt: [(&str, &dyn Fn()); 5] = [
        ("no certificate", &|| {
            std::fs::write(scene.path("certificate.pem"), "spoilt").unwrap()
        }),
        ("does not belong to", &|| scene.deploy("server", "client")),
        ("No such file", &|| {
            std::fs::remove_file(scene.path("key.pem")).unwrap()
        }),
        ("expired at", &|| scene.deploy("expired", "expired")),
        ("chmod o=", &|| {
            scene.deploy("server", "server");
            let open = std::fs::Permissions::from_mode(0o644);
            std::fs::set_permissions(scene.path("key.pem"), open).unwrap();
        }),
    ];
    for (why, spoil) in spoilt {
        spoil();
        let what = format!("the log says {why:?}");
        wait_for(&what, PATIENCE, async || {
            let log = String::from_utf8(product.log()).unwrap();
            let told = log
                .lines()
                .filter(|line| line.contains("the earlier one is shown on"));
            told.into_iter()
                .any(|line| line.to_lowercase().contains(&why.to_lowercase()))
        })
        .await;
        assert!(metric(&product, &client, refused).await > 0.5, "{why}");
    }
    scene.certificates.issue("server", "authority");
    std::fs::remove_file(scene.path("key.pem")).unwrap();
    scene.deploy("server", "server");
    wait_for("a good one is taken", PATIENCE, async || {
        metric(&product, &client, refused).await < 0.5
    })
    .await;
    let replaced = "sandclock_tls_certificate_replaced_total";
    assert!(metric(&product, &client, replaced).await > 0.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_must_show_a_certificate_and_shows_none_is_not_let_in() {
    let scene = Scene::new();
    scene.certificates.issue("other", "stranger");
    let authority = scene.certificates.certificate("authority");
    let product = scene.dev(&format!("tls.client_ca = {authority:?}"));
    let health = |own: Option<&str>| {
        let client = scene.client("authority", own);
        client.get(format!("{}/healthz", product.url)).send()
    };
    assert!(health(Some("client")).await.is_ok());
    assert!(health(None).await.is_err());
    assert!(health(Some("other")).await.is_err());
    let ca = scene.authority("authority");
    let without = scene.job_ls(&product, &product.url, &["--ca", &ca]);
    let said = told(&without);
    assert!(said.contains("--identity or SANDCLOCK_IDENTITY"), "{said}");
    let own = scene.certificates.both("client");
    std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o600)).unwrap();
    let own = own.display().to_string();
    let with = scene.job_ls(&product, &product.url, &["--ca", &ca, "--identity", &own]);
    assert!(with.status.success(), "{}", told(&with));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_shake_hands_is_let_go() {
    let scene = Scene::new();
    let product = scene.dev("");
    let mut idle = TcpStream::connect(product.url.trim_start_matches("https://")).unwrap();
    idle.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut said = Vec::new();
    idle.read_to_end(&mut said).unwrap();
    assert_eq!(said, b"");
}

#[test]
fn what_it_does_not_start_with_is_said_by_field_and_remedy() {
    let scene = Scene::new();
    let start = |more: &str| {
        let config = scene.config(more);
        let data = scene.path("data").display().to_string();
        let args = ["dev", "--no-examples", "--config", &config, "--data", &data];
        let listen = ["--listen", "127.0.0.1:0"];
        let output = Command::new(PROGRAM).args(args).args(listen).output();
        told(&output.unwrap())
    };
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(scene.path("key.pem"), open).unwrap();
    let said = start("");
    assert!(
        said.contains("tls.key") && said.contains("chmod o="),
        "{said}"
    );
    std::fs::remove_file(scene.path("key.pem")).unwrap();
    let said = start("");
    assert!(
        said.contains("tls.key") && said.contains("No such file"),
        "{said}"
    );
    scene.deploy("server", "client");
    let said = start("");
    assert!(
        said.contains("tls.certificate") && said.contains("tls.key"),
        "{said}"
    );
    scene.deploy("server", "server");
    std::fs::write(scene.path("certificate.pem"), "none").unwrap();
    let said = start("");
    assert!(said.contains("BEGIN CERTIFICATE"), "{said}");
    let said = start("tls.client_ca = \"/none\"");
    assert!(said.contains("tls.client_ca"), "{said}");
}
