//! Stores that speak TLS only and ask who calls: a fleet over them, and what is said when something is wrong.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as an operator does"
)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use etcd_client::{Certificate, ConnectOptions, Identity, Permission, PermissionType, TlsOptions};
use mongodb::bson::{Document, doc};
use reqwest::Method;
use sandclock_testkit::services::{Certificates, Mongo, OwnEtcd};
use serde_json::json;
use tempfile::TempDir;

use crate::product::{PROGRAM, Product, wait_for};
use crate::stores::Stores;
use crate::worker::Worker;

/// What is wrong in a configuration, and the words of the refusal.
type Case<'a> = (&'a [(&'a str, String)], &'a [&'a str]);

pub(crate) const PASSWORD: &str = "correct-horse";

pub(crate) struct Scene {
    certificates: Certificates,
    etcd: OwnEtcd,
    mongo: String,
    pub(crate) stores: Stores,
}

impl Scene {
    /// Both servers, with a user each that may do what the documentation asks for, and one that may read only.
    pub(crate) async fn new() -> Self {
        sandclock_server::tls();
        let certificates = Certificates::make();
        let etcd = OwnEtcd::start_secured(&certificates);
        let mongo = Mongo::start_secured(&certificates);
        let stores = Stores::of(etcd.address(), "");
        let scene = Self {
            certificates,
            etcd,
            mongo,
            stores,
        };
        scene.users_of_etcd().await;
        scene.users_of_mongo().await;
        scene
    }

    /// A client of etcd that shares nothing with ours, as this user or as nobody yet.
    async fn etcd_as(&self, user: Option<&str>) -> etcd_client::Client {
        let read = |path| std::fs::read(path).unwrap();
        let (certificate, key) = (
            self.certificates.certificate("client"),
            self.certificates.key("client"),
        );
        let tls = TlsOptions::new()
            .ca_certificate(Certificate::from_pem(read(
                self.certificates.certificate("authority"),
            )))
            .identity(Identity::from_pem(read(certificate), read(key)));
        let mut options = ConnectOptions::new().with_tls(tls);
        if let Some(user) = user {
            options = options.with_user(user, PASSWORD);
        }
        let endpoint = format!("https://{}", self.etcd.address());
        etcd_client::Client::connect([endpoint], Some(options))
            .await
            .unwrap()
    }

    /// Every key and value of etcd.
    pub(crate) async fn all_of_etcd(&self) -> Vec<Vec<u8>> {
        let mut etcd = self.etcd_as(Some("root")).await;
        let all = etcd_client::GetOptions::new().with_all_keys();
        let found = etcd.get("", Some(all)).await.unwrap();
        let pair = |kv: &etcd_client::KeyValue| [kv.key(), kv.value()].concat();
        found.kvs().iter().map(pair).collect()
    }

    /// Every document of MongoDB as its bytes, those of its own accounts and history excepted.
    pub(crate) async fn all_of_mongo(&self) -> Vec<Vec<u8>> {
        let mongo = mongodb::Client::with_uri_str(self.uri("root", PASSWORD, "authority"));
        let mongo = mongo.await.unwrap();
        let mut all = Vec::new();
        for name in mongo.list_database_names().await.unwrap() {
            if ["admin", "config", "local"].contains(&name.as_str()) {
                continue;
            }
            let database = mongo.database(&name);
            for name in database.list_collection_names().await.unwrap() {
                let collection = database.collection::<mongodb::bson::RawDocumentBuf>(&name);
                let mut found = collection.find(doc! {}).await.unwrap();
                while found.advance().await.unwrap() {
                    all.push(found.current().as_bytes().to_vec());
                }
            }
        }
        all
    }

    async fn users_of_etcd(&self) {
        let mut etcd = self.etcd_as(None).await;
        etcd.user_add("root", PASSWORD, None).await.unwrap();
        etcd.role_add("root").await.unwrap();
        etcd.user_grant_role("root", "root").await.unwrap();
        for (user, may) in [
            ("ann", PermissionType::Readwrite),
            ("eve", PermissionType::Read),
        ] {
            etcd.user_add(user, PASSWORD, None).await.unwrap();
            etcd.role_add(user).await.unwrap();
            // All that is ours in this corner begins like this.
            let all = Permission::new(may, format!("/{}/", self.stores.own)).with_prefix();
            etcd.role_grant_permission(user, all).await.unwrap();
            etcd.user_grant_role(user, user).await.unwrap();
        }
        etcd.auth_enable().await.unwrap();
    }

    async fn users_of_mongo(&self) {
        let uri = format!("mongodb://{}/?{}", self.mongo, self.tls("authority", true));
        let mongo = mongodb::Client::with_uri_str(&uri).await.unwrap();
        let admin = mongo.database("admin");
        let root = doc! { "createUser": "root", "pwd": PASSWORD, "roles": ["root"] };
        admin.run_command(root).await.unwrap();
        let uri = format!(
            "mongodb://root:{PASSWORD}@{}/?{}",
            self.mongo,
            self.tls("authority", true)
        );
        let mongo = mongodb::Client::with_uri_str(&uri).await.unwrap();
        let admin = mongo.database("admin");
        for (user, role) in [("ann", "readWrite"), ("eve", "read")] {
            let role: Document = doc! { "role": role, "db": &self.stores.own };
            let user = doc! { "createUser": user, "pwd": PASSWORD, "roles": [role] };
            admin.run_command(user).await.unwrap();
        }
    }

    /// Options of MongoDB's URI, with a certificate of ours or without.
    fn tls(&self, authority: &str, identity: bool) -> String {
        let shown = |path: &Path| path.display().to_string();
        let authority = shown(&self.certificates.certificate(authority));
        let identity = match identity {
            true => format!(
                "&tlsCertificateKeyFile={}",
                shown(&self.certificates.both("client"))
            ),
            false => String::new(),
        };
        format!("tls=true&tlsCAFile={authority}{identity}")
    }

    fn uri(&self, user: &str, password: &str, authority: &str) -> String {
        let tls = self.tls(authority, true);
        format!(
            "mongodb://{user}:{password}@{}/?authSource=admin&{tls}",
            self.mongo
        )
    }

    /// A configuration that is right but for `changes`.
    pub(crate) fn toml(&self, changes: &[(&str, String)]) -> String {
        let path = |path: std::path::PathBuf| path.display().to_string();
        let mut settings = [
            ("coordination.user", "ann".to_owned()),
            ("coordination.password", PASSWORD.to_owned()),
            (
                "coordination.tls.ca_file",
                path(self.certificates.certificate("authority")),
            ),
            (
                "coordination.tls.cert_file",
                path(self.certificates.certificate("client")),
            ),
            (
                "coordination.tls.key_file",
                path(self.certificates.key("client")),
            ),
            ("run_log.uri", self.uri("ann", PASSWORD, "authority")),
        ];
        for (name, value) in changes {
            let setting = settings
                .iter_mut()
                .find(|(known, _)| known == name)
                .unwrap();
            setting.1.clone_from(value);
        }
        let stores = self.stores.toml().replace("run_log.uri = \"\"\n", "");
        let lines = settings
            .iter()
            .map(|(name, value)| format!("{name} = {value:?}\n"));
        stores + &lines.collect::<String>()
    }

    /// What a role says that does not start with this configuration.
    fn refusal(&self, role: &str, changes: &[(&str, String)]) -> String {
        let folder = TempDir::new().unwrap();
        let config = folder.path().join("sandclock.toml");
        std::fs::write(&config, self.toml(changes)).unwrap();
        let output = Command::new(PROGRAM)
            .args([role, "--config"])
            .arg(&config)
            .env("SANDCLOCK__DATA", folder.path())
            .env("SANDCLOCK__LISTEN", "127.0.0.1:0")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        said
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_works_over_stores_with_tls_and_a_login() {
    let scene = Scene::new().await;
    let server = Product::server(&scene.toml(&[]));
    let _worker = Worker::start_on("only", &scene.toml(&[]));
    server
        .put_job("job", &json!({ "command": "echo printed" }))
        .await;
    let run = server.run_job("job").await;
    assert_eq!(run["state"], "succeeded", "{run}");
    let path = format!("/runs/{}/output", run["id"].as_str().unwrap());
    assert_eq!(server.text(&path).await, "printed\n");
}

/// The cluster changes its authority, and asks for certificates of the new one: with these in the files the fleet is
/// there again, and no process was started anew.
#[tokio::test(flavor = "multi_thread")]
async fn renewed_certificates_for_etcd_need_no_restart() {
    let mut scene = Scene::new().await;
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let read = |path| std::fs::read(path).unwrap();
    let give = |authorities: &[&str], client: &str| {
        let authorities = authorities
            .iter()
            .map(|name| scene.certificates.certificate(name));
        let bundle: Vec<_> = authorities.map(read).collect();
        std::fs::write(path("ca"), bundle.concat()).unwrap();
        std::fs::write(path("cert"), read(scene.certificates.certificate(client))).unwrap();
        std::fs::write(path("key"), read(scene.certificates.key(client))).unwrap();
    };
    give(&["authority"], "client");
    let config = scene.toml(&[
        ("coordination.tls.ca_file", path("ca")),
        ("coordination.tls.cert_file", path("cert")),
        ("coordination.tls.key_file", path("key")),
    ]);
    let server = Product::server(&config);
    let _worker = Worker::start_on("only", &config);
    let job = json!({ "command": "true" });
    server.put_job("job", &job).await;
    assert_eq!(server.run_job("job").await["state"], "succeeded");

    scene.certificates.issue("next", "stranger");
    give(&["authority", "stranger"], "next");
    scene.certificates.issue("server", "stranger");
    let (new, old) = ["stranger", "authority"]
        .map(|name| scene.certificates.certificate(name))
        .into();
    std::fs::copy(new, old).unwrap();
    scene.etcd.kill();
    scene.etcd.start_again();
    wait_for("a job can be saved", Duration::from_secs(120), async || {
        let saved = server.send(Method::PUT, "/jobs/later", &job).await;
        saved.status().is_success()
    })
    .await;
    assert_eq!(server.run_job("later").await["state"], "succeeded");
}

/// A run log that is away is waited for; that TLS may be what is missing has to be said at once.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_tls_of_a_run_log_that_asks_for_it_is_named() {
    let scene = Scene::new().await;
    let uri = format!("mongodb://ann:{PASSWORD}@{}/?authSource=admin", scene.mongo);
    let server = Product::server(&scene.toml(&[("run_log.uri", uri)]));
    let log = String::from_utf8(server.log()).unwrap();
    let told = log.lines().find(|line| line.contains("does not answer"));
    let told = told.unwrap_or_else(|| panic!("{log}"));
    assert!(
        told.contains("tls=true") && told.contains("run_log.uri"),
        "{told}"
    );
    assert!(!log.contains(PASSWORD), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_store_closed_is_said_by_field_and_remedy() {
    let scene = Scene::new().await;
    let stranger = scene
        .certificates
        .certificate("stranger")
        .display()
        .to_string();
    let wrong = || "battery-staple".to_owned();
    let cases: [Case<'_>; 7] = [
        (
            &[("coordination.password", wrong())],
            &["coordination.endpoints", "coordination.user", "password"],
        ),
        (
            &[("coordination.user", "eve".to_owned())],
            &["coordination.user", "read and write", "/sandclock/"],
        ),
        (
            &[("coordination.tls.ca_file", stranger)],
            &["certificate", "coordination.tls.ca_file"],
        ),
        (
            &[("run_log.uri", scene.uri("ann", &wrong(), "authority"))],
            &["run_log.uri", "check the user, its password and authSource"],
        ),
        (
            &[("run_log.uri", scene.uri("eve", PASSWORD, "authority"))],
            &[
                "run_log.uri",
                "readWrite on run_log.database",
                &scene.stores.own,
            ],
        ),
        (
            &[("run_log.uri", scene.uri("ann", PASSWORD, "stranger"))],
            &["run_log.uri", "certificate", "tlsCAFile"],
        ),
        (
            &[(
                "run_log.uri",
                format!(
                    "mongodb://{}/?{}",
                    scene.mongo,
                    scene.tls("authority", true)
                ),
            )],
            &["run_log.uri", "check the user, its password and authSource"],
        ),
    ];
    for (changes, says) in cases {
        for role in ["server", "worker"] {
            let said = scene.refusal(role, changes);
            for word in says {
                assert!(said.contains(word), "{word:?} is not in: {said}");
            }
            for secret in [PASSWORD, "battery-staple"] {
                assert!(!said.contains(secret), "{said}");
            }
        }
    }
}
